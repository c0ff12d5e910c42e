package persauth

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two tokens of one hash, which a stranger may find: neither gets the claims of
// the other.
func TestSameHashOtherToken(t *testing.T) {
	known, forged, keys := twoTokens(t)
	v, err := New(Config{Keys: StaticKeys(keys)})
	require.NoError(t, err)
	defer v.Close()
	claims, err := v.Verify(t.Context(), known)
	require.NoError(t, err)

	r := v.seen.get(v.seen.hash(known))
	require.NotNil(t, r)
	v.seen.put(v.seen.hash(forged), r)
	got, err := v.Verify(t.Context(), forged)
	require.ErrorIs(t, err, ErrAlgorithm)
	assert.Nil(t, got)

	again, err := v.Verify(t.Context(), known)
	require.NoError(t, err)
	assert.Same(t, claims, again)
}

// twoTokens returns a good token, the same with another header, and the keys.
func twoTokens(t *testing.T) (known, forged, keys string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	encode := base64.RawURLEncoding.EncodeToString
	claims := encode([]byte(`{"tenantId":"acme","exp":4102444800}`))
	input := encode([]byte(`{"alg":"EdDSA","kid":"one"}`)) + "." + claims
	signature := encode(ed25519.Sign(private, []byte(input)))
	return input + "." + signature, encode([]byte(`{}`)) + "." + claims + "." + signature,
		fmt.Sprintf(`{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"%s"}]}`, encode(public))
}

// What is put in place of something is put in place of just that.
func TestTableReplaces(t *testing.T) {
	for name, aged := range map[string]int{"current": 0, "previous": 1} {
		t.Run(name, func(t *testing.T) {
			table := newTokenTable(1)
			hash := table.hash("1")
			older, old, replaced, wrong := new(remembered), new(remembered), new(remembered), new(remembered)
			age := func() {
				for i := range aged {
					table.put(table.hash(fmt.Sprint("passing", i)), new(remembered))
				}
			}
			table.replace(hash, old, wrong)
			require.Nil(t, table.get(hash))
			table.put(hash, old)
			age()
			table.replace(hash, older, wrong)
			require.Same(t, old, table.get(hash))
			table.replace(hash, old, replaced)
			age()
			require.Same(t, replaced, table.get(hash))
			table.remove(hash)
			table.replace(hash, replaced, wrong)
			require.Nil(t, table.get(hash))
		})
	}
}

// Readers take no lock. While tokens come, go and turn over under them, each
// finds its own token or none.
func TestTableIsReadWithoutALock(t *testing.T) {
	const size, keys = 64, 200
	table := newTokenTable(size)
	var tokens [keys]*remembered
	var hashes [keys]uint64
	for i := range tokens {
		tokens[i], hashes[i] = new(remembered), table.hash(fmt.Sprint("token ", i))
	}
	var readers, writers sync.WaitGroup
	done := make(chan struct{})
	for worker := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50_000 {
				i := r.IntN(keys)
				switch r.IntN(5) {
				case 0:
					table.remove(hashes[i])
				case 1:
					table.replace(hashes[i], tokens[i], tokens[i])
				default:
					table.put(hashes[i], tokens[i])
				}
			}
		})
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 2))
			for {
				select {
				case <-done:
					return
				default:
				}
				i := r.IntN(keys)
				if found := table.get(hashes[i]); found != nil && found != tokens[i] {
					t.Error("a token was found under the hash of another")
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	assert.LessOrEqual(t, table.len(), 2*size)
	table.put(hashes[0], tokens[0])
	assert.Same(t, tokens[0], table.get(hashes[0]))
}

// However the hashes fall, a full generation has a free slot, so that a search
// ends: here all begin at the same slot, the last one.
func TestTableWithBadHashes(t *testing.T) {
	table := newTokenTable(10)
	for i := range uint64(100) {
		hash := ^uint64(0) - 2*i
		r := new(remembered)
		table.put(hash, r)
		require.Same(t, r, table.get(hash))
		require.Nil(t, table.get(hash-1000))
	}
	assert.LessOrEqual(t, table.len(), 20)
}
