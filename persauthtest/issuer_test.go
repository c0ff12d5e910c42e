package persauthtest_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// plain are no claims beyond those that every token has.
var plain = map[string]any{}

func TestAlgorithms(t *testing.T) {
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms(algorithms...), persauthtest.WithSeed("algorithms"))
	local := iss.Verifier()
	s := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			token := iss.TokenBy(iss.Key(algorithm), plain)
			claims, err := local.Verify(t.Context(), token)
			require.NoError(t, err)
			assert.Equal(t, algorithm, claims.Verification().Algorithm)
			assert.True(t, ask(t, s, token).Valid, "the server agrees")
			assert.False(t, ask(t, s, flipped(token)).Valid, "and checks the signature")
		})
	}
}

// Fixtures that were made with a seed stay good: these thumbprints never change.
func TestSeed(t *testing.T) {
	want := map[string]string{
		"RS256": "WBCTLaV4DJmEICg66WGqw2b-0ohyotCRpbrROQ2l56E",
		"PS256": "N-9I-s0nvT9adZfJ4ATBfe9CiXC8GwtSSBFOTZAIo6M",
		"ES256": "iXIeYB0_RfdAgMOiUcTrQi-Y4znkki9o4MflDQQO5m4",
		"ES384": "5hxR2Ukqck-GMu1w2rj_KZ-PvvHgH139x2v3jpIip4s",
		"ES512": "NABjst5cCEVG_u-vu-I2oZCpXjAe5p5p95odmV0CT1U",
		"EdDSA": "9YjTSTtYdZXU3YSmkakkLgwV6rKcsvCvhSU4tD-DFzA",
	}
	names := []string{"RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA"}
	thumbprints := func(seed string) map[string]string {
		iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms(names...), persauthtest.WithSeed(seed))
		keys, err := persauth.InspectKeys(iss.JWKS())
		require.NoError(t, err)
		prints := map[string]string{}
		for i, key := range keys {
			prints[names[i]] = key.Thumbprint
		}
		return prints
	}
	assert.Equal(t, want, thumbprints("fixtures"))
	for name, print := range thumbprints("other") {
		assert.NotEqual(t, want[name], print)
	}

	one, two := persauthtest.NewIssuer(t, persauthtest.WithSeed("a")), persauthtest.NewIssuer(t, persauthtest.WithSeed("a"))
	assert.Equal(t, one.UnpublishedKey().JWK(), two.UnpublishedKey().JWK())
	assert.Equal(t, one.Rotate().JWK(), two.Rotate().JWK())
	key := persauthtest.NewServer(t, one, persauthtest.InMemory()).ProjectKey()
	assert.Regexp(t, "^[0-9a-f]{64}$", key)
	assert.Equal(t, key, persauthtest.NewServer(t, two, persauthtest.InMemory()).ProjectKey())
	random := persauthtest.NewIssuer(t)
	assert.NotEqual(t, key, persauthtest.NewServer(t, random, persauthtest.InMemory()).ProjectKey())
	assert.NotEqual(t, random.JWKS(), persauthtest.NewIssuer(t).JWKS())
}

func TestClaims(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	verify := func(token string) *persauth.Claims {
		t.Helper()
		claims, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		return claims
	}
	var level struct {
		Level int `json:"level"`
	}
	fromStruct := verify(iss.Token(struct {
		Subject string `json:"sub"`
		Level   int    `json:"level"`
	}{"ann", 3}))
	assert.Equal(t, "ann", fromStruct.Subject())
	assert.Equal(t, persauthtest.DefaultTenant, fromStruct.TenantID())
	require.NoError(t, fromStruct.Decode(&level))
	assert.Equal(t, 3, level.Level)

	fromMap := verify(iss.Token(map[string]any{"sub": "bob", "jti": nil}))
	assert.Equal(t, "bob", fromMap.Subject())
	assert.Empty(t, fromMap.ID(), "null takes a claim out")

	assert.Equal(t, persauth.AuthUser, verify(iss.UserToken("acme")).AuthType())
	business := verify(iss.BusinessToken("acme", "shop", "ADMIN", "CASHIER"))
	assert.Equal(t, "shop", business.BusinessID())
	assert.Equal(t, []string{"ADMIN", "CASHIER"}, business.Roles())
	assert.Equal(t, persauth.AuthTenant, verify(iss.TenantToken("acme", "TENANT_ADMIN")).AuthType())
	system := verify(iss.SystemToken("acme"))
	assert.Greater(t, time.Until(system.ExpiresAt()), 360*24*time.Hour)
}

func TestNamedTokens(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	iss.Clock().Set(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	retired := iss.UserToken(persauthtest.DefaultTenant)
	old := iss.Key("ES256")
	iss.Rotate()
	iss.Retire(old)
	remote := func(cfg *persauth.Config) {
		cfg.Tenants = []string{persauthtest.DefaultTenant}
		cfg.RemoteAlgorithms = []string{"HS256"}
	}
	local := iss.Verifier(func(cfg *persauth.Config) { cfg.Tenants = []string{persauthtest.DefaultTenant} })
	asking := persauthtest.NewServer(t, iss, persauthtest.InMemory()).Verifier(remote)
	for name, c := range map[string]struct {
		token       string
		local, asks error
	}{
		"good":         {iss.Token(plain), nil, nil},
		"expired":      {iss.ExpiredToken(), persauth.ErrExpired, persauth.ErrExpired},
		"future":       {iss.FutureToken(), persauth.ErrNotYetValid, persauth.ErrNotYetValid},
		"foreign":      {iss.ForeignToken(), persauth.ErrTenant, persauth.ErrTenant},
		"forged":       {iss.ForgedToken(), persauth.ErrSignature, persauth.ErrSignature},
		"tampered":     {iss.TamperedToken(), persauth.ErrSignature, persauth.ErrSignature},
		"unknown key":  {iss.UnknownKeyToken(), persauth.ErrUnknownKey, persauth.ErrRejected},
		"unpublished":  {iss.UnpublishedToken(plain), persauth.ErrUnknownKey, nil},
		"retired":      {retired, persauth.ErrUnknownKey, nil},
		"symmetric":    {iss.SymmetricToken(plain), persauth.ErrAlgorithm, nil},
		"other header": {iss.TokenWithHeader(map[string]any{"kid": nil}, plain), nil, nil},
		"odd header":   {iss.TokenWithHeader(map[string]any{"typ": "dpop+jwt"}, plain), persauth.ErrMalformed, persauth.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			for _, way := range []struct {
				v    *persauth.Verifier
				want error
			}{{local, c.local}, {asking, c.asks}} {
				claims, err := way.v.Verify(t.Context(), c.token)
				if way.want == nil {
					require.NoError(t, err)
					continue
				}
				require.ErrorIs(t, err, way.want)
				assert.Nil(t, claims)
			}
		})
	}
}

// A key goes through its life: made, published, retired, forgotten.
func TestKeyLife(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	token := iss.UnpublishedToken(plain)
	key := iss.UnpublishedKey()
	published := func() bool {
		var set struct{ Keys []struct{ Kid string } }
		require.NoError(t, json.Unmarshal(iss.JWKS(), &set))
		for _, k := range set.Keys {
			if k.Kid == key.ID {
				return true
			}
		}
		return false
	}
	assert.False(t, published())
	assert.True(t, ask(t, s, token).Valid)
	iss.Publish(key, key)
	assert.True(t, published())
	assert.Len(t, iss.Keys(), 2)
	assert.NotEqual(t, key.ID, iss.UnpublishedKey().ID, "there is always one that is not published")
	iss.Retire(key)
	assert.False(t, published())
	assert.True(t, ask(t, s, token).Valid)
	iss.Publish(key)
	assert.True(t, published())
	iss.Forget(key)
	assert.False(t, published())
	assert.False(t, ask(t, s, token).Valid)

	stranger, err := persauthtest.NewKey("a-guest", "EdDSA", "")
	require.NoError(t, err)
	iss.Publish(stranger)
	assert.True(t, ask(t, s, iss.TokenBy(stranger, plain)).Valid)
	_, err = persauthtest.NewKey("k", "HS256", "")
	require.Error(t, err)
}
