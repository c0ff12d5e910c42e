package sidecar

// What the tests share: a sidecar with the keys of an issuer.

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/time/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant   = persauthtest.DefaultTenant
	business = "b0000000-0000-4000-8000-000000000001"
)

// shopRoutes is what most tests guard.
const shopRoutes = `
routes:
  - {methods: [GET], path: "/public/{file...}", public: true}
  - {methods: [GET], path: /me, authenticated: true}
  - {methods: [GET], path: "/businesses/{business}/orders", business: {path: business}}
  - {methods: [POST], path: "/businesses/{business}/orders", name: create, business: {path: business}, businessRoles: [ADMIN, EDITOR]}
  - {methods: ["*"], path: "/admin/{rest...}", authTypes: [tenant], tenant: ` + tenant + `, tenantRoles: [TENANT_ADMIN]}
  - {methods: ["*"], path: /admin, authTypes: [tenant], tenant: ` + tenant + `, tenantRoles: [TENANT_ADMIN]}
`

// write puts a file into a folder of the test.
func write(t testing.TB, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func noEnv(string) string { return "" }

// options are those of a sidecar with the issuer's keys.
func options(t testing.TB, iss *persauthtest.Issuer, config string) Options {
	t.Helper()
	folder := t.TempDir()
	write(t, folder, "jwks.json", string(iss.JWKS()))
	if !strings.Contains(config, "pers:") {
		config += "\npers: {jwks: jwks.json, offline: true}\n"
	}
	return Options{Config: write(t, folder, "sidecar.yaml", config), Addr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0",
		Getenv: noEnv, Log: new(logged), Base: persauth.Config{Now: iss.Clock().Now}}
}

// onlyKey is an environment that has a project key, and nothing else.
func onlyKey(key string) func(string) string {
	return func(name string) string {
		if name == envProjectKey {
			return key
		}
		return ""
	}
}

// newEndpoint is the handler alone.
func newEndpoint(t testing.TB, iss *persauthtest.Issuer, config string) *endpoint {
	t.Helper()
	o := options(t, iss, config)
	s, err := o.load()
	require.NoError(t, err)
	v, err := s.verifier(o.Base)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	e := &endpoint{metrics: newMetrics(func() int { return 0 }), logLimiter: rate.NewLimiter(rate.Inf, 1),
		log: testLogger(o.Log)}
	e.use(&state{s, v})
	return e
}

// testLogger logs everything.
func testLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// running is a sidecar that serves.
type running struct {
	url, admin string
	log        *logged
	stop       func() error
}

// runSidecar runs a sidecar until the test ends, or it is stopped.
func runSidecar(t testing.TB, o Options) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{log: o.Log.(*logged)}
	ready, ended := make(chan struct{}), make(chan error, 1)
	o.Started = func(addr, metricsAddr net.Addr) {
		r.url, r.admin = "http://"+addr.String(), "http://"+metricsAddr.String()
		close(ready)
	}
	go func() { ended <- Run(ctx, o) }()
	select {
	case <-ready:
	case err := <-ended:
		cancel()
		require.FailNow(t, "it did not start", "%v", err)
	}
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() {
		require.NoError(t, r.stop())
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return r
}

// logged takes a log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// lines are the log, each line checked to be JSON.
func (l *logged) lines(t testing.TB) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &m), line)
		all = append(all, m)
	}
	return all
}

// shape puts an original request into the form of a proxy.
func shape(proxy, method, uri string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:9180/auth", nil)
	switch proxy {
	case "nginx":
		r.Header.Set("X-Original-Method", method)
		r.Header.Set("X-Original-URI", uri)
	case "traefik", "caddy":
		r.Header.Set("X-Forwarded-Method", method)
		r.Header.Set("X-Forwarded-Proto", "https")
		r.Header.Set("X-Forwarded-Host", "api.example.com")
		r.Header.Set("X-Forwarded-Uri", uri)
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
	case "envoy":
		r.Method, r.RequestURI = method, "/check"+uri
		r.URL.Path = "/check" + uri
	}
	return r
}

// ask asks an endpoint.
func ask(e http.Handler, r *http.Request, token string) *httptest.ResponseRecorder {
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	return w
}

// get reads a page.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	response, err := (&http.Client{Timeout: 10 * time.Second}).Get(url)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}
