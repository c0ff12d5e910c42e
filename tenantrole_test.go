package persauth_test

// What gives a right needs evidence: a role is the tenant's only in a token that
// is the tenant's own, and a refresh token is no access token.

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// status is what a caller with these claims gets where guard stands.
func status(t *testing.T, guard persauth.Guard, claims map[string]any, changes ...func(*persauth.Config)) (status int, refused error) {
	t.Helper()
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(append(changes, func(cfg *persauth.Config) {
		cfg.OnRefused = func(v *persauth.Verifier, w http.ResponseWriter, r *http.Request, err error) {
			refused = err
			v.WriteError(w, r, err)
		}
	})...)
	all := map[string]any{"tenantId": "acme", "sub": "ann"}
	for name, value := range claims {
		all[name] = value
	}
	w := httptest.NewRecorder()
	handler := v.Require(guard)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	handler.ServeHTTP(w, newRequest(http.MethodGet, shopOrders, "Authorization", "Bearer "+iss.Token(all)))
	return w.Code, refused
}

func TestTenantRoleNeedsEvidence(t *testing.T) {
	guard := persauth.TenantRole(persauth.Fixed("acme"), "TENANT_ADMIN")
	byKind := func(cfg *persauth.Config) { cfg.TenantEvidence.TokenKinds = []string{"TENANT_ADMIN_JWT"} }
	byType := func(cfg *persauth.Config) { cfg.TenantEvidence.AuthTypes = []persauth.AuthType{persauth.AuthSystem} }
	named := func(cfg *persauth.Config) { cfg.ClaimNames.Business = "context.businessId" }
	for _, c := range []struct {
		name   string
		claims map[string]any
		change func(*persauth.Config)
		want   int
	}{
		{"an admin of the tenant", map[string]any{"authType": "tenant"}, nil, http.StatusNoContent},
		{"no auth type", nil, nil, http.StatusForbidden},
		{"auth type null", map[string]any{"authType": nil}, nil, http.StatusForbidden},
		{"another spelling", map[string]any{"authType": "TENANT"}, nil, http.StatusForbidden},
		{"a space", map[string]any{"authType": "tenant "}, nil, http.StatusForbidden},
		{"a business in capitals", map[string]any{"authType": "BUSINESS"}, nil, http.StatusForbidden},
		{"somebody from outside", map[string]any{"authType": "external"}, nil, http.StatusForbidden},
		{"a user", map[string]any{"authType": "user"}, nil, http.StatusForbidden},
		{"a program", map[string]any{"authType": "system"}, nil, http.StatusForbidden},
		{"a business claim of another name, no auth type", map[string]any{"business_id": "shop"}, nil, http.StatusForbidden},
		{"a business claim elsewhere, no auth type", map[string]any{"context": map[string]any{"businessId": "shop"}}, nil, http.StatusForbidden},
		{"a business claim beside the tenant's type", map[string]any{"authType": "tenant", "businessId": "shop"}, nil, http.StatusForbidden},
		{"a business claim of a configured name", map[string]any{"authType": "tenant", "context": map[string]any{"businessId": "shop"}}, named, http.StatusForbidden},
		{"the kind, not configured", map[string]any{"type": "TENANT_ADMIN_JWT"}, nil, http.StatusForbidden},
		{"the kind", map[string]any{"type": "TENANT_ADMIN_JWT"}, byKind, http.StatusNoContent},
		{"the kind, in small letters", map[string]any{"type": "tenant_admin_jwt"}, byKind, http.StatusForbidden},
		{"the kind, of a business", map[string]any{"type": "TENANT_ADMIN_JWT", "businessId": "shop"}, byKind, http.StatusForbidden},
		{"the kind, beside a business' type", map[string]any{"type": "TENANT_ADMIN_JWT", "authType": "business"}, byKind, http.StatusForbidden},
		{"the kind, beside a user's type", map[string]any{"type": "TENANT_ADMIN_JWT", "authType": "user"}, byKind, http.StatusForbidden},
		{"a configured type", map[string]any{"authType": "system"}, byType, http.StatusNoContent},
		{"the tenant's type beside a configured one", map[string]any{"authType": "tenant"}, byType, http.StatusNoContent},
	} {
		t.Run(c.name, func(t *testing.T) {
			claims := map[string]any{"role": "TENANT_ADMIN"}
			for name, value := range c.claims {
				claims[name] = value
			}
			changes := []func(*persauth.Config){}
			if c.change != nil {
				changes = append(changes, c.change)
			}
			got, err := status(t, guard, claims, changes...)
			require.Equal(t, c.want, got)
			if c.want == http.StatusForbidden {
				var e *persauth.Error
				require.ErrorAs(t, err, &e)
				assert.Contains(t, e.Want, "Config.TenantEvidence", "the operator learns which setting decides")
				assert.Contains(t, e.Got, "authType", "and what the token has")
			}
		})
	}
}

// A session that says that it is a user's has no role in a business.
func TestBusinessRoleOfAUser(t *testing.T) {
	guard := persauth.BusinessRole(persauth.Fixed("shop"), "ADMIN")
	for authType, want := range map[string]int{"business": 204, "": 204, "system": 204, "user": 403, "external": 403} {
		claims := map[string]any{"businessId": "shop", "role": "ADMIN"}
		if authType != "" {
			claims["authType"] = authType
		}
		got, _ := status(t, guard, claims)
		assert.Equal(t, want, got, authType)
	}
}

func TestTokenKinds(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   any
		change func(*persauth.Config)
		want   error
	}{
		{"none", nil, nil, nil},
		{"an access token", "USER_JWT_ACCESS_TOKEN", nil, nil},
		{"a system token", "TENANT_SYSTEM_JWT", nil, nil},
		{"a user's refresh token", "USER_JWT_REFRESH_TOKEN", nil, persauth.ErrClaims},
		{"an admin's refresh token", "ADMIN_JWT_REFRESH_TOKEN", nil, persauth.ErrClaims},
		{"in small letters", "user_jwt_refresh_token", nil, persauth.ErrClaims},
		{"by half its name", "Refresh", nil, persauth.ErrClaims},
		{"no string", 1, nil, persauth.ErrClaims},
		{"one of those allowed", "USER_JWT_ACCESS_TOKEN", func(cfg *persauth.Config) { cfg.TokenKinds = []string{"USER_JWT_ACCESS_TOKEN"} }, nil},
		{"none of those allowed", "TENANT_SYSTEM_JWT", func(cfg *persauth.Config) { cfg.TokenKinds = []string{"USER_JWT_ACCESS_TOKEN"} }, persauth.ErrClaims},
	} {
		t.Run(c.name, func(t *testing.T) {
			change := func(cfg *persauth.Config) {
				if c.change != nil {
					c.change(cfg)
				}
			}
			iss := persauthtest.NewIssuer(t)
			claims := map[string]any{"tenantId": "acme"}
			if c.kind != nil {
				claims["type"] = c.kind
			}
			answers(t, iss.Verifier(change), iss.Token(claims), c.want)
			if claims["kind"] = claims["type"]; c.kind != nil {
				delete(claims, "type")
				renamed := func(cfg *persauth.Config) { cfg.ClaimNames.Kind = "kind" }
				got := answers(t, iss.Verifier(change, renamed), iss.Token(claims), c.want)
				if got != nil {
					assert.Equal(t, c.kind, got.TokenKind())
				}
			}
		})
	}
	for name, cfg := range map[string]persauth.Config{
		"a refresh token allowed":     {TokenKinds: []string{"USER_JWT_REFRESH_TOKEN"}},
		"a refresh token as evidence": {TenantEvidence: persauth.TenantEvidence{TokenKinds: []string{"ADMIN_JWT_REFRESH_TOKEN"}}},
		"a business as the tenant":    {TenantEvidence: persauth.TenantEvidence{AuthTypes: []persauth.AuthType{persauth.AuthBusiness}}},
		"an empty kind":               {TokenKinds: []string{""}},
		"an empty type":               {AuthTypes: []persauth.AuthType{""}},
	} {
		cfg.Keys = persauth.FileKeys("testdata/jwks.json")
		_, err := persauth.New(cfg)
		assert.Error(t, err, name)
	}
}

// A service that is not for users need not accept their tokens at all.
func TestAuthTypes(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.AuthTypes = []persauth.AuthType{persauth.AuthBusiness, persauth.AuthTenant}
	})
	exp := time.Now().Add(time.Hour).Unix()
	for authType, want := range map[any]error{"business": nil, "tenant": nil, "user": persauth.ErrClaims, "Tenant": persauth.ErrClaims, nil: persauth.ErrClaims, 1: persauth.ErrClaims} {
		answers(t, v, iss.Token(map[string]any{"tenantId": "acme", "authType": authType, "exp": exp}), want)
	}
}
