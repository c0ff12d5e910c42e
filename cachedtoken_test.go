package persauth_test

// What is kept of verified tokens, and what nobody can do to it.

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A token that comes again is not verified again, and gives the same claims.
func TestRemembered(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	token := iss.UserToken("acme")
	first, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	again, err := v.Verify(t.Context(), strings.Clone(token))
	require.NoError(t, err)
	assert.Same(t, first, again)
	status := v.Status()
	assert.Equal(t, 1, status.CachedTokens)
	assert.Equal(t, uint64(1), status.Counters.CacheHits)
	assert.Equal(t, uint64(1), status.Counters.Verified)
}

// Two good tokens that end alike, in the part that is hashed, are remembered both.
func TestTokensOfOneEnding(t *testing.T) {
	keys, tokens := tokensOfOneEnding(t)
	v := holding(t, keys)
	require.Equal(t, tokens[0][len(tokens[0])-32:], tokens[1][len(tokens[1])-32:])
	var first [2]*persauth.Claims
	for i, token := range tokens {
		var err error
		first[i], err = v.Verify(t.Context(), token)
		require.NoError(t, err)
	}
	for i, token := range tokens {
		again, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		assert.Same(t, first[i], again)
	}
	assert.Equal(t, []string{"alice", "bob"}, []string{first[0].Subject(), first[1].Subject()})
	assert.Equal(t, 2, v.Status().CachedTokens)
}

// tokensOfOneEnding makes two ES256 tokens whose signatures share their s, and the
// key set for them. Whoever chooses the key can: s·k = z + r·d (mod n), once for
// each token, are two linear equations for s and d.
func tokensOfOneEnding(t *testing.T) (keys string, tokens [2]string) {
	t.Helper()
	n := elliptic.P256().Params().N
	point := func(scalar *big.Int) (x, y *big.Int) {
		private, err := ecdh.P256().NewPrivateKey(scalar.FillBytes(make([]byte, 32)))
		require.NoError(t, err)
		xy := private.PublicKey().Bytes()[1:]
		return new(big.Int).SetBytes(xy[:32]), new(big.Int).SetBytes(xy[32:])
	}
	mod := func(x *big.Int) *big.Int { return x.Mod(x, n) }
	mul := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }
	sub := func(a, b *big.Int) *big.Int { return mod(new(big.Int).Sub(a, b)) }
	var inputs [2]string
	var k, r, z [2]*big.Int
	for i, name := range []string{"alice", "bob"} {
		inputs[i] = b64(`{"alg":"ES256","kid":"k"}`) + "." + b64(strings.Replace(goodClaims, "alice", name, 1))
		sum := sha256.Sum256([]byte(inputs[i]))
		z[i], k[i] = new(big.Int).SetBytes(sum[:]), big.NewInt(int64(7919+i))
		r[i], _ = point(k[i])
		mod(r[i])
	}
	d := mul(sub(mul(k[0], z[1]), mul(k[1], z[0])), new(big.Int).ModInverse(sub(mul(k[1], r[0]), mul(k[0], r[1])), n))
	s := mul(mod(new(big.Int).Add(z[0], mul(r[0], d))), new(big.Int).ModInverse(k[0], n))
	x, y := point(d)
	for i := range tokens {
		tokens[i] = inputs[i] + "." + b64(append(r[i].FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
	}
	return setOf(`{"kty":"EC","crv":"P-256","kid":"k","x":"` + coordinate(x) + `","y":"` + coordinate(y) + `"}`), tokens
}

// Tokens that fail are not remembered, nor is anything of them.
func TestFailuresAreNotRemembered(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	for _, token := range []string{iss.ForgedToken(), iss.TamperedToken(), iss.ExpiredToken(), iss.FutureToken(), iss.UnknownKeyToken(), "a.b.c"} {
		for range 2 {
			_, err := v.Verify(t.Context(), token)
			require.Error(t, err)
		}
	}
	assert.Zero(t, v.Status().CachedTokens)
	assert.Zero(t, v.Status().Counters.CacheHits)
}

// The memory is bounded.
func TestRememberedIsBounded(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	for size, most := range map[int]int{1: 3, 20: 50} {
		v := iss.Verifier(func(c *persauth.Config) { c.CacheTokens = size })
		for range 200 {
			_, err := v.Verify(t.Context(), iss.UserToken("acme"))
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, v.Status().CachedTokens, most)
	}
}

// Servers reuse the buffers that requests are read into. Neither the memory nor
// the claims change with them.
func TestRecycledBuffer(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	token := iss.TokenWithHeader(map[string]any{"typ": "at+jwt"}, map[string]any{"tenantId": "acme", "role": "ADMIN", "email": "a@example.com"})
	other := iss.ForgedToken()
	buffer := make([]byte, max(len(token), len(other)))
	in := func(text string) string { return unsafe.String(&buffer[0], copy(buffer, text)) }

	claims, err := v.Verify(t.Context(), in(token))
	require.NoError(t, err)
	check := func() {
		t.Helper()
		assert.Equal(t, "acme", claims.TenantID())
		assert.Equal(t, []string{"ADMIN"}, claims.Roles())
		assert.Equal(t, "a@example.com", claims.Email())
		assert.Equal(t, "ES256", claims.Verification().Algorithm)
		assert.Equal(t, "test-key-1", claims.Verification().KeyID)
		text, err := claims.MarshalJSON()
		require.NoError(t, err)
		assert.Contains(t, string(text), `"acme"`)
	}
	check()
	_, err = v.Verify(t.Context(), in(other))
	require.ErrorIs(t, err, persauth.ErrSignature)
	text, detail := err.Error(), err
	clear(buffer)
	check()
	assert.Equal(t, text, detail.Error(), "the error keeps nothing of the buffer either")
	_, err = v.Verify(t.Context(), in(strings.Repeat("x", len(token))))
	require.ErrorIs(t, err, persauth.ErrMalformed)
	again, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	assert.Same(t, claims, again)
}

// Claims that were given out do not change when their keys get stale; those who
// ask then are told.
func TestStaleIsToldToThoseWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		token := s.token()
		fresh := s.accepts(token)
		s.pers.now(slow(time.Second, up(s.iss)))
		time.Sleep(softAge)
		stale := s.accepts(token)
		assert.False(t, fresh.Verification().KeysStale)
		assert.True(t, stale.Verification().KeysStale)
		assert.Same(t, stale, s.accepts(token))
		time.Sleep(time.Second)
		synctest.Wait()
		assert.False(t, s.accepts(token).Verification().KeysStale)
		assert.True(t, stale.Verification().KeysStale)
		assert.Equal(t, uint64(1), s.status().Counters.Verified)
	})
}

// Two tokens that end alike, which a stranger may write down: neither gets the
// claims of the other.
func TestSameEndOtherToken(t *testing.T) {
	known, forged, keys := twoTokens(t)
	v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys([]byte(keys))})
	require.NoError(t, err)
	defer v.Close()
	claims, err := v.Verify(t.Context(), known)
	require.NoError(t, err)

	for range 2 {
		got, err := v.Verify(t.Context(), forged)
		require.ErrorIs(t, err, persauth.ErrAlgorithm)
		assert.Nil(t, got)
	}
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
