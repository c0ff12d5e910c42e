package persauth_test

// The story of the whole: what a service does with a verifier, and what comes
// of it. Each part has tests of its own beside it.

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/jwks.json
var fixtureKeys []byte

//go:embed testdata/tokens.ndjson
var fixtureTokens []byte

// fixture is a token that an independent implementation made.
type fixture struct {
	Name, Expect, Why, Token string
}

func fixtures(t testing.TB) []fixture {
	t.Helper()
	var all []fixture
	lines := bufio.NewScanner(bytes.NewReader(fixtureTokens))
	for lines.Scan() {
		var f fixture
		require.NoError(t, json.Unmarshal(lines.Bytes(), &f))
		all = append(all, f)
	}
	require.NotEmpty(t, all)
	return all
}

func offline(t testing.TB) *persauth.Verifier {
	t.Helper()
	v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(fixtureKeys)})
	require.NoError(t, err)
	t.Cleanup(v.Close)
	return v
}

// Tokens of another implementation get the answer that it expects: the first
// time, from memory, and from Explain.
func TestFixtures(t *testing.T) {
	v := offline(t)
	for _, f := range fixtures(t) {
		t.Run(f.Name, func(t *testing.T) {
			for range 2 {
				claims, err := v.Verify(t.Context(), f.Token)
				switch f.Expect {
				case "valid":
					require.NoError(t, err)
					assert.NotEmpty(t, claims.TenantID())
				case "unknown-key":
					require.ErrorIs(t, err, persauth.ErrUnknownKey)
					assert.Nil(t, claims)
				default:
					require.Error(t, err)
					assert.NotErrorIs(t, err, persauth.ErrUnavailable)
					assert.Nil(t, claims)
					var detail *persauth.Error
					require.True(t, errors.As(err, &detail))
					assert.NotEmpty(t, detail.Want)
				}
			}
			report := v.Explain(t.Context(), f.Token)
			assert.Equal(t, f.Expect == "valid", report.Valid)
		})
	}
}

// What a token costs a service in lines of code, and what it learns.
func TestStory(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("RS256", "ES256", "EdDSA"))
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.Tenants = []string{"acme", persauthtest.DefaultTenant} })

	claims, err := v.Verify(t.Context(), iss.BusinessToken("acme", "shop", "ADMIN"))
	require.NoError(t, err)
	assert.Equal(t, "acme", claims.TenantID())
	assert.Equal(t, "shop", claims.BusinessID())
	assert.Equal(t, []string{"ADMIN"}, claims.Roles())
	assert.Equal(t, persauth.AuthBusiness, claims.AuthType())
	require.NoError(t, claims.RequireBusinessRole("shop", "ADMIN"))
	require.ErrorIs(t, claims.RequireTenantRole("acme", "ADMIN"), persauth.ErrForbidden)

	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"expired":     {iss.ExpiredToken(), persauth.ErrExpired},
		"future":      {iss.FutureToken(), persauth.ErrNotYetValid},
		"foreign":     {iss.ForeignToken(), persauth.ErrTenant},
		"forged":      {iss.ForgedToken(), persauth.ErrSignature},
		"tampered":    {iss.TamperedToken(), persauth.ErrSignature},
		"unknown key": {iss.UnknownKeyToken(), persauth.ErrUnknownKey},
		"nothing":     {"", persauth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			claims, err := v.Verify(t.Context(), c.token)
			require.ErrorIs(t, err, c.want)
			assert.Nil(t, claims)
		})
	}
}
