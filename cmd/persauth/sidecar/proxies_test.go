package sidecar

// Real proxies with the configurations of examples/proxies, and a service behind
// them that tells what it heard.

import (
	"bufio"
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
	if filepath.Base(name) == "nginx" { // its workers would stay behind
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
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
		text = strings.ReplaceAll(text, from, to)
	}
	for _, port := range []string{"8000", "8080", "9180"} {
		require.NotRegexp(t, `(:|port_value: )`+port+`\b`, text, "the example has another address")
	}
	return write(t, t.TempDir(), filepath.Base(name), text)
}

// seen is what the service behind the proxy tells of a request.
type seen struct {
	Method, URI string
	Header      http.Header
}

// service answers with what it got. Where it is asked to switch to another
// protocol, it does, and sends back what comes then: a client with a tunnel to it
// sees that.
func service(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if protocol := r.Header.Get("Upgrade"); protocol != "" {
			echo(w, protocol, r.Header.Get(headerTenant))
			return
		}
		if r.URL.Path == "/public/broken" {
			w.WriteHeader(500)
		}
		_, _ = io.Copy(io.Discard, r.Body)
		for name, values := range r.Trailer { // as some servers do
			r.Header[name] = append(r.Header[name], values...)
		}
		_ = json.NewEncoder(w).Encode(seen{r.Method, r.RequestURI, r.Header})
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func echo(w http.ResponseWriter, protocol, tenant string) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n"+
		"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nX-Tenant-Seen: %s\r\n\r\n", protocol, tenant)
	_, _ = io.Copy(conn, buffered)
}

// behind is a proxy that runs, its sidecar, and the fake PERS behind that.
type behind struct {
	proxy   string
	sidecar *running
	pers    *persauthtest.Server
	iss     *persauthtest.Issuer
}

// publicHost is the name by which clients know the service.
const publicHost = "api.example.com"

// send sends a request through the proxy. seen is nil where the service heard
// nothing of it.
func (b *behind) send(t testing.TB, method, uri string, header map[string]string) (*http.Response, *seen) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.proxy, strings.NewReader(""))
	require.NoError(t, err)
	r.Host = publicHost
	r.URL.Opaque = uri // as it is
	for name, value := range header {
		r.Header[name] = []string{value}
	}
	response, err := (&http.Client{Timeout: 30 * time.Second}).Do(r)
	require.NoError(t, err)
	return read(t, response)
}

// sendRaw sends a request whose header is exactly these lines. The connection
// stays open for what comes after.
func (b *behind) sendRaw(t testing.TB, method, uri string, lines ...string) (*http.Response, net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(b.proxy, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	lines = append([]string{method + " " + uri + " HTTP/1.1", "Host: " + publicHost}, lines...)
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	require.NoError(t, err)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: method})
	require.NoError(t, err)
	return response, conn, reader
}

// read takes what the service heard out of an answer.
func read(t testing.TB, response *http.Response) (*http.Response, *seen) {
	t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	var s seen
	if json.Unmarshal(body, &s) != nil || s.Method == "" {
		return response, nil
	}
	return response, &s
}

// behindRoutes are beside those of the shop.
const behindRoutes = `
  - {methods: [GET], path: /live, authTypes: [system]}
  - {methods: [GET], path: /public, public: true}
  - {methods: [GET], path: "/{page}", authenticated: true}
`

// newBehind starts PERS, a sidecar, and the proxy in front of it.
func newBehind(t testing.TB, proxy string) *behind {
	t.Helper()
	path := program(t, proxy)
	b := &behind{iss: persauthtest.NewIssuer(t)}
	b.pers = persauthtest.NewServer(t, b.iss)
	config := configFor(proxy) + behindRoutes
	if before, after, found := strings.Cut(configFor(proxy), "pathPrefix"); found {
		config = before + behindRoutes + "pathPrefix" + after
	}
	o := options(t, b.iss, config+fmt.Sprintf(`
pers: {baseURL: %q, jwks: jwks.json, tenants: [%s]}
dpop: {origin: "https://%s"}
`, b.pers.URL(), tenant, publicHost))
	o.Getenv = onlyKey(b.pers.ProjectKey())
	o.Base = persauth.Config{HTTPClient: b.pers.Client(), Now: b.iss.Clock().Now}
	b.sidecar = runSidecar(t, o)
	host, port, err := net.SplitHostPort(service(t))
	require.NoError(t, err)
	side := strings.TrimPrefix(b.sidecar.url, "http://")
	addr := freePort(t)
	starts[proxy](t, path, addr, map[string]string{
		"127.0.0.1:9180":     side,
		"127.0.0.1:8080":     host + ":" + port,
		"127.0.0.1:8000":     addr,
		publicHost + ":8000": publicHost + ":" + portOf(addr),
		// Envoy writes addresses in two parts.
		"port_value: 8000": "port_value: " + portOf(addr),
		"port_value: 8080": "port_value: " + port,
		"port_value: 9180": "port_value: " + portOf(side),
	})
	b.proxy = "http://" + addr
	return b
}

func portOf(addr string) string { return addr[strings.LastIndexByte(addr, ':')+1:] }

// starts run a proxy, each with its example.
var starts = map[string]func(t testing.TB, path, addr string, addresses map[string]string){
	"nginx": func(t testing.TB, path, addr string, addresses map[string]string) {
		folder := t.TempDir()
		// The folders of the package are root's.
		own := "http {\n\taccess_log off;\n"
		for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			own += "\t" + kind + "_temp_path " + folder + "/" + kind + ";\n"
		}
		addresses["http {"] = own
		workers := ""
		if os.Getuid() == 0 {
			workers = "user root; " // so that they may write into the test's folder
		}
		launch(t, addr, path, "-p", folder, "-c", example(t, "nginx.conf", addresses), "-e", "stderr", "-g",
			"daemon off; "+workers+"pid "+folder+"/pid;")
	},
	"caddy": func(t testing.TB, path, addr string, addresses map[string]string) {
		launch(t, addr, path, "run", "--adapter", "caddyfile", "--config", example(t, "Caddyfile", addresses))
	},
	"traefik": func(t testing.TB, path, addr string, addresses map[string]string) {
		addresses["/etc/traefik/persauth.yaml"] = example(t, "traefik.yaml", addresses)
		addresses["providers:\n"] = "providers:\n  providersThrottleDuration: 10ms\n" // the tests do not wait
		launch(t, addr, path, "--configFile="+example(t, "traefik.static.yaml", addresses))
		// It serves before it has read its routes.
		require.Eventually(t, func() bool {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", nil)
			require.NoError(t, err)
			r.Host = publicHost
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				return false
			}
			response.Body.Close()
			return response.StatusCode != http.StatusNotFound
		}, 10*time.Second, 10*time.Millisecond, "Traefik has no routes")
	},
	"envoy": func(t testing.TB, path, addr string, addresses map[string]string) {
		launch(t, addr, path, "-c", example(t, "envoy.yaml", addresses), "--concurrency", "1", "--disable-hot-restart", "--log-level", "warning")
	},
}
