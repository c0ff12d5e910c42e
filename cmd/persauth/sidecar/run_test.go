package sidecar

// The sidecar as it runs: health, reload, stop.

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// decide asks a running sidecar, as nginx does.
func decide(t testing.TB, url, method, uri, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/auth", nil)
	require.NoError(t, err)
	r.Header.Set("X-Original-Method", method)
	r.Header.Set("X-Original-URI", uri)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := (&http.Client{Timeout: 20 * time.Second}).Do(r)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	return response.StatusCode
}

func TestLife(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	o := options(t, iss, configFor("nginx"))
	reload := make(chan os.Signal)
	o.Reload = reload
	s := runSidecar(t, o)
	me := func(token string) int { return decide(t, s.url, "GET", "/me", token) }
	status, _ := get(t, s.admin+"/healthz")
	assert.Equal(t, 200, status)
	status, body := get(t, s.admin+"/readyz")
	assert.Equal(t, 200, status, body)
	status, _ = get(t, s.url+"/healthz")
	assert.Equal(t, 404, status, "not where clients may come")
	token := iss.UserToken(tenant)
	assert.Equal(t, 200, me(token))

	reloads := func(result string, n int) {
		t.Helper()
		reload <- syscall.SIGHUP
		assert.Eventually(t, func() bool {
			_, page := get(t, s.admin+"/metrics")
			return strings.Contains(page, fmt.Sprintf("persauth_reloads_total{result=%q} %d", result, n))
		}, 5*time.Second, 5*time.Millisecond)
	}
	config := func(text string) { write(t, filepath.Dir(o.Config), "sidecar.yaml", text) }
	keys := "\npers: {jwks: jwks.json, offline: true}\n"
	config(configFor("nginx") + "pers: {jwks: missing.json, offline: true}\n")
	reloads("failed", 1)
	config("routes: [}")
	reloads("failed", 2)
	assert.Equal(t, 200, me(token), "the old one stays")
	config(head + "routes:\n  - {methods: [GET], path: /me, authTypes: [tenant]}" + keys)
	reloads("ok", 1)
	assert.Equal(t, 403, me(token))
	assert.Equal(t, 200, me(iss.TenantToken(tenant)))
	config(head + "routes:\n  - {methods: [GET], path: /me, authenticated: true}\npers: {jwks: jwks.json, offline: true, tenants: [other]}\n")
	reloads("ok", 2)
	assert.Equal(t, 401, me(token), "another verifier")

	require.NoError(t, s.stop())
	_, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second)
	assert.Error(t, err)
	lines := s.log.lines(t)
	assert.Equal(t, "stopped", lines[len(lines)-1]["msg"])
}

// With a drainDelay a sidecar that was told to stop says so first, and goes on
// answering those who have not heard.
func TestDrainDelay(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")+"drainDelay: 3s\n"))
	start := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	assert.Eventually(t, func() bool {
		status, body := get(t, s.admin+"/readyz")
		return status == 503 && strings.Contains(body, "stopping")
	}, 2*time.Second, 5*time.Millisecond)
	status, _ := get(t, s.admin+"/healthz")
	assert.Equal(t, 200, status)
	assert.Equal(t, 200, decide(t, s.url, "GET", "/me", iss.UserToken(tenant)))
	require.NoError(t, <-stopped)
	assert.GreaterOrEqual(t, time.Since(start), 3*time.Second)
	_, err := net.DialTimeout("tcp", strings.TrimPrefix(s.url, "http://"), time.Second)
	assert.Error(t, err)
}

// A reload does not forget which proofs were used.
func TestReloadKeepsProofs(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	o := options(t, iss, configFor("nginx")+"dpop: {origin: https://api.example.com}\n")
	s, err := o.load()
	require.NoError(t, err)
	v, err := s.verifier(o.Base)
	require.NoError(t, err)
	t.Cleanup(v.Close)
	e := newEndpoint(t, iss, configFor("nginx"))
	e.use(&state{s, v})
	client := iss.DPoPClient("ES256")
	r := shape("nginx", "GET", "/me")
	token := iss.BoundToken(client, map[string]any{})
	r.Header.Set("Authorization", "DPoP "+token)
	r.Header.Set("DPoP", client.Proof("GET", "https://api.example.com/me", token))
	assert.Equal(t, 200, ask(e, r, "").Code)
	require.NotNil(t, e.reload(t.Context(), o))
	assert.Equal(t, 401, ask(e, r, "").Code)
}

// A new configuration without keys does not take the place of one that has some.
func TestReloadNeedsKeys(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	o := options(t, iss, configFor("nginx")+"pers: {baseURL: "+pers.URL()+"}\n")
	o.Getenv = onlyKey(pers.ProjectKey())
	o.Base = persauth.Config{HTTPClient: pers.Client()}
	e := newEndpoint(t, iss, configFor("nginx"))
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	require.Nil(t, e.reload(t.Context(), o))
	assert.Equal(t, 200, ask(e, shape("nginx", "GET", "/me"), iss.UserToken(tenant)).Code)
	pers.Heal()
	require.NotNil(t, e.reload(t.Context(), o))
	t.Cleanup(e.state.Load().verifier.Close)
	assert.Equal(t, "remote", e.state.Load().verifier.Status().Keys.Source)
}

// Ready when there are keys, though nobody asked for any yet; and not ready
// without.
func TestReadiness(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	o := options(t, iss, configFor("nginx")+"pers: {baseURL: "+pers.URL()+"}\n")
	o.Getenv = onlyKey(pers.ProjectKey())
	o.Base = persauth.Config{HTTPClient: pers.Client()} // the real clock: it spaces what is asked
	s := runSidecar(t, o)
	ready := func() int { status, _ := get(t, s.admin+"/readyz"); return status }
	assert.Equal(t, 503, ready())
	assert.Equal(t, 503, decide(t, s.url, "GET", "/me", iss.UserToken(tenant)))
	status, _ := get(t, s.admin+"/healthz")
	assert.Equal(t, 200, status, "a restart would not help")
	pers.Heal()
	assert.Eventually(t, func() bool { return ready() == 200 }, 15*time.Second, 50*time.Millisecond)
	assert.NotContains(t, s.log.String(), pers.ProjectKey())
}

// A request under way at the end gets its answer.
func TestGracefulStop(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	o := options(t, iss, configFor("nginx")+"pers: {baseURL: "+pers.URL()+", jwks: jwks.json, revocation: always}\n")
	o.Getenv = onlyKey(pers.ProjectKey())
	o.Base = persauth.Config{HTTPClient: pers.Client()}
	pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(500*time.Millisecond))
	s := runSidecar(t, o)
	answered := make(chan int, 1)
	go func() { answered <- decide(t, s.url, "GET", "/me", iss.UserToken(tenant)) }()
	require.Eventually(t, func() bool { return pers.Count(persauthtest.EndpointVerify) > 0 }, 5*time.Second, time.Millisecond)
	require.NoError(t, s.stop())
	assert.Equal(t, 200, <-answered)
}

// What cannot be served says why.
func TestStartFails(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	key := onlyKey(strings.Repeat("ab", 32))
	for name, change := range map[string]func(*Options){
		"addr: listen":        func(o *Options) { o.Addr = taken.Addr().String() },
		"metricsAddr: listen": func(o *Options) { o.MetricsAddr = taken.Addr().String() },
		"is not a number":     func(o *Options) { o.Addr = ":x" },
		"no such file":        func(o *Options) { o.Config += "x" },
		"no source of keys": func(o *Options) {
			o.Config = write(t, t.TempDir(), "a.yaml", head+shopRoutes)
		},
		"only one can say": func(o *Options) {
			o.Getenv = key
			o.Config = write(t, t.TempDir(), "a.yaml", head+shopRoutes+"pers: {projectKeyFile: key}\n")
		},
		"projectKeyFile": func(o *Options) {
			o.Config = write(t, t.TempDir(), "a.yaml", head+shopRoutes+"pers: {projectKeyFile: key}\n")
		},
		"Instances is 20000": func(o *Options) {
			o.Config = write(t, t.TempDir(), "a.yaml", head+shopRoutes+"pers: {instances: 20000}\n")
			o.Getenv = key
		},
		"larger than": func(o *Options) { o.Config = write(t, t.TempDir(), "a.yaml", strings.Repeat("#", maxConfigSize+1)) },
	} {
		o := options(t, iss, configFor("nginx"))
		change(&o)
		assert.ErrorContains(t, Run(t.Context(), o), name)
	}
}

// The variables that persauth mock prints are all that it takes.
func TestEnvironment(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	o := options(t, iss, configFor("nginx")+"pers: {timeout: 5s}\n")
	env := map[string]string{"PERS_PROJECT_KEY": pers.ProjectKey(), "PERS_BASE_URL": pers.URL()}
	o.Getenv = func(name string) string { return env[name] }
	s := runSidecar(t, o)
	assert.Equal(t, 200, decide(t, s.url, "GET", "/me", iss.UserToken(tenant)))

	o.Config = write(t, t.TempDir(), "a.yaml", configFor("nginx")+"pers: {baseURL: https://other.example}\n")
	loaded, err := o.load()
	require.NoError(t, err)
	assert.Equal(t, "https://other.example", loaded.PERS.BaseURL, "the file decides")
}
