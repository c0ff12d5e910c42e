package persauth_test

// From a request to claims: where the token is, and that there is exactly one.
// What the client of a refused request sees is in answer_test.go.

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newRequest is a request as a server gets it, with headers in pairs.
func newRequest(method, target string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func TestVerifyRequest(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	token, other := iss.UserToken("acme"), iss.UserToken("other")
	inHeader := iss.Verifier()
	everywhere := iss.Verifier(func(cfg *persauth.Config) {
		cfg.TokenSources = []persauth.TokenSource{
			persauth.AuthorizationHeader(), persauth.TokenCookie("session"), persauth.TokenHeader("x-access-token"),
		}
	})
	for _, c := range []struct {
		name     string
		verifier *persauth.Verifier
		target   string
		headers  []string
		want     error // nil: the caller is of tenant acme
	}{
		{"Bearer", inHeader, "/", []string{"Authorization", "Bearer " + token}, nil},
		{"the scheme in lower case", inHeader, "/", []string{"Authorization", "bearer " + token}, nil},
		{"the scheme in upper case", inHeader, "/", []string{"Authorization", "BEARER " + token}, nil},
		{"several spaces", inHeader, "/", []string{"Authorization", "Bearer   " + token}, nil},
		{"a proof that nothing asks for", inHeader, "/", []string{"Authorization", "Bearer " + token, "DPoP", "x"}, nil},
		{"nothing", inHeader, "/", nil, persauth.ErrNoToken},
		{"a proof alone", inHeader, "/", []string{"DPoP", "x"}, persauth.ErrNoToken},
		{"Basic", inHeader, "/", []string{"Authorization", "Basic dXNlcjpwYXNz"}, persauth.ErrNoToken},
		{"no scheme", inHeader, "/", []string{"Authorization", token}, persauth.ErrNoToken},
		{"a tab after the scheme", inHeader, "/", []string{"Authorization", "Bearer\t" + token}, persauth.ErrNoToken},
		{"the query", inHeader, "/?access_token=" + token, nil, persauth.ErrNoToken},
		{"a cookie that is not asked for", inHeader, "/", []string{"Cookie", "session=" + token}, persauth.ErrNoToken},
		{"Proxy-Authorization", inHeader, "/", []string{"Proxy-Authorization", "Bearer " + token}, persauth.ErrNoToken},
		{"Bearer with nothing", inHeader, "/", []string{"Authorization", "Bearer "}, persauth.ErrMalformed},
		{"Bearer alone", inHeader, "/", []string{"Authorization", "Bearer"}, persauth.ErrMalformed},
		{"the header twice", inHeader, "/", []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + other}, persauth.ErrMalformed},
		{"the same header twice", inHeader, "/", []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}, persauth.ErrMalformed},
		{"two schemes", inHeader, "/", []string{"Authorization", "Basic dXNlcjpwYXNz", "Authorization", "Bearer " + token}, persauth.ErrMalformed},
		{"two tokens in one header", inHeader, "/", []string{"Authorization", "Bearer " + token + ", Bearer " + other}, persauth.ErrMalformed},
		{"the scheme DPoP for a token that is not bound", inHeader, "/", []string{"Authorization", "DPoP " + token}, persauth.ErrProof},
		{"a bad token", inHeader, "/", []string{"Authorization", "Bearer " + iss.ForgedToken()}, persauth.ErrSignature},

		{"the header, with more places", everywhere, "/", []string{"Authorization", "Bearer " + token}, nil},
		{"the cookie", everywhere, "/", []string{"Cookie", "a=b; session=" + token}, nil},
		{"the other header", everywhere, "/", []string{"X-Access-Token", token}, nil},
		{"the cookie, and Basic for somebody else", everywhere, "/", []string{"Authorization", "Basic dXNlcjpwYXNz", "Cookie", "session=" + token}, nil},
		{"the header, and an empty cookie", everywhere, "/", []string{"Authorization", "Bearer " + token, "Cookie", "session="}, nil},
		{"no place", everywhere, "/", []string{"X-Other", token}, persauth.ErrNoToken},
		{"header and cookie", everywhere, "/", []string{"Authorization", "Bearer " + token, "Cookie", "session=" + token}, persauth.ErrMalformed},
		{"cookie and other header", everywhere, "/", []string{"X-Access-Token", token, "Cookie", "session=" + token}, persauth.ErrMalformed},
		{"two cookies", everywhere, "/", []string{"Cookie", "session=" + token + "; session=" + other}, persauth.ErrMalformed},
		{"two cookie headers", everywhere, "/", []string{"Cookie", "session=" + token, "Cookie", "session=" + other}, persauth.ErrMalformed},
		{"the other header twice", everywhere, "/", []string{"X-Access-Token", token, "X-Access-Token", other}, persauth.ErrMalformed},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.verifier.Status().Counters.Refused[persauth.Code(c.want)]
			claims, err := c.verifier.VerifyRequest(newRequest(http.MethodGet, c.target, c.headers...))
			if c.want == nil {
				require.NoError(t, err)
				assert.Equal(t, "acme", claims.TenantID())
				return
			}
			require.ErrorIs(t, err, c.want)
			assert.Nil(t, claims)
			assert.Equal(t, before+1, c.verifier.Status().Counters.Refused[persauth.Code(c.want)], "it is counted once")
		})
	}
}

func TestTokenSources(t *testing.T) {
	for _, c := range []struct {
		name    string
		sources []persauth.TokenSource
		ok      bool
	}{
		{"none: the default", nil, true},
		{"three places", []persauth.TokenSource{persauth.AuthorizationHeader(), persauth.TokenCookie("a"), persauth.TokenCookie("b")}, true},
		{"the zero value", []persauth.TokenSource{{}}, false},
		{"a cookie without a name", []persauth.TokenSource{persauth.TokenCookie("")}, false},
		{"a header without a name", []persauth.TokenSource{persauth.TokenHeader("")}, false},
		{"a place twice", []persauth.TokenSource{persauth.TokenHeader("X-Token"), persauth.TokenHeader("x-token")}, false},
		{"Authorization twice", []persauth.TokenSource{persauth.TokenHeader("authorization"), persauth.AuthorizationHeader()}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(fixtureKeys), TokenSources: c.sources})
			if c.ok {
				require.NoError(t, err)
				v.Close()
				return
			}
			require.Error(t, err)
		})
	}
}

// callerOf is a handler that tells who is calling.
var callerOf = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	caller := "nobody"
	if claims, ok := persauth.FromContext(r.Context()); ok {
		caller = claims.TenantID()
	}
	w.Header().Set("Caller", caller)
})

func serveRequest(h http.Handler, r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestMiddleware(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	good := []string{"Authorization", "Bearer " + iss.UserToken("acme")}
	for _, c := range []struct {
		name    string
		wrap    func(http.Handler) http.Handler
		headers []string
		status  int
		caller  string
	}{
		{"a token", v.Middleware, good, http.StatusOK, "acme"},
		{"none", v.Middleware, nil, http.StatusUnauthorized, ""},
		{"a bad token", v.Middleware, []string{"Authorization", "Bearer x"}, http.StatusUnauthorized, ""},
		{"optional: a token", v.OptionalMiddleware, good, http.StatusOK, "acme"},
		{"optional: none", v.OptionalMiddleware, nil, http.StatusOK, "nobody"},
		{"optional: somebody else's scheme", v.OptionalMiddleware, []string{"Authorization", "Basic eDp5"}, http.StatusOK, "nobody"},
		{"optional: a bad token", v.OptionalMiddleware, []string{"Authorization", "Bearer x"}, http.StatusUnauthorized, ""},
		{"optional: an empty token", v.OptionalMiddleware, []string{"Authorization", "Bearer "}, http.StatusUnauthorized, ""},
		{"optional: two tokens", v.OptionalMiddleware, append(good, good...), http.StatusBadRequest, ""},
		{"optional: a proof alone", v.OptionalMiddleware, []string{"DPoP", "x"}, http.StatusUnauthorized, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := serveRequest(c.wrap(callerOf), newRequest(http.MethodGet, "/", c.headers...))
			assert.Equal(t, c.status, answer.StatusCode)
			assert.Equal(t, c.caller, answer.Header.Get("Caller"))
		})
	}
}

func TestFromContextOfAnyContext(t *testing.T) {
	claims, ok := persauth.FromContext(context.Background())
	assert.False(t, ok)
	assert.Nil(t, claims)
}

// Middleware composes as that of chi and others does, the outermost first, and
// leaves the rest of the context as it was.
func TestComposition(t *testing.T) {
	type key struct{}
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	chain := func(h http.Handler, all ...func(http.Handler) http.Handler) http.Handler {
		for i := len(all) - 1; i >= 0; i-- {
			h = all[i](h)
		}
		return h
	}
	requestID := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "17")))
		})
	}
	mux := http.NewServeMux()
	mux.Handle("GET /businesses/{business}", chain(callerOf,
		v.Require(persauth.Business(persauth.PathValue("business"))),
		v.Require(persauth.AuthTypeIn(persauth.AuthBusiness))))
	handler := chain(mux, requestID, v.Middleware, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			assert.Equal(t, "17", r.Context().Value(key{}))
			next.ServeHTTP(w, r)
		})
	})
	token := "Bearer " + iss.BusinessToken("acme", "shop", "ADMIN")
	for target, want := range map[string]int{
		"/businesses/shop":  http.StatusOK,
		"/businesses/other": http.StatusForbidden,
		"/elsewhere":        http.StatusNotFound,
	} {
		assert.Equal(t, want, serveRequest(handler, newRequest(http.MethodGet, target, "Authorization", token)).StatusCode, target)
	}
	assert.Equal(t, http.StatusUnauthorized, serveRequest(handler, newRequest(http.MethodGet, "/businesses/shop")).StatusCode)
}

// A proof is good once, and a request may pass several guards: it is verified
// by the first of a verifier.
func TestOneVerificationPerRequest(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	dpop := func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" }
	first, second := iss.Verifier(dpop), iss.Verifier(dpop, func(cfg *persauth.Config) { cfg.Tenants = []string{"acme"} })
	client := iss.DPoPClient("ES256")
	inAcme := persauth.Tenant(persauth.Fixed("acme"))
	handler := first.OptionalMiddleware(first.Middleware(second.Middleware(first.Require(inAcme)(second.Require(inAcme)(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			claims, err := first.VerifyRequest(r)
			require.NoError(t, err)
			assert.Equal(t, client.Thumbprint(), claims.Confirmation())
			callerOf(w, r)
		}))))))

	r := newRequest(http.MethodGet, "https://shop.example/orders")
	client.Authorize(r, iss.BoundToken(client, map[string]any{"tenantId": "acme"}))
	answer := serveRequest(handler, r)
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "acme", answer.Header.Get("Caller"))

	assert.Equal(t, http.StatusUnauthorized, serveRequest(handler, r).StatusCode, "another request with that proof")

	// The other verifier has its own say.
	r = newRequest(http.MethodGet, "https://shop.example/orders")
	client.Authorize(r, iss.BoundToken(client, map[string]any{"tenantId": "other"}))
	assert.Equal(t, http.StatusUnauthorized, serveRequest(handler, r).StatusCode)
	assert.EqualValues(t, 1, second.Status().Counters.Refused["tenant"])
}

// A handler may make requests of its own to other handlers, in its context: the
// claims are those of the token in the request, not those in the context.
func TestContextOfAnotherRequest(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	inner := v.Middleware(callerOf)
	for _, c := range []struct{ name, token, caller string }{
		{"the same token", "", "acme"},
		{"another token", iss.UserToken("other"), "other"},
		{"a bad token", iss.ForgedToken(), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			outer := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				sub := newRequest(http.MethodGet, "/", "Authorization", "Bearer "+c.token).WithContext(r.Context())
				if c.token == "" {
					sub.Header = r.Header
				}
				inner.ServeHTTP(w, sub)
			}))
			answer := serveRequest(outer, newRequest(http.MethodGet, "/", "Authorization", "Bearer "+iss.UserToken("acme")))
			assert.Equal(t, c.caller, answer.Header.Get("Caller"))
			assert.Equal(t, c.caller == "", answer.StatusCode == http.StatusUnauthorized)
		})
	}
}

// Nothing is made for a remembered token but the copy of the request and its context.
func TestMiddlewareAllocations(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	r := bearerRequest(t, iss, v)
	w := &nobody{http.Header{}}
	for name, handler := range map[string]http.Handler{
		"Middleware": v.Middleware(nothing),
		"Require":    v.Require(persauth.BusinessRole(persauth.Fixed("shop"), "ADMIN", "EDITOR"))(nothing),
		"both":       v.Middleware(v.Require(persauth.Business(persauth.Fixed("shop")))(nothing)),
	} {
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { handler.ServeHTTP(w, r) }), 2.0, name)
	}
}
