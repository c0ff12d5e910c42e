package persauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRules(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	claimsOf := func(token string) *persauth.Claims {
		claims, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		return claims
	}
	business := claimsOf(iss.BusinessToken("acme", "shop", "EDITOR"))
	admin := claimsOf(iss.Token(map[string]any{"tenantId": "acme", "authType": "tenant", "role": "TENANT_ADMIN"}))
	untold := persauth.Rule(func(*persauth.Claims) error { return fmt.Errorf("no answer: %w", persauth.ErrUnavailable) })
	gold := persauth.RuleFunc("gold", func(c *persauth.Claims) bool { return c.Subject() == "gold" })
	acme, other := persauth.TenantIs("acme"), persauth.TenantIs("other")
	for _, c := range []struct {
		name   string
		rule   persauth.Rule
		claims *persauth.Claims
		want   error
	}{
		{"tenant", acme, business, nil},
		{"another tenant", other, business, persauth.ErrForbidden},
		{"business", persauth.BusinessIs("shop"), business, nil},
		{"another business", persauth.BusinessIs("bank"), business, persauth.ErrForbidden},
		{"no business", persauth.BusinessIs("shop"), admin, persauth.ErrForbidden},
		{"role in a business", persauth.RoleInBusiness("shop", "ADMIN", "EDITOR"), business, nil},
		{"another role", persauth.RoleInBusiness("shop", "ADMIN"), business, persauth.ErrForbidden},
		{"role in the tenant", persauth.RoleInTenant("acme", "TENANT_ADMIN"), admin, nil},
		{"a business' role is none in the tenant", persauth.RoleInTenant("acme", "EDITOR"), business, persauth.ErrForbidden},
		{"type", persauth.AuthTypeIs(persauth.AuthSystem, persauth.AuthTenant), admin, nil},
		{"another type", persauth.AuthTypeIs(persauth.AuthSystem), admin, persauth.ErrForbidden},
		{"a function", gold, admin, persauth.ErrForbidden},
		{"no claims", acme, nil, persauth.ErrForbidden},
		{"no claims, a function", gold, nil, persauth.ErrForbidden},
		{"and", acme.And(persauth.BusinessIs("shop")), business, nil},
		{"and, one forbids", acme.And(other), business, persauth.ErrForbidden},
		{"and, one cannot tell", acme.And(untold), business, persauth.ErrUnavailable},
		{"or, the second", other.Or(acme), business, nil},
		{"or, none", other.Or(gold), business, persauth.ErrForbidden},
		{"or, one cannot tell", other.Or(untold), business, persauth.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.ErrorIs(t, c.rule(c.claims), c.want)
			require.ErrorIs(t, c.rule.Guard()(nil, c.claims), c.want)
			if c.want == persauth.ErrUnavailable {
				require.NotErrorIs(t, c.rule(c.claims), persauth.ErrForbidden)
			}
		})
	}
	for name, make := range map[string]func(){
		"no tenant":     func() { persauth.TenantIs("") },
		"no business":   func() { persauth.RoleInBusiness("", "ADMIN") },
		"no role":       func() { persauth.RoleInTenant("acme", "") },
		"no type":       func() { persauth.AuthTypeIs("") },
		"no function":   func() { persauth.RuleFunc("x", nil) },
		"nothing to or": func() { acme.Or(nil) },
		"a nil rule":    func() { persauth.Rule(nil).Guard() },
		"and of nil":    func() { persauth.Rule(nil).And(acme) },
	} {
		assert.Panics(t, make, name)
	}
}

// Who may not is counted, by whatever transport they came.
func TestAllow(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	claims, err := v.Verify(t.Context(), iss.UserToken("acme"))
	require.NoError(t, err)
	require.NoError(t, v.Allow(claims, persauth.TenantIs("acme")))
	assert.Empty(t, v.Status().Counters.Refused)
	require.ErrorIs(t, v.Allow(claims, persauth.TenantIs("other")), persauth.ErrForbidden)
	require.ErrorIs(t, v.Allow(nil, persauth.TenantIs("other")), persauth.ErrForbidden)
	assert.Equal(t, map[string]uint64{"forbidden": 2}, v.Status().Counters.Refused)
	assert.Panics(t, func() { _ = v.Allow(claims, nil) })
}

func TestNewContext(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	outer, err := v.Verify(t.Context(), iss.UserToken("acme"))
	require.NoError(t, err)
	inner, err := v.Verify(t.Context(), iss.UserToken("other"))
	require.NoError(t, err)
	found := func(ctx context.Context) *persauth.Claims {
		claims, ok := persauth.FromContext(ctx)
		require.Equal(t, ok, claims != nil)
		return claims
	}
	ctx := persauth.NewContext(t.Context(), outer)
	assert.Same(t, outer, found(ctx))
	assert.Same(t, inner, found(persauth.NewContext(ctx, inner)))
	assert.Nil(t, found(persauth.NewContext(ctx, nil)), "nil claims hide the outer ones")
	assert.Nil(t, found(context.Background()))

	// It is no way around the middleware.
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	assert.Equal(t, http.StatusUnauthorized, serveRequest(v.Middleware(callerOf), r).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, serveRequest(v.Require(persauth.TenantIs("acme").Guard())(callerOf), r).StatusCode)
}

// An access log that is further out than the middleware sees the caller.
func ExampleConfig_onAccepted() {
	type callerSlot struct{}
	v, err := persauth.New(persauth.Config{
		Keys: persauth.FileKeys("testdata/jwks.json"),
		OnAccepted: func(r *http.Request, claims *persauth.Claims) {
			if slot, ok := r.Context().Value(callerSlot{}).(*string); ok {
				*slot = claims.TenantID()
			}
		},
	})
	if err != nil {
		panic(err)
	}
	defer v.Close()
	logged := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller := "nobody"
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerSlot{}, &caller)))
			fmt.Println(r.Method, r.URL.Path, caller)
		})
	}
	handler := logged(v.Middleware(http.NotFoundHandler()))
	serveRequest(handler, newRequest("GET", "/orders", "Authorization", "Bearer "+exampleToken(0)))
	serveRequest(handler, newRequest("GET", "/orders"))
	// Output:
	// GET /orders 550e8400-e29b-41d4-a716-446655440001
	// GET /orders nobody
}

// Every way in that sees a token alone refuses one that is bound to a key.
func TestBoundTokensNeedTheirProof(t *testing.T) {
	for _, mode := range []persauth.DPoPMode{persauth.DPoPWhenBound, persauth.DPoPRequired, persauth.DPoPOff} {
		b := newBound(t, "ES256", func(cfg *persauth.Config) {
			if cfg.DPoP.Mode = mode; mode == persauth.DPoPOff {
				cfg.DPoP.Origin = ""
			}
		})
		free := b.iss.UserToken("acme")
		for range 2 { // not remembered, and remembered
			claims, err := b.v.Verify(t.Context(), b.token)
			require.ErrorIs(t, err, persauth.ErrProof)
			require.Nil(t, claims)
			claims, err = b.v.VerifyWithoutProof(t.Context(), b.token)
			require.NoError(t, err)
			assert.Equal(t, b.client.Thumbprint(), claims.Confirmation())
			_, err = b.v.Verify(t.Context(), free)
			if mode == persauth.DPoPRequired {
				require.ErrorIs(t, err, persauth.ErrProof)
			} else {
				require.NoError(t, err)
			}
		}
		report := b.v.Explain(t.Context(), b.token)
		assert.False(t, report.Valid)
		require.ErrorIs(t, report.Err, persauth.ErrProof)
		assert.Equal(t, persauth.Failed, report.Checks[len(report.Checks)-1].Result)
	}
}

// In a handler behind the middleware the proof was checked: the token in the
// context of the request may be asked about again, and no other.
func TestVerifyBehindTheMiddleware(t *testing.T) {
	b := newBound(t, "ES256")
	pers := persauthtest.NewServer(t, b.iss)
	v := pers.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" })
	other := b.iss.BoundToken(b.client, map[string]any{"tenantId": "acme", "sub": "other"})
	handler := v.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := v.Verify(r.Context(), b.token)
		assert.NoError(t, err)
		_, err = v.VerifyLive(r.Context(), b.token)
		assert.NoError(t, err)
		_, err = v.Verify(r.Context(), other)
		assert.ErrorIs(t, err, persauth.ErrProof)
		_, err = v.VerifyLive(context.Background(), b.token)
		assert.ErrorIs(t, err, persauth.ErrProof)
	}))
	r := newRequest(http.MethodGet, shopOrders, "Authorization", "DPoP "+b.token, "DPoP", b.proof())
	assert.Equal(t, http.StatusOK, serveRequest(handler, r).StatusCode)
}

func TestVerifyCredentials(t *testing.T) {
	const origin = "https://shop.example"
	b := newBound(t, "ES256")
	prefixed := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.DPoP.Origin = origin + "/api" })
	forwarded := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.DPoP = persauth.DPoP{TrustForwarded: true} })
	nowhere := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.DPoP.Origin = "" })
	free := b.iss.UserToken("acme")
	for _, c := range []struct {
		name          string
		by            *bound
		authorization []string
		htu           string // "": no proof
		method, url   string
		want          error
	}{
		{"a bearer token", b, []string{"Bearer " + free}, "", "POST", "/orders", nil},
		{"a bearer token without a request", b, []string{"bearer " + free}, "", "", "", nil},
		{"nothing", b, nil, "", "POST", "/orders", persauth.ErrNoToken},
		{"another scheme", b, []string{"Basic eDp5"}, "", "POST", "/orders", persauth.ErrNoToken},
		{"two", b, []string{"Bearer " + free, "Bearer " + free}, "", "POST", "/orders", persauth.ErrMalformed},
		{"a token alone", b, []string{free}, "", "POST", "/orders", persauth.ErrNoToken},
		{"a free token as DPoP", b, []string{"DPoP " + free}, origin + "/orders", "POST", "/orders", persauth.ErrProof},
		{"a proof, for a path", b, nil, origin + "/orders", "POST", "/orders", nil},
		{"a proof, for a path with a query", b, nil, origin + "/orders", "POST", "/orders?a=b", nil},
		{"a proof, for a URL", b, nil, origin + "/orders", "POST", "https://SHOP.example:443/orders", nil},
		{"a proof, for another URL", b, nil, "https://bank.example/orders", "POST", "https://bank.example/orders", persauth.ErrProof},
		{"a proof, for a URL that begins alike", b, nil, "https://shop.example.evil/orders", "POST", "https://shop.example.evil/orders", persauth.ErrProof},
		{"a proof, for another path", b, nil, origin + "/orders", "POST", "/others", persauth.ErrProof},
		{"a proof, for another method", b, nil, origin + "/orders", "GET", "/orders", persauth.ErrProof},
		{"a proof, dot segments", b, nil, origin + "/orders", "POST", "/x/../orders", persauth.ErrProof},
		{"a proof, dot segments in disguise", b, nil, origin + "/orders", "POST", "/x/%2e%2e/orders", persauth.ErrProof},
		{"a proof, dot segments in a URL", b, nil, origin + "/orders", "POST", origin + "/x/../orders", persauth.ErrProof},
		{"a proof, no address", b, nil, origin + "/orders", "POST", "", persauth.ErrProof},
		{"no proof", b, nil, "", "POST", "/orders", persauth.ErrProof},
		{"a prefix: a path", prefixed, nil, origin + "/api/orders", "POST", "/orders", nil},
		{"a prefix: a URL", prefixed, nil, origin + "/api/orders", "POST", origin + "/api/orders", nil},
		{"a prefix: a URL beside it", prefixed, nil, origin + "/apiorders", "POST", origin + "/apiorders", persauth.ErrProof},
		{"forwarded: a URL", forwarded, nil, origin + "/orders", "POST", origin + "/orders", nil},
		{"forwarded: a path", forwarded, nil, origin + "/orders", "POST", "/orders", persauth.ErrProof},
		{"no origin", nowhere, nil, origin + "/orders", "POST", origin + "/orders", persauth.ErrProof},
	} {
		t.Run(c.name, func(t *testing.T) {
			credentials := persauth.Credentials{Authorization: c.authorization, Method: c.method, URL: c.url}
			if c.htu != "" {
				credentials.Proofs = []string{c.by.client.Proof("POST", c.htu, c.by.token)}
			}
			if c.authorization == nil && c.want != persauth.ErrNoToken {
				credentials.Authorization = []string{"DPoP " + c.by.token}
			}
			claims, err := c.by.v.VerifyCredentials(t.Context(), credentials)
			require.ErrorIs(t, err, c.want)
			require.Equal(t, err == nil, claims != nil)
			if err == nil && c.htu != "" {
				_, err := c.by.v.VerifyCredentials(t.Context(), credentials)
				require.ErrorIs(t, err, persauth.ErrReplay, "a proof is good once")
			}
		})
	}
}

// The one table of answers: what a transport other than net/http tells a caller.
func TestRefusal(t *testing.T) {
	b := newBound(t, "ES256", func(cfg *persauth.Config) { cfg.DPoP.NonceSecret = make([]byte, 32) })
	_, err := b.v.VerifyCredentials(t.Context(), persauth.Credentials{
		Authorization: []string{"DPoP " + b.token}, Proofs: []string{b.proof()}, Method: "GET", URL: "/orders",
	})
	refused := b.v.Refusal(err, []string{"DPoP x"})
	assert.Equal(t, http.StatusUnauthorized, refused.Status)
	assert.Equal(t, b.v.DPoPNonce(), refused.Nonce)
	assert.NotEmpty(t, refused.Nonce)
	require.Len(t, refused.Challenges, 2)
	assert.Contains(t, refused.Challenges[1], `error="use_dpop_nonce"`)
	for err, want := range map[error]int{
		persauth.ErrForbidden: 403, persauth.ErrUnavailable: 503, persauth.ErrExpired: 401, persauth.ErrRemoteMismatch: 401, errors.New("x"): 500,
	} {
		refused := b.v.Refusal(err, nil)
		assert.Equal(t, want, refused.Status)
		assert.NotEmpty(t, refused.Detail)
		assert.Equal(t, persauth.Code(err), refused.Code)
		assert.Equal(t, want == 401 || want == 403, len(refused.Challenges) == 2)
		assert.Equal(t, want == 503, refused.RetryAfter > 0)
	}
}
