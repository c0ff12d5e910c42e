package persauth_test

// Each guard lets those pass whom it names, and nobody else.

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

func TestGuards(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	var (
		user    = iss.UserToken("acme")
		admin   = iss.BusinessToken("acme", "shop", "ADMIN")
		both    = iss.BusinessToken("acme", "shop", "VIEWER", "EDITOR")
		tenant  = iss.TenantToken("acme", "TENANT_ADMIN")
		system  = iss.SystemToken("acme")
		foreign = iss.BusinessToken("other", "shop", "ADMIN")
		bare    = iss.Token(map[string]any{"tenantId": "acme"})
		empty   = iss.Token(map[string]any{"tenantId": "acme", "businessId": "", "role": ""})
		posing  = iss.BusinessToken("acme", "shop", "TENANT_ADMIN")
	)
	var (
		path   = persauth.PathValue("id")
		header = persauth.HeaderValue("x-tenant")
		fixed  = persauth.Fixed("shop")
	)
	large := persauth.GuardFunc("small orders only", func(r *http.Request, c *persauth.Claims) bool {
		return c != nil && r.Header.Get("Size") != "large"
	})
	for _, c := range []struct {
		name          string
		guard         persauth.Guard
		pass, refused []string // tokens
		target        string
		headers       []string
	}{
		{name: "tenant, fixed", guard: persauth.Tenant(persauth.Fixed("acme")), pass: []string{user, admin, tenant, system}, refused: []string{foreign}},
		{name: "tenant, by path", guard: persauth.Tenant(path), target: "/acme", pass: []string{user}, refused: []string{foreign}},
		{name: "tenant, by a path with an escape", guard: persauth.Tenant(path), target: "/%61cme", pass: []string{user}, refused: []string{foreign}},
		{name: "tenant, by header", guard: persauth.Tenant(header), headers: []string{"X-Tenant", "acme"}, pass: []string{user}, refused: []string{foreign}},
		{name: "tenant, by a header that is not there", guard: persauth.Tenant(header), refused: []string{user, foreign}},
		{name: "tenant, by an empty header", guard: persauth.Tenant(header), headers: []string{"X-Tenant", ""}, refused: []string{user, foreign}},
		{name: "tenant, by a header that comes twice", guard: persauth.Tenant(header), headers: []string{"X-Tenant", "acme", "X-Tenant", "acme"}, refused: []string{user}},
		{name: "tenant, by a path value that the route lacks", guard: persauth.Tenant(persauth.PathValue("tenant")), refused: []string{user, foreign}},
		{name: "business", guard: persauth.Business(fixed), pass: []string{admin, both, foreign}, refused: []string{user, tenant, bare, empty}},
		{name: "business, by path", guard: persauth.Business(path), target: "/shop", pass: []string{admin}, refused: []string{user, empty}},
		{name: "business, by another path", guard: persauth.Business(path), target: "/bar", refused: []string{admin}},
		{name: "business role", guard: persauth.BusinessRole(fixed, "ADMIN"), pass: []string{admin}, refused: []string{both, tenant, user, bare, empty}},
		{name: "one of the business roles", guard: persauth.BusinessRole(fixed, "ADMIN", "EDITOR"), pass: []string{admin, both}, refused: []string{posing}},
		{name: "business role, elsewhere", guard: persauth.BusinessRole(path, "ADMIN"), target: "/bar", refused: []string{admin}},
		{name: "tenant role", guard: persauth.TenantRole(persauth.Fixed("acme"), "TENANT_ADMIN"), pass: []string{tenant}, refused: []string{posing, admin, user}},
		{name: "tenant role, elsewhere", guard: persauth.TenantRole(persauth.Fixed("other"), "TENANT_ADMIN"), refused: []string{tenant, foreign}},
		{name: "type", guard: persauth.AuthTypeIn(persauth.AuthSystem), pass: []string{system}, refused: []string{user, admin, tenant, bare}},
		{name: "one of the types", guard: persauth.AuthTypeIn(persauth.AuthSystem, persauth.AuthTenant), pass: []string{system, tenant}, refused: []string{user}},
		{name: "a rule of one's own", guard: large, pass: []string{user}},
		{name: "a rule of one's own, broken", guard: large, headers: []string{"Size", "large"}, refused: []string{user, tenant}},
		{name: "all of them", guard: persauth.AllOf(persauth.Tenant(persauth.Fixed("acme")), persauth.BusinessRole(fixed, "ADMIN")),
			pass: []string{admin}, refused: []string{foreign, both, user}},
		{name: "any of them", guard: persauth.AnyOf(persauth.TenantRole(persauth.Fixed("acme"), "TENANT_ADMIN"), persauth.BusinessRole(fixed, "EDITOR")),
			pass: []string{tenant, both}, refused: []string{admin, user, foreign}},
		{name: "one alone, of all", guard: persauth.AllOf(persauth.Business(fixed)), pass: []string{admin}, refused: []string{user}},
		{name: "one alone, of any", guard: persauth.AnyOf(persauth.Business(fixed)), pass: []string{admin}, refused: []string{user}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.Handle("/{id}", v.Require(c.guard)(callerOf))
			status := func(token string) int {
				target := c.target
				if target == "" {
					target = "/x"
				}
				return serveRequest(mux, newRequest(http.MethodGet, target, append(c.headers, "Authorization", "Bearer "+token)...)).StatusCode
			}
			for i, token := range c.pass {
				assert.Equal(t, http.StatusOK, status(token), "caller %d", i)
			}
			for i, token := range c.refused {
				assert.Equal(t, http.StatusForbidden, status(token), "refused caller %d", i)
				claims, err := v.Verify(t.Context(), token)
				require.NoError(t, err)
				r := newRequest(http.MethodGet, "/", c.headers...)
				if c.target != "" {
					r.SetPathValue("id", c.target[1:])
				}
				require.ErrorIs(t, c.guard(r, claims), persauth.ErrForbidden)
			}
			assert.ErrorIs(t, c.guard(newRequest(http.MethodGet, "/", "X-Tenant", "acme"), nil), persauth.ErrForbidden, "claims that are not there")
			assert.Equal(t, http.StatusUnauthorized, serveRequest(mux, newRequest(http.MethodGet, "/x", c.headers...)).StatusCode, "no token")
		})
	}
}

// Where one alternative cannot tell, the answer is not that the caller may not.
func TestGuardThatCannotTell(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	cannotTell := persauth.Guard(func(*http.Request, *persauth.Claims) error {
		return &persauth.Error{Check: "subscription", Err: persauth.ErrUnavailable, Cause: errors.New("no database")}
	})
	mine, others := persauth.Tenant(persauth.Fixed("acme")), persauth.Tenant(persauth.Fixed("other"))
	for _, c := range []struct {
		name   string
		guard  persauth.Guard
		status int
	}{
		{"alone", cannotTell, http.StatusServiceUnavailable},
		{"or another that lets pass", persauth.AnyOf(cannotTell, mine), http.StatusOK},
		{"or another that does not", persauth.AnyOf(cannotTell, others), http.StatusServiceUnavailable},
		{"the other way round", persauth.AnyOf(others, cannotTell), http.StatusServiceUnavailable},
		{"and another that lets pass", persauth.AllOf(mine, cannotTell), http.StatusServiceUnavailable},
		{"after another that does not", persauth.AllOf(others, cannotTell), http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(http.MethodGet, "/", "Authorization", "Bearer "+iss.UserToken("acme"))
			assert.Equal(t, c.status, serveRequest(v.Require(c.guard)(callerOf), r).StatusCode)
		})
	}
}

// A client that goes away while a guard looks something up was not refused, however
// the guard tells of it.
func TestGuardOfAClientThatWentAway(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for _, told := range []error{context.Canceled, fmt.Errorf("look-up: %w", context.Canceled),
		fmt.Errorf("%w: %w", persauth.ErrForbidden, context.Canceled)} {
		v := iss.Verifier()
		guard := persauth.Guard(func(*http.Request, *persauth.Claims) error { return told })
		serveRequest(v.Require(guard)(nothing), bearerRequest(t, iss, v))
		assert.Empty(t, v.Status().Counters.Refused, told)
	}
}

// A rule that would require nothing is found when the routes are made, and not
// when the first stranger comes.
func TestGuardsWithoutARequirement(t *testing.T) {
	v := persauthtest.NewIssuer(t).Verifier()
	id := persauth.PathValue("id")
	good := persauth.Business(id)
	var none persauth.Guard
	for name, build := range map[string]func(){
		"PathValue":                  func() { persauth.PathValue("") },
		"HeaderValue":                func() { persauth.HeaderValue("") },
		"Fixed":                      func() { persauth.Fixed("") },
		"Tenant of nothing":          func() { persauth.Tenant(persauth.Selector{}) },
		"Business of nothing":        func() { persauth.Business(persauth.Selector{}) },
		"BusinessRole of nothing":    func() { persauth.BusinessRole(persauth.Selector{}, "ADMIN") },
		"TenantRole of nothing":      func() { persauth.TenantRole(persauth.Selector{}, "ADMIN") },
		"BusinessRole":               func() { persauth.BusinessRole(id, "") },
		"BusinessRole, a second one": func() { persauth.BusinessRole(id, "ADMIN", "") },
		"TenantRole":                 func() { persauth.TenantRole(id, "") },
		"OfType":                     func() { persauth.AuthTypeIn("") },
		"OfType, a second one":       func() { persauth.AuthTypeIn(persauth.AuthUser, "") },
		"Where without a name":       func() { persauth.GuardFunc("", func(*http.Request, *persauth.Claims) bool { return true }) },
		"Where without a rule":       func() { persauth.GuardFunc("rule", nil) },
		"AllOf":                      func() { persauth.AllOf(none) },
		"AllOf, a second one":        func() { persauth.AllOf(good, none) },
		"AnyOf":                      func() { persauth.AnyOf(none) },
		"AnyOf, a second one":        func() { persauth.AnyOf(good, none) },
		"Require":                    func() { v.Require(none) },
		"Require, a second one":      func() { v.Require(good, none) },
	} {
		assert.Panics(t, build, name)
	}
	assert.NotPanics(t, func() { v.Require(good, persauth.AnyOf(good), persauth.AuthTypeIn(persauth.AuthUser)) })
}

// Each guard asks its own verifier: one that another let through is nobody here.
func TestTwoVerifiers(t *testing.T) {
	ours, theirs := persauthtest.NewIssuer(t), persauthtest.NewIssuer(t)
	us, them := ours.Verifier(), theirs.Verifier()
	handler := us.Middleware(them.Require(persauth.Tenant(persauth.Fixed("acme")))(callerOf))
	assert.Equal(t, http.StatusUnauthorized,
		serveRequest(handler, newRequest(http.MethodGet, "/", "Authorization", "Bearer "+ours.UserToken("acme"))).StatusCode)

	// The same place behind a verifier that also knows the token, from elsewhere.
	them = ours.Verifier(func(cfg *persauth.Config) { cfg.Tenants = []string{"acme"} })
	handler = us.Middleware(them.Require(persauth.Tenant(persauth.Fixed("acme")))(callerOf))
	assert.Equal(t, http.StatusOK,
		serveRequest(handler, newRequest(http.MethodGet, "/", "Authorization", "Bearer "+ours.UserToken("acme"))).StatusCode)
}

// Admit is for middleware of other forms: it answers, or hands over the caller.
func TestAdmit(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	acme := persauth.TenantIs("acme").Guard()
	for _, c := range []struct {
		name, token string
		guards      []persauth.Guard
		status      int
		known       bool
	}{
		{"good", iss.UserToken("acme"), []persauth.Guard{acme}, 200, true},
		{"no guards", iss.UserToken("other"), nil, 200, true},
		{"forbidden", iss.UserToken("other"), []persauth.Guard{acme}, 403, true},
		{"one of two forbids", iss.UserToken("acme"), []persauth.Guard{acme, persauth.BusinessIs("shop").Guard()}, 403, true},
		{"expired", iss.ExpiredToken(), []persauth.Guard{acme}, 401, false},
		{"no token", "", nil, 401, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRequest(http.MethodGet, "/")
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			w := httptest.NewRecorder()
			admitted, ok := v.Admit(w, r, c.guards...)
			assert.Equal(t, c.status == 200, ok)
			assert.Equal(t, c.status, w.Code) // a recorder's own is 200
			assert.Equal(t, ok, w.Body.Len() == 0)
			_, known := persauth.FromContext(admitted.Context())
			assert.Equal(t, c.known, known)
		})
	}
	assert.Panics(t, func() { v.Admit(httptest.NewRecorder(), newRequest(http.MethodGet, "/"), nil) })
}
