package persauth_test

// Code that pages show and that no other test has.

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

// sentTo returns the status that a handler answers a request with.
func sentTo(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func withToken(method, path, token string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// README.md, docs/guards.md
func TestPageGuards(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	const tenantID = "acme"
	done := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	create, remove := done, done
	mux := http.NewServeMux()

	business := persauth.PathValue("business")
	mux.Handle("POST /businesses/{business}/orders", v.Require(persauth.BusinessRole(business, "ADMIN", "EDITOR"))(create))
	mux.Handle("DELETE /businesses/{business}", v.Require(persauth.AnyOf(
		persauth.TenantRole(persauth.Fixed(tenantID), "TENANT_ADMIN"),
		persauth.AllOf(persauth.Business(business), persauth.AuthTypeIn(persauth.AuthSystem)),
	))(remove))

	editor, admin := iss.BusinessToken("acme", "shop-1", "EDITOR"), iss.TenantToken("acme", "TENANT_ADMIN")
	program := iss.Token(map[string]any{"tenantId": "acme", "businessId": "shop-1", "authType": "system"})
	assert.Equal(t, 204, sentTo(mux, withToken("POST", "/businesses/shop-1/orders", editor)))
	assert.Equal(t, 403, sentTo(mux, withToken("POST", "/businesses/shop-2/orders", editor)))
	assert.Equal(t, 403, sentTo(mux, withToken("DELETE", "/businesses/shop-1", editor)))
	assert.Equal(t, 204, sentTo(mux, withToken("DELETE", "/businesses/shop-1", admin)))
	assert.Equal(t, 204, sentTo(mux, withToken("DELETE", "/businesses/shop-1", program)))
	assert.Equal(t, 403, sentTo(mux, withToken("DELETE", "/businesses/shop-2", program)))
}

// docs/guards.md
func TestPageTenantEvidence(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.TenantEvidence = persauth.TenantEvidence{TokenKinds: []string{"TENANT_ADMIN_JWT"}}
	})
	admin := map[string]any{"tenantId": "acme", "role": "TENANT_ADMIN", "type": "TENANT_ADMIN_JWT"}
	claims := persauthtest.Accepts(t, v, iss.Token(admin))
	assert.NoError(t, claims.RequireTenantRole("acme", "TENANT_ADMIN"))
	delete(admin, "type")
	claims = persauthtest.Accepts(t, v, iss.Token(admin))
	assert.ErrorIs(t, claims.RequireTenantRole("acme", "TENANT_ADMIN"), persauth.ErrForbidden)
}

// docs/dpop.md
func TestPageDPoP(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "https://api.example.com"}
	})
	client := iss.DPoPClient("ES256")
	r := httptest.NewRequest("GET", "https://api.example.com/me", nil)
	client.Authorize(r, iss.BoundToken(client, map[string]any{"tenantId": "acme"}))
	_, err := v.VerifyRequest(r)
	assert.NoError(t, err)
	_, err = v.VerifyRequest(r)
	assert.ErrorIs(t, err, persauth.ErrReplay)
}

// docs/revocation.md
func TestPageGrace(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	v := pers.Verifier(func(cfg *persauth.Config) {
		cfg.Revocation = persauth.RevocationEvery(5 * time.Minute).WithGrace(10 * time.Minute)
	})
	token := iss.Token(map[string]any{"tenantId": "acme", "exp": iss.Clock().Now().Add(time.Hour).Unix()})
	persauthtest.Accepts(t, v, token)
	pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
	iss.Clock().Advance(14 * time.Minute)
	persauthtest.Accepts(t, v, token)
	iss.Clock().Advance(2 * time.Minute)
	persauthtest.Refuses(t, v, token, persauth.ErrUnavailable)
}

// docs/revocation.md
func TestPageRevoke(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	token := iss.Token(map[string]any{"tenantId": "acme", "jti": "7"})
	claims := persauthtest.Accepts(t, v, token)
	event := struct {
		TokenID   string
		ExpiresAt time.Time
	}{"7", claims.ExpiresAt()}

	err := v.Revoke(persauth.Revocation{ID: event.TokenID, Until: event.ExpiresAt})

	assert.NoError(t, err)
	persauthtest.Refuses(t, v, token, persauth.ErrRevoked)
}
