package sidecar

// Real proxies, with the configurations of examples/proxies, in front of a
// service: what clients get, and what the service hears of them.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const examples = "../../../examples/proxies/"

// program finds a program, or ends the test. Where CI says that it runs the
// tests, a program that it is to have is not left out quietly.
func program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed, and this is CI", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// freePort is one that is free now.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// launch runs a program until the test ends, and waits until it serves at addr.
func launch(t testing.TB, addr, name string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var said logged
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond, "%s does not serve: %s", name, &said)
	return cmd
}

// example is a configuration of the examples with other addresses.
func example(t testing.TB, name string, addresses map[string]string) string {
	t.Helper()
	body, err := os.ReadFile(examples + name)
	require.NoError(t, err)
	text := string(body)
	for from, to := range addresses {
		require.Contains(t, text, from, "the example has another address")
		text = strings.ReplaceAll(text, from, to)
	}
	return write(t, t.TempDir(), filepath.Base(name), text)
}

// seen is what the service behind the proxy tells of a request.
type seen struct {
	Method, URI string
	Header      http.Header
}

// service answers with what it got.
func service(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/public/broken" {
			w.WriteHeader(500)
		}
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Header})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// behind is a proxy that runs, its sidecar, and the fake PERS behind that.
type behind struct {
	proxy   string
	sidecar *running
	pers    *persauthtest.Server
	iss     *persauthtest.Issuer
}

// send sends a request through the proxy. seen is nil where the service heard
// nothing of it.
func (b *behind) send(t testing.TB, method, uri string, header map[string]string) (*http.Response, *seen) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.proxy, strings.NewReader(""))
	require.NoError(t, err)
	r.URL.Opaque = strings.TrimPrefix(b.proxy, "http:") + uri // as it is
	for name, value := range header {
		r.Header[name] = []string{value}
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var s seen
	if json.Unmarshal(body, &s) != nil || s.Method == "" {
		return response, nil
	}
	return response, &s
}

// newBehind starts PERS and a sidecar. start runs the proxy in front of it.
func newBehind(t testing.TB, proxy string, start func(addresses map[string]string, addr string)) *behind {
	b := &behind{iss: persauthtest.NewIssuer(t)}
	b.pers = persauthtest.NewServer(t, b.iss)
	o := options(t, b.iss, "proxy: "+proxy+shopRoutes+fmt.Sprintf(`
  - {methods: [GET], path: /live, authTypes: [system]}
pers: {baseURL: %q, jwks: jwks.json, tenants: [%s]}
dpop: {origin: "https://api.example.com"}
`, b.pers.URL(), tenant))
	o.Getenv = func(string) string { return b.pers.ProjectKey() }
	o.Base = persauth.Config{HTTPClient: b.pers.Client()}
	b.sidecar = runSidecar(t, o)
	addr := freePort(t)
	start(map[string]string{
		"127.0.0.1:9180": strings.TrimPrefix(b.sidecar.url, "http://"),
		"127.0.0.1:8080": service(t),
		"127.0.0.1:8000": addr,
	}, addr)
	b.proxy = "http://" + addr
	return b
}

func TestNginx(t *testing.T) {
	nginx := program(t, "nginx")
	testProxy(t, newBehind(t, "nginx", func(addresses map[string]string, addr string) {
		folder := t.TempDir()
		// The folders of the package are root's.
		own := "http {\n\taccess_log off;\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			own += "\t" + kind + "_temp_path " + folder + "/" + kind + ";\n"
		}
		addresses["http {"] = own
		config := example(t, "nginx.conf", addresses)
		workers := ""
		if os.Getuid() == 0 {
			workers = "user root; " // so that they may write into the test's folder
		}
		launch(t, addr, nginx, "-p", folder, "-c", config, "-e", "stderr", "-g",
			"daemon off; "+workers+"pid "+folder+"/pid;")
	}))
}

func TestCaddy(t *testing.T) {
	caddy := program(t, "caddy")
	testProxy(t, newBehind(t, "caddy", func(addresses map[string]string, addr string) {
		launch(t, addr, caddy, "run", "--adapter", "caddyfile", "--config", example(t, "Caddyfile", addresses))
	}))
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
		"no route":        {"GET", "/secret", b.iss.TenantToken(tenant, "TENANT_ADMIN"), 403},
		"the sidecar's":   {"GET", "/_persauth", b.iss.UserToken(tenant), 404},
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
		if name == "the sidecar's" && response.StatusCode == 403 {
			continue // Caddy has no such address: there is no route for it
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
		o := Options{Config: examples + proxy + ".sidecar.yaml", Getenv: func(string) string { return strings.Repeat("ab", 32) }}
		assert.NoError(t, Check(o), proxy)
	}
	for _, page := range []string{"README.md", "docs/sidecar.md"} {
		body, err := os.ReadFile("../../../" + page)
		require.NoError(t, err)
		_, text, found := strings.Cut(string(body), "```yaml\nproxy:")
		require.True(t, found, page)
		text, _, _ = strings.Cut("proxy:"+text, "```")
		_, err = parse([]byte(text))
		assert.NoError(t, err, page)
	}
}
