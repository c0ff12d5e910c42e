package sidecar

// The sidecar as it runs: health, reload, stop, and clients that mean no good.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
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
	o.Getenv = func(string) string { return pers.ProjectKey() }
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
	o.Getenv = func(string) string { return pers.ProjectKey() }
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
	o.Getenv = func(string) string { return pers.ProjectKey() }
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
	key := func(string) string { return strings.Repeat("ab", 32) }
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
		"larger than": func(o *Options) { o.Config = write(t, t.TempDir(), "a.yaml", strings.Repeat("#", maxConfigSize+1)) },
	} {
		o := options(t, iss, configFor("nginx"))
		change(&o)
		assert.ErrorContains(t, Run(t.Context(), o), name)
	}
}

// Headers beyond the limit are refused, and cost no more than the limit.
func TestOversized(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")))
	status := func(bytes int) int {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		go fmt.Fprintf(conn, "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-URI: /public/a\r\nX-Filler: %s\r\n\r\n", strings.Repeat("a", bytes))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	assert.Equal(t, 200, status(defaultHeaderBytes-1024))
	assert.Equal(t, 431, status(defaultHeaderBytes+8192))
	assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
}

// Those who send their headers byte by byte are cut off, and others are served
// meanwhile.
func TestSlowLoris(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a slow client is given")
	}
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")))
	var group sync.WaitGroup
	began := time.Now()
	for range 50 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		group.Go(func() {
			defer conn.Close()
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				_, _ = io.Copy(io.Discard, conn)
			}()
			_, _ = io.WriteString(conn, "GET /auth HTTP/1.1\r\nHost: a\r\nX-Slow: ")
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-cut:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, "a")
				}
			}
		})
	}
	for range 20 {
		assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
	}
	group.Wait()
	assert.Less(t, time.Since(began), 2*readHeaderTime)
	assert.GreaterOrEqual(t, time.Since(began), readHeaderTime-time.Second)
}

// Requests whose body never comes are answered, and lock nobody out: not even
// where there are more of them than connections may be open.
func TestBodiesThatNeverCome(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")+"limits: {connections: 16}\n"))
	head := "POST /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-URI: /public/a\r\n"
	for _, body := range []string{"Content-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\n123", "Transfer-Encoding: chunked\r\n\r\n"} {
		var conns []net.Conn
		for range 24 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, head+body)
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		began := time.Now()
		for range 8 {
			assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
		}
		assert.Less(t, time.Since(began), bodyTime/2, "nobody waits for the bodies of others")
		last := conns[len(conns)-1]
		require.NoError(t, last.SetReadDeadline(time.Now().Add(5*time.Second)))
		response, err := http.ReadResponse(bufio.NewReader(last), nil)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, 200, response.StatusCode)
	}
	// One that comes leaves the connection as it was.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range 3 {
		_, err = io.WriteString(conn, head+"Content-Length: 3\r\n\r\n")
		require.NoError(t, err)
		_, err = io.WriteString(conn, "abc")
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, 200, response.StatusCode)
	}
}

// Thousands of idle connections, as many as the system gives us: more than the
// sidecar takes. Those who ask are answered, old connections go, and memory
// stays small.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	iss := persauthtest.NewIssuer(t)
	most := min(1000, maxOpenConns()/4)
	s := runSidecar(t, options(t, iss, configFor("nginx")+fmt.Sprintf("limits: {connections: %d}\n", most)))
	// Each has two ends in this process.
	many := min(5000, maxOpenConns()-most-100)
	require.Greater(t, many, most, "ulimit -n is too small for this test")
	idle := make([]net.Conn, 0, many)
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for i := range many {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		idle = append(idle, conn)
		if i%500 == 0 {
			assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
		}
	}
	assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
	// The first ones made room.
	require.NoError(t, idle[0].SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err := idle[0].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	_, page := get(t, s.admin+"/metrics")
	var open float64
	for line := range strings.Lines(page) {
		if n, ok := strings.CutPrefix(line, "persauth_connections "); ok {
			_, err := fmt.Sscan(n, &open)
			require.NoError(t, err)
		}
	}
	assert.InDelta(t, most, open, 10)
	t.Logf("%d connections, of which %v stay open", many, open)
}
