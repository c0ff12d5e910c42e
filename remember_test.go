package persauth_test

// What is kept of verified tokens, and what nobody can do to it.

import (
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
