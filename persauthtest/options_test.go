package persauthtest_test

import (
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// settings are those of a service that checks all that README advises.
func settings(cfg *persauth.Config) {
	cfg.Issuer, cfg.Audience, cfg.Tenants = "https://pers.example", "shop", []string{"acme"}
	cfg.ClaimNames = persauth.ClaimNames{Tenant: "context.tenant", Business: "/https:~1~1pers.example~1business", Role: "context.roles", AuthType: "kind"}
}

// Every helper's token passes where the service's own settings are used, with
// nothing said twice.
func TestTokensFollowTheVerifier(t *testing.T) {
	for name, make := range map[string]func(t *testing.T) (*persauthtest.Issuer, *persauth.Verifier){
		"the issuer's verifier": func(t *testing.T) (*persauthtest.Issuer, *persauth.Verifier) {
			iss := persauthtest.NewIssuer(t)
			return iss, iss.Verifier(settings)
		},
		"the server's verifier": func(t *testing.T) (*persauthtest.Issuer, *persauth.Verifier) {
			iss := persauthtest.NewIssuer(t)
			return iss, persauthtest.NewServer(t, iss).Verifier(settings)
		},
		"one of the service's own": func(t *testing.T) (*persauthtest.Issuer, *persauth.Verifier) {
			var cfg persauth.Config
			settings(&cfg)
			iss := persauthtest.NewIssuer(t, persauthtest.WithConfig(cfg))
			cfg.Keys = persauth.StaticKeys(iss.JWKS())
			v, err := persauth.New(cfg)
			require.NoError(t, err)
			t.Cleanup(v.Close)
			return iss, v
		},
	} {
		t.Run(name, func(t *testing.T) {
			iss, v := make(t)
			claims, err := v.Verify(t.Context(), iss.BusinessToken("acme", "shop-1", "ADMIN", "EDITOR"))
			require.NoError(t, err)
			assert.Equal(t, "acme", claims.TenantID())
			assert.Equal(t, "shop-1", claims.BusinessID())
			require.NoError(t, claims.RequireBusinessRole("shop-1", "EDITOR"))
			claims, err = v.Verify(t.Context(), iss.TenantToken("acme", "TENANT_ADMIN"))
			require.NoError(t, err)
			require.NoError(t, claims.RequireTenantRole("acme", "TENANT_ADMIN"))
			for _, token := range []string{iss.UserToken("acme"), iss.SystemToken("acme"), iss.Token(nil)} {
				_, err = v.Verify(t.Context(), token)
				require.NoError(t, err)
			}
			// The bad ones are bad for what they are called after, and for nothing else.
			for _, c := range []struct {
				token string
				want  error
			}{{iss.ExpiredToken(), persauth.ErrExpired}, {iss.FutureToken(), persauth.ErrNotYetValid}, {iss.ForeignToken(), persauth.ErrTenant},
				{iss.ForgedToken(), persauth.ErrSignature}, {iss.TamperedToken(), persauth.ErrSignature},
				{iss.With(persauthtest.WithIssuer("https://other.example")).UserToken("acme"), persauth.ErrIssuer},
				{iss.With(persauthtest.WithAudience("bank")).UserToken("acme"), persauth.ErrAudience},
				{iss.Token(map[string]any{"iss": "https://other.example"}), persauth.ErrIssuer},
				{iss.Token(map[string]any{"iss": nil}), persauth.ErrIssuer}} {
				_, err = v.Verify(t.Context(), c.token)
				require.ErrorIs(t, err, c.want)
				var e *persauth.Error
				require.ErrorAs(t, err, &e)
			}
		})
	}
}

// Options of a token count more than those of the issuer, and those of the
// issuer more than a verifier's.
func TestTokenOptions(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithIssuer("https://own.example"), persauthtest.WithClaims(map[string]any{"email": "ann@example.com", "sub": nil}),
		persauthtest.WithTenant("own"), persauthtest.WithLifetime(time.Hour), persauthtest.WithHeader(map[string]any{"typ": "at+jwt"}))
	now := time.Now().Truncate(time.Second)
	iss.Clock().Set(now)
	strict := iss.Verifier(func(cfg *persauth.Config) { cfg.Issuer = "https://other.example" })
	_, err := strict.Verify(t.Context(), iss.Token(nil))
	require.ErrorIs(t, err, persauth.ErrIssuer)
	v := iss.Verifier()

	verify := func(token string) *persauth.Claims {
		t.Helper()
		claims, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		return claims
	}
	claims := verify(iss.Token(nil))
	assert.Equal(t, "https://own.example", claims.Issuer())
	assert.Equal(t, "own", claims.TenantID())
	assert.Equal(t, "ann@example.com", claims.Email())
	assert.Empty(t, claims.Subject())
	assert.True(t, now.Add(time.Hour).Equal(claims.ExpiresAt()))
	assert.True(t, now.Add(time.Hour).Equal(verify(iss.SystemToken("own")).ExpiresAt()))

	other := iss.With(persauthtest.WithAudience("a", "b"), persauthtest.WithLifetime(time.Minute), persauthtest.WithClaims(map[string]any{"email": "bob@example.com"}))
	claims = verify(other.Token(map[string]any{"sub": "bob"}))
	assert.Equal(t, []string{"a", "b"}, claims.Audience())
	assert.Equal(t, "bob@example.com", claims.Email())
	assert.Equal(t, "bob", claims.Subject())
	assert.True(t, now.Add(time.Minute).Equal(claims.ExpiresAt()))
	assert.Empty(t, verify(iss.Token(nil)).Audience(), "the issuer itself stays as it was")
	assert.NotEqual(t, claims.ID(), verify(iss.Token(nil)).ID(), "one series of serial numbers")
	iss.Rotate()
	assert.Equal(t, iss.Keys(), other.Keys(), "one set of keys")

	_, err = v.Verify(t.Context(), iss.With(persauthtest.WithHeader(map[string]any{"typ": "dpop+jwt"})).Token(nil))
	require.ErrorIs(t, err, persauth.ErrMalformed)
}

// /auth/verify speaks of the tenant where the token has it elsewhere.
func TestServerKnowsClaimNames(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := persauthtest.NewServer(t, iss)
	v := s.Verifier(func(cfg *persauth.Config) {
		settings(cfg)
		cfg.Revocation = persauth.RevocationAlways()
	})
	claims, err := v.Verify(t.Context(), iss.UserToken("acme"))
	require.NoError(t, err)
	assert.Equal(t, "acme", claims.TenantID())
	assert.Equal(t, 1, s.Count(persauthtest.EndpointVerify))
}
