package sidecar

import (
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

// A role counts as the tenant's only in a token of the tenant; an operator whose
// administrators are refused for want of evidence reads why.
func TestTenantRoleNeedsEvidence(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	admin := func(more map[string]any) string {
		claims := map[string]any{"tenantId": tenant, "role": "TENANT_ADMIN"}
		maps.Copy(claims, more)
		return iss.Token(claims)
	}
	route := `
routes:
  - {methods: [GET], path: /admin, tenant: ` + tenant + `, tenantRoles: [TENANT_ADMIN]}
pers: {jwks: jwks.json, offline: true`
	for name, row := range map[string]struct {
		settings, token string
		status          int
		logged          bool
	}{
		"tenant":                 {"", admin(map[string]any{"authType": "tenant"}), 200, false},
		"business":               {"", admin(map[string]any{"authType": "business", "businessId": business}), 403, false},
		"business, other claim":  {"", admin(map[string]any{"authType": "business", "business_id": business}), 403, false},
		"no type":                {"", admin(map[string]any{"authType": nil, "business_id": business}), 403, true},
		"other spelling":         {"", admin(map[string]any{"authType": "BUSINESS"}), 403, true},
		"external":               {"", admin(map[string]any{"authType": "external"}), 403, false},
		"system":                 {"", admin(map[string]any{"authType": "system"}), 403, true},
		"system, evident":        {", tenantEvidence: {authTypes: [system]}", admin(map[string]any{"authType": "system"}), 200, false},
		"kind":                   {"", admin(map[string]any{"authType": nil, "type": "TENANT_ADMIN_JWT"}), 403, true},
		"kind, evident":          {", tenantEvidence: {tokenKinds: [TENANT_ADMIN_JWT]}", admin(map[string]any{"authType": nil, "type": "TENANT_ADMIN_JWT"}), 200, false},
		"kind, by another claim": {", claims: {kind: use}, tenantEvidence: {tokenKinds: [TENANT_ADMIN_JWT]}", admin(map[string]any{"authType": nil, "use": "TENANT_ADMIN_JWT"}), 200, false},
		"type not accepted":      {", authTypes: [business]", admin(map[string]any{"authType": "tenant"}), 401, false},
		"kind not accepted":      {", tokenKinds: [TENANT_SYSTEM_JWT]", admin(map[string]any{"authType": "tenant", "type": "TENANT_ADMIN_JWT"}), 401, false},
		"refresh token":          {"", admin(map[string]any{"authType": "tenant", "type": "ADMIN_JWT_REFRESH_TOKEN"}), 401, false},
	} {
		e := newEndpoint(t, iss, head+route+row.settings+"}\n")
		log := new(logged)
		e.log = slog.New(slog.NewJSONHandler(log, nil)) // as it is without settings
		w := ask(e, shape("nginx", "GET", "/admin"), row.token)
		assert.Equal(t, row.status, w.Code, name)
		assert.Equal(t, row.logged, strings.Contains(log.String(), "pers.tenantEvidence"), "%s: %s", name, log)
		assert.NotContains(t, w.Body.String(), "vidence", "not for the client")
	}
}
