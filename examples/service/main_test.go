package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	tenant = persauthtest.DefaultTenant
	orders = "/businesses/b1/orders"
	closed = "/admin/businesses/b1/close"
)

func call(service http.Handler, method, path, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	service.ServeHTTP(w, r)
	return w
}

// Who may do what.
func TestWhoMayDoWhat(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	service := newService(iss.Verifier(), tenant)
	const item = `{"item":"tea"}`
	for name, row := range map[string]struct {
		token               string
		list, create, close int
	}{
		"nobody":                    {"", 401, 401, 401},
		"expired":                   {iss.ExpiredToken(), 401, 401, 401},
		"forged":                    {iss.ForgedToken(), 401, 401, 401},
		"a user":                    {iss.UserToken(tenant), 403, 403, 403},
		"a member":                  {iss.BusinessToken(tenant, "b1", "VIEWER"), 200, 403, 403},
		"an editor":                 {iss.BusinessToken(tenant, "b1", "EDITOR"), 200, 201, 403},
		"an admin of the business":  {iss.BusinessToken(tenant, "b1", "ADMIN"), 200, 201, 403},
		"an admin of another":       {iss.BusinessToken(tenant, "b2", "ADMIN"), 403, 403, 403},
		"the same, other tenant":    {iss.BusinessToken("other", "b1", "ADMIN"), 403, 403, 403},
		"a business's TENANT_ADMIN": {iss.BusinessToken(tenant, "b1", "TENANT_ADMIN"), 200, 403, 403},
		"a tenant's viewer":         {iss.TenantToken(tenant, "VIEWER"), 403, 403, 403},
		"another tenant's admin":    {iss.TenantToken("other", "TENANT_ADMIN"), 403, 403, 403},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, row.list, call(service, "GET", orders, row.token, "").Code, "list")
			assert.Equal(t, row.create, call(service, "POST", orders, row.token, item).Code, "create")
			assert.Equal(t, row.close, call(service, "POST", closed, row.token, "").Code, "close")
		})
	}
}

// A day in the life of a business, until it is closed.
func TestBusiness(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	service := newService(iss.Verifier(), tenant)
	editor := iss.Token(map[string]any{"sub": "ann", "tenantId": tenant, "businessId": "b1", "role": "EDITOR", "authType": "business"})

	created := call(service, "POST", orders, editor, `{"item":"tea","by":"somebody else"}`)
	require.Equal(t, 201, created.Code)
	assert.JSONEq(t, `[{"item":"tea","by":"ann"}]`, call(service, "GET", orders, editor, "").Body.String())
	assert.Equal(t, 400, call(service, "POST", orders, editor, `{}`).Code)
	assert.JSONEq(t, `[]`, call(service, "GET", "/businesses/b2/orders", iss.BusinessToken(tenant, "b2"), "").Body.String())

	assert.Equal(t, 204, call(service, "POST", closed, iss.TenantToken(tenant, "TENANT_ADMIN"), "").Code)
	assert.Equal(t, 409, call(service, "POST", orders, editor, `{"item":"cake"}`).Code)

	iss.Clock().Advance(16 * time.Minute)
	assert.Equal(t, 401, call(service, "GET", orders, editor, "").Code, "tokens live for 15 minutes")
}

// A token that is bound to a client's key is nothing without it.
func TestBoundToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	service := newService(iss.Verifier(func(c *persauth.Config) { c.DPoP.Origin = "https://api.example.com" }), tenant)
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, map[string]any{"tenantId": tenant, "businessId": "b1"})
	r := httptest.NewRequest("GET", "https://api.example.com"+orders, nil)
	client.Authorize(r, token)
	send := func() int {
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w.Code
	}
	assert.Equal(t, 200, send())
	assert.Equal(t, 401, send(), "a proof is good once")
	assert.Equal(t, 401, call(service, "GET", orders, token, "").Code, "without a proof")
}

func TestSelfCheck(t *testing.T) {
	assert.NoError(t, selfCheck(newService(persauthtest.NewIssuer(t).Verifier(), tenant)))
	assert.Error(t, selfCheck(http.NotFoundHandler()))
}
