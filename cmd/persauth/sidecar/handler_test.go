package sidecar

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var allProxies = []string{"nginx", "traefik", "caddy", "envoy"}

func configFor(proxy string) string {
	config := "proxy: " + proxy + shopRoutes
	if proxy == "envoy" {
		config += "pathPrefix: /check\n"
	}
	return config
}

// What each proxy sends, as its documentation has it, and what comes back.
func TestDecisions(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	editor := iss.BusinessToken(tenant, business, "EDITOR")
	for _, proxy := range allProxies {
		t.Run(proxy, func(t *testing.T) {
			e := newEndpoint(t, iss, configFor(proxy))
			for name, row := range map[string]struct {
				method, uri, token string
				status             int
			}{
				"public":               {"GET", "/public/a/b?c=d", "", 200},
				"public, bad token":    {"GET", "/public/a", "nonsense", 200},
				"no token":             {"GET", "/me", "", 401},
				"anyone":               {"GET", "/me", iss.UserToken(tenant), 200},
				"expired":              {"GET", "/me", iss.ExpiredToken(), 401},
				"forged":               {"GET", "/me", iss.ForgedToken(), 401},
				"own business":         {"GET", "/businesses/" + business + "/orders?page=2", iss.BusinessToken(tenant, business), 200},
				"other business":       {"GET", "/businesses/other/orders", editor, 403},
				"user, no business":    {"GET", "/businesses/" + business + "/orders", iss.UserToken(tenant), 403},
				"role":                 {"POST", "/businesses/" + business + "/orders", editor, 200},
				"no role":              {"POST", "/businesses/" + business + "/orders", iss.BusinessToken(tenant, business), 403},
				"wrong role":           {"POST", "/businesses/" + business + "/orders", iss.BusinessToken(tenant, business, "VIEWER"), 403},
				"method without rule":  {"DELETE", "/businesses/" + business + "/orders", editor, 403},
				"admin":                {"DELETE", "/admin/users", iss.TenantToken(tenant, "TENANT_ADMIN"), 200},
				"admin elsewhere":      {"DELETE", "/admin/users", iss.TenantToken("other", "TENANT_ADMIN"), 403},
				"business admin":       {"DELETE", "/admin/users", iss.BusinessToken(tenant, business, "TENANT_ADMIN"), 403},
				"no route":             {"GET", "/secret", iss.TenantToken(tenant, "TENANT_ADMIN"), 403},
				"no route, no token":   {"GET", "/secret", "", 403},
				"dots to the public":   {"GET", "/public/../admin/users", "", 403},
				"escaped dots":         {"GET", "/public/%2e%2e/admin/users", "", 403},
				"slash into a segment": {"GET", "/public/..%2fadmin", "", 403},
				"method in small":      {"get", "/public/a", "", 403},
			} {
				r := shape(proxy, row.method, row.uri)
				w := ask(e, r, row.token)
				assert.Equal(t, row.status, w.Code, name)
				for _, h := range []string{headerSubject, headerTenant, headerBusiness, headerRoles, headerAuthType} {
					_, there := w.Header()[h]
					assert.Equal(t, row.status == 200, there, "%s: %s", name, h)
				}
				switch row.status {
				case 401:
					assert.Contains(t, w.Header().Get("WWW-Authenticate"), "Bearer", name)
				case 403:
					assert.Contains(t, w.Body.String(), "may not do this", name)
				}
			}
			w := ask(e, shape(proxy, "POST", "/businesses/"+business+"/orders"), editor)
			assert.Equal(t, []string{business}, w.Header()[headerBusiness])
			assert.Equal(t, []string{tenant}, w.Header()[headerTenant])
			assert.Equal(t, []string{"EDITOR"}, w.Header()[headerRoles])
			assert.Equal(t, []string{"business"}, w.Header()[headerAuthType])
			assert.NotEmpty(t, w.Header().Get(headerSubject))
		})
	}
}

// Only the headers of the configured proxy are believed, and only as it sends
// them.
func TestShapes(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for _, proxy := range allProxies {
		e := newEndpoint(t, iss, configFor(proxy))
		for name, change := range map[string]func(http.Header){
			"method override":    func(h http.Header) { h.Set("X-HTTP-Method-Override", "DELETE") },
			"method, too":        func(h http.Header) { h.Set("X-Method-Override", "DELETE") },
			"path override":      func(h http.Header) { h.Set("X-Original-URL", "/admin") },
			"path, too":          func(h http.Header) { h.Set("X-Rewrite-URL", "/admin") },
			"method, underscore": func(h http.Header) { h["X_http_method_override"] = []string{"DELETE"} },
			"path, mixed":        func(h http.Header) { h["X-Original_url"] = []string{"/admin"} },
			"path, dotted":       func(h http.Header) { h["X.rewrite.url"] = []string{"/admin"} },
			"identity":           func(h http.Header) { h["X_pers_roles"] = []string{"TENANT_ADMIN"} },
			"identity, mixed":    func(h http.Header) { h["X-Pers_roles"] = []string{"TENANT_ADMIN"} },
			"identity, of none":  func(h http.Header) { h.Set("X-Pers-Admin", "1") },
			"forwarded, alias":   func(h http.Header) { h["X_forwarded_host"] = []string{"evil.example"} },
			"original, alias":    func(h http.Header) { h["X_original_uri"] = []string{"/admin"} },
			"h2c":                func(h http.Header) { h.Set("Upgrade", "h2c") },
			"h2c settings":       func(h http.Header) { h.Set("HTTP2-Settings", "AAMAAABkAAQ") },
			"a list":             func(h http.Header) { h.Set("Upgrade", "websocket, h2c") },
			"two protocols":      func(h http.Header) { h["Upgrade"] = []string{"websocket", "h2c"} },
			"two tokens":         func(h http.Header) { h["Authorization"] = []string{"Bearer a", "Bearer b"} },
			"another proxy's":    nil,
			"no method":          func(h http.Header) { h.Del(proxies[proxy].method) },
			"no URI":             func(h http.Header) { h.Del(proxies[proxy].uri) },
			"empty method":       func(h http.Header) { h.Set(proxies[proxy].method, "") },
			"two URIs":           func(h http.Header) { h.Add(proxies[proxy].uri, "/public/b") },
			"same URI twice":     func(h http.Header) { h.Add(proxies[proxy].uri, "/public/a") },
			"two methods":        func(h http.Header) { h.Add(proxies[proxy].method, "POST") },
			"a list of methods":  func(h http.Header) { h.Set(proxies[proxy].method, "GET, POST") },
			"no protocol":        func(h http.Header) { h.Del("X-Forwarded-Proto") },
			"two hosts":          func(h http.Header) { h.Add("X-Forwarded-Host", "b") },
			"a list of hosts":    func(h http.Header) { h.Set("X-Forwarded-Host", "a,b") },
		} {
			if proxies[proxy].uri == "" && name != "method, underscore" && (strings.Contains(name, "URI") || strings.Contains(name, "method") && !strings.Contains(name, "override") && name != "method, too") ||
				len(proxies[proxy].more) == 0 && (strings.Contains(name, "hosts") || name == "no protocol") {
				continue // it has no such header
			}
			r, want := shape(proxy, "GET", "/public/a"), 403
			switch {
			case name == "two tokens":
				if r, want = shape(proxy, "GET", "/me"), 400; proxy == "nginx" {
					want = 401 // to nginx a 400 is a failure of the sidecar
				}
				fallthrough
			case change != nil:
				change(r.Header)
			default: // says that it is a public path, and is not believed
				for _, other := range allProxies {
					if proxies[other].uri != "" && proxies[other].uri != proxies[proxy].uri {
						r = shape(proxy, "DELETE", "/admin/users")
						r.Header.Set(proxies[other].method, "GET")
						r.Header.Set(proxies[other].uri, "/public/a")
						want = 401
					}
				}
			}
			assert.Equal(t, want, ask(e, r, "").Code, "%s: %s", proxy, name)
		}
		for name, change := range map[string]func(http.Header){
			"a WebSocket":   func(h http.Header) { h.Set("Upgrade", "WebSocket") },
			"of the client": func(h http.Header) { h.Set("X-Pers-Roles", "TENANT_ADMIN") }, // overwritten
			"an underscore": func(h http.Header) { h["Accept_language"] = []string{"de"} },
			"an X":          func(h http.Header) { h["X_request_id"] = []string{"1"} },
		} {
			r := shape(proxy, "GET", "/public/a")
			change(r.Header)
			assert.Equal(t, 200, ask(e, r, "").Code, "%s: %s", proxy, name)
		}
		if proxy != "envoy" {
			r := shape(proxy, "GET", "/public/a")
			r.URL.Path = "/other"
			log := new(logged)
			e.log = testLogger(log)
			assert.Equal(t, 404, ask(e, r, "").Code, "%s: an address that is not the proxy's", proxy)
			require.Len(t, log.lines(t), 1)
			line := log.lines(t)[0]
			assert.Equal(t, []any{"WARN", "not_proxy"}, []any{line["level"], line["result"]})
			assert.Contains(t, line["problem"], "/auth", "what the proxy should ask")
			assert.NotContains(t, log.String(), "/other")
			continue
		}
		r := shape(proxy, "GET", "/public/a")
		r.RequestURI = "/public/a"
		assert.Equal(t, 403, ask(e, r, "").Code, "without the prefix")
		r.RequestURI = "/checkpublic/a"
		assert.Equal(t, 403, ask(e, r, "").Code, "with more than the prefix")
	}
}

// Who is calling, in headers that nobody can break out of.
func TestIdentity(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	e := newEndpoint(t, iss, configFor("nginx"))
	token := iss.Token(map[string]any{"sub": "a\r\nX-Evil: 1", "tenantId": "té,nant", "businessId": "50%", "role": []string{"A,B", "C D", "Ω"}, "authType": "x y"})
	w := ask(e, shape("nginx", "GET", "/me"), token)
	require.Equal(t, 200, w.Code)
	for name, want := range map[string]string{
		headerSubject: "a%0D%0AX-Evil:%201", headerTenant: "t%C3%A9%2Cnant", headerBusiness: "50%25",
		headerRoles: "A%2CB,C%20D,%CE%A9", headerAuthType: "x%20y",
	} {
		assert.Equal(t, []string{want}, w.Header()[name])
	}
	w = ask(e, shape("nginx", "GET", "/public/a"), token)
	for _, name := range []string{headerSubject, headerTenant, headerBusiness, headerRoles, headerAuthType} {
		assert.Equal(t, []string{""}, w.Header()[name], "nobody, and said so")
	}
}

// A proof is for the address that the client used, whatever the proxy's request
// to the sidecar is.
func TestProofs(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, map[string]any{})
	for _, proxy := range allProxies {
		e := newEndpoint(t, iss, configFor(proxy)+"dpop: {origin: https://api.example.com}\n")
		send := func(uri, proof, scheme string) *httptest.ResponseRecorder {
			r := shape(proxy, "GET", uri)
			r.Header.Set("Authorization", scheme+" "+token)
			if proof != "" {
				r.Header.Set("DPoP", proof)
			}
			return ask(e, r, "")
		}
		proof := client.Proof("GET", "https://api.example.com/me", token)
		assert.Equal(t, 200, send("/me?a=b", proof, "DPoP").Code, proxy)
		again := send("/me", proof, "DPoP")
		assert.Equal(t, 401, again.Code, "%s: used before", proxy)
		assert.Contains(t, strings.Join(again.Header()["Www-Authenticate"], ", "), "invalid_dpop_proof")
		assert.Equal(t, 401, send("/me", client.Proof("POST", "https://api.example.com/me", token), "DPoP").Code, "%s: another method", proxy)
		assert.Equal(t, 401, send("/me", client.Proof("GET", "https://api.example.com/you", token), "DPoP").Code, "%s: another path", proxy)
		assert.Equal(t, 401, send("/me", client.Proof("GET", "http://127.0.0.1:9180/auth", token), "DPoP").Code, "%s: the sidecar's own address", proxy)
		assert.Equal(t, 401, send("/me", "", "DPoP").Code, "%s: no proof", proxy)
		assert.Equal(t, 401, send("/me", "", "Bearer").Code, "%s: as a bearer token", proxy)
	}
}

// PERS does not answer: nobody is let in, and nobody is told that the token is bad.
func TestPERSDown(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	o := options(t, iss, configFor("nginx")+"pers: {baseURL: "+pers.URL()+"}\n")
	o.Getenv = onlyKey(pers.ProjectKey())
	o.Base.HTTPClient = pers.Client()
	s, err := o.load()
	require.NoError(t, err)
	v, err := s.verifier(o.Base)
	require.NoError(t, err)
	defer v.Close()
	e := newEndpoint(t, iss, configFor("nginx"))
	e.use(&state{s, v})
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	w := ask(e, shape("nginx", "GET", "/me"), iss.UserToken(tenant))
	assert.Equal(t, 503, w.Code)
	assert.NotEmpty(t, w.Header().Get("Retry-After"))
	assert.Equal(t, 200, ask(e, shape("nginx", "GET", "/public/a"), "").Code, "what is public needs nobody")
	pers.Heal()
	iss.Clock().Advance(time.Minute)
	assert.Equal(t, 200, ask(e, shape("nginx", "GET", "/me"), iss.UserToken(tenant)).Code)

	// What labels are made of is fixed, and fit for queries: words without spaces.
	page := httptest.NewRecorder()
	e.adminHandler(new(atomic.Bool)).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	assert.NotContains(t, page.Body.String(), "persauth_pers_answering{", "PERS was not asked about tokens yet")
	purposes := map[string]bool{}
	for _, label := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(page.Body.String(), -1) {
		if label[1] == "purpose" {
			purposes[label[2]] = true
		}
		if label[1] == "purpose" || label[1] == "result" {
			assert.Regexp(t, "^[a-z_]+$", label[2], label[1])
		}
	}
	assert.Equal(t, map[string]bool{"unknown_key": true, "remote_algorithm": true, "revocation": true}, purposes)
}

// Nothing that a client sends gets into logs and labels.
func TestSilence(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	log := new(logged)
	e := newEndpoint(t, iss, configFor("nginx"))
	e.log = testLogger(log)
	secret := iss.ForeignToken()
	for _, token := range []string{secret, secret + "x", "geheim-geheim"} {
		for _, uri := range []string{"/me?token=geheim-geheim", "/geheim-geheim", "/businesses/geheim-geheim/orders", "/../geheim-geheim"} {
			ask(e, shape("nginx", "GET", uri), token)
			ask(e, shape("nginx", "geheim-geheim", uri), token)
		}
	}
	page := httptest.NewRecorder()
	e.adminHandler(new(atomic.Bool)).ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, 200, page.Code)
	for _, text := range []string{log.String(), page.Body.String()} {
		assert.NotContains(t, text, "geheim")
		assert.NotContains(t, text, secret[len(secret)-20:])
		assert.NotContains(t, text, secret[:40])
	}
	assert.NotEmpty(t, log.lines(t))
	assert.Contains(t, page.Body.String(), `persauth_decisions_total{result="malformed",route="GET /me"} 2`)
	assert.Contains(t, page.Body.String(), `persauth_decisions_total{result="no_route",route="none"} 3`)
	assert.Contains(t, page.Body.String(), "persauth_ready 1")
}
