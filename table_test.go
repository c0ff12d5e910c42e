package persauth

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Two tokens of one hash, which a stranger may find: neither gets the claims of
// the other.
func TestSameHashOtherToken(t *testing.T) {
	known, forged, keys := twoTokens(t)
	v, err := New(Config{Keys: StaticKeys([]byte(keys))})
	require.NoError(t, err)
	defer v.Close()
	claims, err := v.Verify(t.Context(), known)
	require.NoError(t, err)
	require.Equal(t, v.seen.hash(known), v.seen.hash(forged), "only the end is hashed")

	for range 2 {
		got, err := v.Verify(t.Context(), forged)
		require.ErrorIs(t, err, ErrAlgorithm)
		assert.Nil(t, got)
	}
	v.seen.remove(forged)
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
			older, old, replaced, wrong := entry("1", 1), entry("1", 2), entry("1", 3), entry("1", 4)
			age := func() {
				for i := range aged {
					table.put(entry(fmt.Sprint("passing", i), 0))
				}
			}
			table.replace(old, wrong)
			require.Nil(t, table.get("1"))
			table.put(old)
			age()
			table.replace(older, wrong)
			require.Same(t, old, table.get("1"))
			table.replace(old, replaced)
			age()
			require.Same(t, replaced, table.get("1"))
			table.remove("1")
			table.replace(replaced, wrong)
			require.Nil(t, table.get("1"))
		})
	}
}

// Of two tokens with one hash, neither takes the other's place, and what is put
// last of each is what is found, also where an older generation has it as well.
func TestTableOneHashTwoTokens(t *testing.T) {
	ending := strings.Repeat("s", hashedTail)
	table := newTokenTable(2)
	older, other, newer := entry("a."+ending, 1), entry("b."+ending, 2), entry("a."+ending, 3)
	require.Equal(t, table.hash(older.whole), table.hash(other.whole))
	table.put(older)
	table.put(entry("passing", 0))
	table.put(other) // of a new generation
	require.Same(t, other, table.get(other.whole))
	table.put(newer)
	require.Same(t, newer, table.get(newer.whole))
	require.Same(t, other, table.get(other.whole))
	table.remove(newer.whole)
	require.Nil(t, table.get(newer.whole))
	require.Same(t, other, table.get(other.whole))
	table.put(older)
	require.Same(t, older, table.get(older.whole))
}

// Readers take no lock. While tokens come, go and turn over under them, each
// finds its own token or none.
func TestTableIsReadWithoutALock(t *testing.T) {
	const size, keys = 64, 200
	table := newTokenTable(size)
	var tokens [keys]*remembered
	for i := range tokens {
		tokens[i] = entry(fmt.Sprint("token ", i), i)
	}
	var readers, writers sync.WaitGroup
	done := make(chan struct{})
	for worker := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50_000 {
				token := tokens[r.IntN(keys)]
				switch r.IntN(5) {
				case 0:
					table.remove(token.whole)
				case 1:
					table.replace(token, token)
				default:
					table.put(token)
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
				token := tokens[r.IntN(keys)]
				if found := table.get(token.whole); found != nil && found != token {
					t.Error("a token was found in place of another")
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	assert.LessOrEqual(t, table.len(), 2*size)
	table.put(tokens[0])
	assert.Same(t, tokens[0], table.get(tokens[0].whole))
}

// However the hashes fall, a full generation has a free slot, so that a search
// ends: here all begin at the same slot, the last one.
func TestTableWithBadHashes(t *testing.T) {
	table := newTokenTable(10)
	s := &table.shards[0]
	for i := range uint64(100) {
		hash, r := ^uint64(0)-2*i, entry(fmt.Sprint(i), 0)
		table.set(s, hash, r)
		require.Same(t, r, table.in(s.held.Load().current, hash, r.whole))
		require.Nil(t, table.in(s.held.Load().current, hash-1000, r.whole))
		require.Nil(t, table.in(s.held.Load().current, hash, "another"))
	}
	assert.LessOrEqual(t, table.len(), 20)
}
