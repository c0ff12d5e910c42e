package persauthtest_test

// The tests of a service that docs/testing.md shows.

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/pages"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

func TestPage(t *testing.T) {
	pages.CheckCode(t, "../docs/testing.md", "shop_test.go", "example_keys_test.go")
}

// shopSettings are those of the service, in its test as in production.
func shopSettings(cfg *persauth.Config) {
	cfg.Issuer, cfg.Audience, cfg.Tenants = "https://api.pers.ninja", "pers-api", []string{"acme"}
}

// status is what the service answers to a request with a token.
func status(h http.Handler, method, path, token string) int {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestWhoMayOrder(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	shop := newShop(iss.Verifier(shopSettings))
	for name, c := range map[string]struct {
		token string
		want  int
	}{
		"an admin of the business":   {iss.BusinessToken("acme", "shop-1", "ADMIN"), 201},
		"another role there":         {iss.BusinessToken("acme", "shop-1", "VIEWER"), 403},
		"an admin of another one":    {iss.BusinessToken("acme", "shop-2", "ADMIN"), 403},
		"a user of the tenant":       {iss.UserToken("acme"), 403},
		"another tenant":             {iss.ForeignToken(), 401},
		"expired":                    {iss.ExpiredToken(), 401},
		"not yet valid":              {iss.FutureToken(), 401},
		"forged":                     {iss.ForgedToken(), 401},
		"changed after it was made":  {iss.TamperedToken(), 401},
		"a key that PERS has not":    {iss.UnknownKeyToken(), 401},
		"for another service":        {iss.With(persauthtest.WithAudience("bank")).UserToken("acme"), 401},
		"of another issuer":          {iss.With(persauthtest.WithIssuer("https://other")).UserToken("acme"), 401},
		"a refresh token":            {iss.Token(map[string]any{"type": "USER_JWT_REFRESH_TOKEN"}), 401},
		"bound to a key, no proof":   {iss.BoundToken(iss.DPoPClient("ES256"), nil), 401},
		"no token, but another word": {"password", 401},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, status(shop, "POST", "/businesses/shop-1/orders", c.token))
		})
	}
}

func TestTokensEnd(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	shop := newShop(iss.Verifier(shopSettings))
	token := iss.BusinessToken("acme", "shop-1", "ADMIN")
	assert.Equal(t, 201, status(shop, "POST", "/businesses/shop-1/orders", token))
	iss.Clock().Advance(16 * time.Minute) // tokens live for 15, and clocks may differ by 30 s
	assert.Equal(t, 401, status(shop, "POST", "/businesses/shop-1/orders", token))
}

func TestRevoked(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	shop := newShop(pers.Verifier(func(cfg *persauth.Config) {
		shopSettings(cfg)
		cfg.Revocation = persauth.RevocationAlways()
	}))
	token := iss.BusinessToken("acme", "shop-1", "ADMIN")
	assert.Equal(t, 201, status(shop, "POST", "/businesses/shop-1/orders", token))
	pers.Revoke(token)
	assert.Equal(t, 401, status(shop, "POST", "/businesses/shop-1/orders", token))
}

func TestPERSIsDown(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	shop := newShop(pers.Verifier(shopSettings))
	pers.Fault(persauthtest.EndpointAll, persauthtest.Down)
	token := iss.BusinessToken("acme", "shop-1", "ADMIN")
	assert.Equal(t, 503, status(shop, "POST", "/businesses/shop-1/orders", token), "no keys yet: it cannot be told")
	pers.Heal()
	iss.Clock().Advance(time.Minute)
	assert.Equal(t, 201, status(shop, "POST", "/businesses/shop-1/orders", token))
	pers.Fault(persauthtest.EndpointAll, persauthtest.Down)
	assert.Equal(t, 201, status(shop, "POST", "/businesses/shop-1/orders", token), "who has keys needs nobody")
}

func TestKeysRotate(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	v := pers.Verifier(shopSettings)
	persauthtest.Accepts(t, v, iss.UserToken("acme"))
	old := iss.Keys()[0]
	iss.Rotate()
	persauthtest.Accepts(t, v, iss.UserToken("acme"))
	persauthtest.RecordedRequests(t, pers, persauthtest.EndpointKeys, 2)

	token := iss.TokenBy(old, nil)
	persauthtest.Accepts(t, v, token)
	iss.Forget(old)
	iss.Clock().Advance(20 * time.Minute)
	assert.Eventually(t, func() bool {
		_, err := v.Verify(t.Context(), iss.TokenBy(old, nil))
		return err != nil
	}, 10*time.Second, time.Millisecond, "a key that left is still taken")
}
