package persauth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/persauth/persauth"
)

// newExampleVerifier is persauth.New with the keys of testdata.
func newExampleVerifier() *persauth.Verifier {
	v, err := persauth.New(persauth.Config{Keys: persauth.FileKeys("testdata/jwks.json")})
	if err != nil {
		panic(err)
	}
	return v
}

// send prints what a handler answers to a request with a token.
func send(h http.Handler, method, path, token string) {
	r := httptest.NewRequest(method, path, nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprintln(method, path, w.Code, w.Body)))
}

// A whole service is protected by one line; the claims are in the context.
func ExampleVerifier_Middleware() {
	v := newExampleVerifier()
	defer v.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, "hello ", claims.Roles())
	})
	handler := v.Middleware(mux)

	send(handler, "GET", "/hello", exampleToken(3))
	send(handler, "GET", "/hello", "")
	// Output:
	// GET /hello 200 hello [ADMIN]
	// GET /hello 401 {"type":"about:blank","title":"Unauthorized","status":401,"detail":"Sign in, and send the access token."}
}

// What a route asks of its callers stands where the route is.
func ExampleVerifier_Require() {
	v := newExampleVerifier()
	defer v.Close()
	orders := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the orders of ", r.PathValue("business")[:8])
	})
	business := persauth.PathValue("business")
	mux := http.NewServeMux()
	mux.Handle("GET /businesses/{business}/orders", v.Require(persauth.BusinessRole(business, "ADMIN", "EDITOR"))(orders))
	mux.Handle("DELETE /businesses/{business}/orders", v.Require(persauth.AnyOf(
		persauth.TenantRole(persauth.Fixed("550e8400-e29b-41d4-a716-446655440001"), "TENANT_ADMIN"),
		persauth.AllOf(persauth.Business(business), persauth.AuthTypeIn(persauth.AuthSystem)),
	))(orders))

	send(mux, "GET", "/businesses/550e8400-e29b-41d4-a716-446655440000/orders", exampleToken(3))
	send(mux, "GET", "/businesses/another/orders", exampleToken(3))
	send(mux, "DELETE", "/businesses/550e8400-e29b-41d4-a716-446655440000/orders", exampleToken(3))
	// Output:
	// GET /businesses/550e8400-e29b-41d4-a716-446655440000/orders 200 the orders of 550e8400
	// GET /businesses/another/orders 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"Your account may not do this. Signing in again will not help."}
	// DELETE /businesses/550e8400-e29b-41d4-a716-446655440000/orders 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"Your account may not do this. Signing in again will not help."}
}

// A rule of one's own, with a name for the logs.
func ExampleGuardFunc() {
	v := newExampleVerifier()
	defer v.Close()
	confirmed := persauth.GuardFunc("an e-mail address", func(_ *http.Request, c *persauth.Claims) bool {
		return c.Email() != ""
	})
	handler := v.Require(confirmed)(http.NotFoundHandler())
	send(handler, "GET", "/", exampleToken(0))
	send(handler, "GET", "/", exampleToken(6))
	// Output:
	// GET / 404 404 page not found
	// GET / 403 {"type":"about:blank","title":"Forbidden","status":403,"detail":"Your account may not do this. Signing in again will not help."}
}

// Answers of one's own.
func ExampleConfig_onRefused() {
	v, err := persauth.New(persauth.Config{
		Keys: persauth.FileKeys("testdata/jwks.json"),
		OnRefused: func(_ *persauth.Verifier, w http.ResponseWriter, r *http.Request, err error) {
			if persauth.Code(err) == "no_token" {
				http.Redirect(w, r, "/login", http.StatusSeeOther)
				return
			}
			fmt.Println("refused:", persauth.Code(err))
			w.WriteHeader(http.StatusUnauthorized)
		},
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	handler := v.Middleware(http.NotFoundHandler())
	send(handler, "POST", "/", "")
	send(handler, "POST", "/", "not.a.token")
	// Output:
	// POST / 303
	// refused: malformed
	// POST / 401
}
