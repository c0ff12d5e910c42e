package persauthtest_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
)

// newShop is a service under test: it gets a verifier and guards its routes.
func newShop(v *persauth.Verifier) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /businesses/{business}/orders", v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN"))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })))
	return mux
}

// A service's test with a key of its own and its own settings: tokens follow
// them.
func ExampleWithKeys() {
	t := new(exampleT) // in a test: t of the test
	defer t.end()

	iss := persauthtest.NewIssuer(t, persauthtest.WithKeys(persauthtest.KeyFile("testdata/key.pem")))
	shop := newShop(iss.Verifier(func(cfg *persauth.Config) {
		cfg.Issuer, cfg.Audience, cfg.Tenants = "https://api.pers.ninja", "pers-api", []string{"acme"}
	}))
	post := func(token string) int {
		r := httptest.NewRequest("POST", "/businesses/shop-1/orders", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		shop.ServeHTTP(w, r)
		return w.Code
	}
	fmt.Println(post(iss.BusinessToken("acme", "shop-1", "ADMIN")), post(iss.BusinessToken("acme", "shop-2", "ADMIN")))
	fmt.Println(post(iss.ExpiredToken()), post(iss.With(persauthtest.WithAudience("other")).UserToken("acme")))
	// Output:
	// 201 403
	// 401 401
}
