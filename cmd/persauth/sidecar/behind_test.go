package sidecar

// What clients get from each proxy, and what the service hears of them.

import (
	"os"
	"strings"
	"testing"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// repaired are paths that some proxies clean, for the sidecar as for the service,
// with the answer for the clean one.
var repaired = map[string]struct {
	uri    string
	status int
}{
	"dots":         {"/admin/users", 401},
	"escaped dots": {"/admin/users", 401},
	"slashes":      {"/public/admin", 200},
	// Refused before anybody is asked.
	"escaped slash": {"", 400},
}

// TestProxies runs each proxy with its example.
func TestProxies(t *testing.T) {
	for _, proxy := range allProxies {
		t.Run(proxy, func(t *testing.T) {
			b := newBehind(t, proxy)
			t.Run("attacks", func(t *testing.T) { testAttacks(t, b) })
			t.Run("WebSockets", func(t *testing.T) { testWebSocket(t, b) })
			t.Run("challenges", func(t *testing.T) { testChallenges(t, b) })
			t.Run("bodies that never come", func(t *testing.T) { testBodies(t, b) })
			testProxy(t, b) // stops the sidecar at its end
		})
	}
}

func testProxy(t *testing.T, b *behind) {
	bearer := func(token string) map[string]string { return map[string]string{"Authorization": "Bearer " + token} }
	orders := "/businesses/" + business + "/orders"
	for name, row := range map[string]struct {
		method, uri, token string
		status             int
	}{
		"allowed":         {"GET", "/me?a=b", b.iss.UserToken(tenant), 200},
		"written":         {"POST", orders, b.iss.BusinessToken(tenant, business, "EDITOR"), 200},
		"admin":           {"DELETE", "/admin/users/1", b.iss.TenantToken(tenant, "TENANT_ADMIN"), 200},
		"public":          {"GET", "/public/a", "", 200},
		"broken service":  {"GET", "/public/broken", "", 500},
		"no token":        {"GET", "/me", "", 401},
		"refused":         {"GET", "/me", b.iss.ForgedToken(), 401},
		"expired":         {"GET", "/me", b.iss.ExpiredToken(), 401},
		"wrong role":      {"POST", orders, b.iss.BusinessToken(tenant, business, "VIEWER"), 403},
		"wrong business":  {"GET", "/businesses/b/orders", b.iss.BusinessToken(tenant, business, "ADMIN"), 403},
		"wrong tenant":    {"GET", "/me", b.iss.ForeignToken(), 401},
		"no route":        {"GET", "/secret/x", b.iss.TenantToken(tenant, "TENANT_ADMIN"), 403},
		"the sidecar's":   {"GET", "/_persauth", "", 404},
		"dots":            {"GET", "/public/../admin/users", "", 403},
		"escaped dots":    {"GET", "/public/%2e%2e/admin/users", "", 403},
		"escaped slash":   {"GET", "/public/..%2fadmin", "", 403},
		"slashes":         {"GET", "/public//admin", "", 403},
		"escaped letters": {"GET", "/%61dmin/users", b.iss.UserToken(tenant), 403},
	} {
		header := map[string]string{}
		if row.token != "" {
			header = bearer(row.token)
		}
		response, seen := b.send(t, row.method, row.uri, header)
		if name == "the sidecar's" && response.StatusCode == 401 {
			continue // only nginx has such an address
		}
		if clean, may := repaired[name]; may && response.StatusCode == clean.status {
			row.uri, row.status = clean.uri, clean.status
		}
		assert.Equal(t, row.status, response.StatusCode, name)
		if assert.Equal(t, row.status == 200 || row.status == 500, seen != nil, "%s: what the service heard", name) && seen != nil {
			assert.Equal(t, row.method+" "+row.uri, seen.Method+" "+seen.URI, "what was decided about is what is done")
		}
		if row.status == 401 {
			assert.Contains(t, response.Header.Get("WWW-Authenticate"), "Bearer", name)
		}
	}

	forged := map[string]string{"X-Pers-Subject": "root", "X-Pers-Tenant-Id": "t", "X-Pers-Business-Id": "b", "X-Pers-Roles": "ADMIN",
		"X-Pers-Auth-Type": "system", "X-Original-Uri": "/public/a", "X-Original-Method": "GET", "X-Forwarded-Uri": "/public/a",
		"X-Forwarded-Method": "GET", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "http"}
	with := func(more map[string]string) map[string]string {
		all := map[string]string{}
		for _, m := range []map[string]string{forged, more} {
			for k, v := range m {
				all[k] = v
			}
		}
		return all
	}
	_, got := b.send(t, "GET", "/public/a", forged)
	require.NotNil(t, got)
	for name := range forged {
		if strings.HasPrefix(name, "X-Pers-") {
			assert.Empty(t, got.Header.Get(name), "forged, and nobody is signed in")
		}
	}
	_, got = b.send(t, "GET", orders, with(bearer(b.iss.BusinessToken(tenant, business, "A,B", "EDITOR"))))
	require.NotNil(t, got)
	assert.Equal(t, []string{business}, got.Header.Values("X-Pers-Business-Id"))
	assert.Equal(t, []string{tenant}, got.Header.Values("X-Pers-Tenant-Id"))
	assert.Equal(t, []string{"A%2CB,EDITOR"}, got.Header.Values("X-Pers-Roles"))
	assert.Equal(t, []string{"business"}, got.Header.Values("X-Pers-Auth-Type"))
	assert.NotEqual(t, []string{"root"}, got.Header.Values("X-Pers-Subject"))
	response, got := b.send(t, "DELETE", "/admin/users", forged)
	assert.Equal(t, 401, response.StatusCode, "what the client says that it asks for is not believed")
	assert.Nil(t, got)

	client := b.iss.DPoPClient("ES256")
	token := b.iss.BoundToken(client, map[string]any{})
	proof := map[string]string{"Authorization": "DPoP " + token, "Dpop": client.Proof("GET", "https://api.example.com/me", token)}
	response, _ = b.send(t, "GET", "/me", proof)
	assert.Equal(t, 200, response.StatusCode, "bound, with its proof")
	response, _ = b.send(t, "GET", "/me", proof)
	assert.Equal(t, 401, response.StatusCode, "the proof again")
	response, _ = b.send(t, "GET", "/me", bearer(token))
	assert.Equal(t, 401, response.StatusCode, "bound, without")

	// A token that PERS has to be asked about, and PERS does not answer.
	b.pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500))
	response, got = b.send(t, "GET", "/live", bearer(b.iss.SystemToken(tenant)))
	assert.Equal(t, 503, response.StatusCode)
	assert.NotEmpty(t, response.Header.Get("Retry-After"))
	assert.Nil(t, got)
	response, _ = b.send(t, "GET", "/me", bearer(b.iss.UserToken(tenant)))
	assert.Equal(t, 200, response.StatusCode, "others are served")
	b.pers.Heal()

	require.NoError(t, b.sidecar.stop())
	response, got = b.send(t, "GET", "/me", bearer(b.iss.UserToken(tenant)))
	assert.GreaterOrEqual(t, response.StatusCode, 500, "without a sidecar nobody comes in")
	assert.Nil(t, got)
}

// The examples' own configurations hold.
func TestExamples(t *testing.T) {
	for _, proxy := range allProxies {
		o := Options{Config: examples + proxy + ".sidecar.yaml", Getenv: onlyKey(strings.Repeat("ab", 32))}
		assert.NoError(t, Check(o), proxy)
	}
	for _, page := range []string{"docs/sidecar.md"} {
		body, err := os.ReadFile("../../../" + page)
		require.NoError(t, err)
		_, text, found := strings.Cut(string(body), "```yaml\nproxy:")
		require.True(t, found, page)
		text, _, _ = strings.Cut("proxy:"+text, "```")
		_, err = parse("sidecar.yaml", []byte(text))
		assert.NoError(t, err, page)
	}
}
