package persauth

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However much is put in, by however many, no more stays than the bound, and
// what is found is what was put under that hash.
func TestBoundedStaysBounded(t *testing.T) {
	for _, size := range []int{1, 2, 10, 500, 5000, 9000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			b := newBounded[uint64](size)
			var load sync.WaitGroup
			for worker := range 4 {
				load.Go(func() {
					r := rand.New(rand.NewPCG(uint64(size), uint64(worker)))
					for range 10_000 {
						// Some come again and again, most do not.
						hash := r.Uint64()
						if r.IntN(4) == 0 {
							hash = uint64(r.IntN(size)) * 0x9e3779b97f4a7c15
						}
						switch r.IntN(8) {
						case 0:
							b.remove(hash)
						case 1, 2, 3:
							if value, ok := b.get(hash); ok && value != hash {
								t.Errorf("under %d there is %d", hash, value)
							}
						default:
							b.put(hash, hash)
						}
						if r.IntN(100) == 0 && b.len() > 5*size/2+2 {
							t.Errorf("%d entries in a memory for %d", b.len(), size)
						}
					}
				})
			}
			load.Wait()
			assert.LessOrEqual(t, b.len(), 5*size/2+2)
		})
	}
}

// The last entries that were put are there, as many as the memory is for.
func TestBoundedKeepsTheLatest(t *testing.T) {
	for _, size := range []int{1, 2, 10, 1024, 8191, 8192, 10_000} {
		b := newBounded[int](size)
		hash := func(i int) uint64 { return b.hash(fmt.Sprint(i)) }
		for i := range 3 * size {
			b.put(hash(i), i)
		}
		for i := 2 * size; i < 3*size; i++ {
			value, ok := b.get(hash(i))
			require.True(t, ok, "%d of %d", i, size)
			require.Equal(t, i, value)
		}
	}
}

// Who is asked for stays; who is not leaves with its generation.
func TestBoundedPromotes(t *testing.T) {
	const size = 10
	b := newBounded[string](size)
	b.put(0, "asked for")
	b.put(1, "never asked for")
	for i := uint64(100); i < 100+10*size; i++ {
		b.put(i, "passing")
		value, ok := b.get(0)
		require.True(t, ok, i)
		require.Equal(t, "asked for", value)
	}
	_, ok := b.get(1)
	assert.False(t, ok)

	b.put(0, "newer")
	value, _ := b.get(0)
	assert.Equal(t, "newer", value)
	b.remove(0)
	_, ok = b.get(0)
	assert.False(t, ok)
}

// What was removed, or put anew, does not come back from the older generation.
func TestBoundedForgetsInBothGenerations(t *testing.T) {
	b := newBounded[string](2)
	b.put(1, "old")
	b.put(2, "")
	b.put(3, "") // 1 is of the previous generation now
	b.put(1, "new")
	value, _ := b.get(1)
	assert.Equal(t, "new", value)
	b.remove(1)
	_, ok := b.get(1)
	assert.False(t, ok)
}

// It needs no goroutine, so there is nothing to close.
func TestBoundedHasNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for range 100 {
		b := newBounded[int](2000)
		for i := range 100 {
			b.put(uint64(i), i)
		}
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

// Two tokens of one hash, which a stranger may find: neither gets the claims of
// the other, nor its header.
func TestSameHashOtherToken(t *testing.T) {
	known, forged, keys := twoTokens(t)
	v, err := New(Config{Keys: StaticKeys(keys)})
	require.NoError(t, err)
	defer v.Close()
	claims, err := v.Verify(t.Context(), known)
	require.NoError(t, err)

	r, ok := v.seen.get(v.seen.hash(known))
	require.True(t, ok)
	v.seen.put(v.seen.hash(forged), r)
	got, err := v.Verify(t.Context(), forged)
	require.ErrorIs(t, err, ErrAlgorithm)
	assert.Nil(t, got)

	segment, _, _ := strings.Cut(known, ".")
	bad, _, _ := strings.Cut(forged, ".")
	h, ok := v.headers.get(v.headers.hash(segment))
	require.True(t, ok)
	v.headers.put(v.headers.hash(bad), h)
	_, err = v.Verify(t.Context(), forged)
	require.ErrorIs(t, err, ErrAlgorithm)

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
