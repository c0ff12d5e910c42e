package interop_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// The same client, and a service that knows nothing of tokens: a proxy in front
// of it asks the sidecar, a program of its own, about each request.
func TestNpmDPoPSidecar(t *testing.T) {
	folder, node := foreign.Node(t, ".")
	iss := persauthtest.NewIssuer(t)
	front := httptest.NewUnstartedServer(nil)
	origin := "http://" + front.Listener.Addr().String()
	sidecar := startSidecar(t, iss, origin)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		cnf := map[string]string{"jkt": r.FormValue("jkt")}
		_, _ = io.WriteString(w, iss.Token(map[string]any{"cnf": cnf}))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { authRequest(w, r, sidecar) })
	front.Config.Handler = mux
	front.Start()
	t.Cleanup(front.Close)

	want := maps.Clone(answers)
	// A path that the service could take for another one is not let through.
	maps.Copy(want, map[string]string{"odd path": "403", "path with a bar": "403"})
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) { check(t, want, folder, node, alg, front.URL) })
	}
}

// authRequest is what nginx does for auth_request: it asks, and passes a refusal
// on with its challenge.
func authRequest(w http.ResponseWriter, r *http.Request, sidecar string) {
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, sidecar, nil)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	ask.Header = r.Header.Clone()
	ask.Header.Set("X-Original-Method", r.Method)
	ask.Header.Set("X-Original-URI", r.RequestURI)
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer answer.Body.Close()
	w.Header()["Www-Authenticate"] = answer.Header["Www-Authenticate"]
	w.WriteHeader(answer.StatusCode)
}

// startSidecar builds the command, runs it until the test ends, and returns
// where it answers.
func startSidecar(t *testing.T, iss *persauthtest.Issuer, origin string) string {
	t.Helper()
	folder := t.TempDir()
	program := filepath.Join(folder, "persauth")
	out, err := run(t, "..", "go", "build", "-o", program, "./cmd/persauth")
	require.NoError(t, err, out)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "jwks.json"), iss.JWKS(), 0o600))
	config := filepath.Join(folder, "sidecar.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
proxy: nginx
addr: 127.0.0.1:0
metricsAddr: 127.0.0.1:0
pers: {jwks: jwks.json, offline: true}
dpop: {origin: "%s"}
routes:
  - {methods: ["*"], path: /orders, authenticated: true}
`, origin), 0o600))
	command := exec.CommandContext(t.Context(), program, "serve", "--config", config)
	log, err := command.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := regexp.MustCompile(`"addr":"([^"]+)"`).FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return "http://" + m[1] + "/auth"
		}
	}
	require.FailNow(t, "the sidecar did not start")
	return ""
}
