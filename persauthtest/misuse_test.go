package persauthtest_test

// What a test that uses the kit wrongly is told, and what it may leave out.

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// failing is a test that notes why it failed.
type failing struct {
	testing.TB
	why string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.why = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failureOf returns how misuse fails the test, and not by a panic.
func failureOf(t *testing.T, misuse func(iss *persauthtest.Issuer)) string {
	t.Helper()
	f := &failing{TB: t}
	iss := persauthtest.NewIssuer(f)
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		misuse(iss)
	}()
	require.Nil(t, <-done, "it panicked")
	return f.why
}

func TestMisuse(t *testing.T) {
	client := persauthtest.NewIssuer(t).DPoPClient("ES256")
	for name, c := range map[string]struct {
		misuse func(iss *persauthtest.Issuer)
		say    string
	}{
		"a key literal":           {func(iss *persauthtest.Issuer) { iss.TokenBy(&persauthtest.Key{ID: "k", Algorithm: "ES256"}, nil) }, "NewKey"},
		"no key":                  {func(iss *persauthtest.Issuer) { iss.TokenBy(nil, nil) }, "NewKey"},
		"no client":               {func(iss *persauthtest.Issuer) { iss.BoundToken(nil, nil) }, "DPoPClient"},
		"an empty client":         {func(iss *persauthtest.Issuer) { iss.BoundToken(&persauthtest.DPoPClient{}, nil) }, "DPoPClient"},
		"claims are a text":       {func(iss *persauthtest.Issuer) { iss.Token("sub") }, "JSON object"},
		"claims are a function":   {func(iss *persauthtest.Issuer) { iss.Token(func() {}) }, "claims"},
		"bound claims are a list": {func(iss *persauthtest.Issuer) { iss.BoundToken(client, []string{"sub"}) }, "JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Contains(t, failureOf(t, c.misuse), c.say)
		})
	}

	literal := &persauthtest.Key{ID: "k", Algorithm: "ES256"}
	const say = "persauthtest: the key cannot sign: it was not made by NewKey"
	assert.PanicsWithValue(t, say, func() { literal.Public() })
	assert.PanicsWithValue(t, say, func() { literal.JWK() })
	assert.PanicsWithValue(t, say, func() { literal.Sign(nil, nil) })
}

// Claims may be left out, and a claim that is null stays out.
func TestNoClaims(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	client := iss.DPoPClient("ES256")
	key := iss.Keys()[0]
	var none map[string]any
	var noStruct *struct{ Sub string }
	for name, token := range map[string]string{
		"nil":            iss.Token(nil),
		"a nil map":      iss.Token(none),
		"a nil pointer":  iss.Token(noStruct),
		"another header": iss.TokenWithHeader(nil, nil),
		"by a key":       iss.TokenBy(key, nil),
	} {
		claims, err := v.Verify(t.Context(), token)
		require.NoError(t, err, name)
		assert.Equal(t, persauthtest.DefaultTenant, claims.TenantID(), name)
	}
	parts := func(token string) *persauth.Claims {
		claims, err := v.VerifyWithoutProof(t.Context(), token)
		require.NoError(t, err)
		return claims
	}
	bound := parts(iss.BoundToken(client, nil))
	assert.Equal(t, client.Thumbprint(), bound.Confirmation())
	assert.Equal(t, persauthtest.DefaultTenant, bound.TenantID())
	assert.Empty(t, parts(iss.BoundToken(client, map[string]any{"sub": nil})).Subject())
}
