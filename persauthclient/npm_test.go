package persauthclient_test

// Proofs of this package, before a service that checks them with npm's jose, dpop
// and oauth4webapi.

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// missing skips a test that lacks a program of others. In CI, where it is there on
// purpose, it fails it.
func missing(t *testing.T, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("SKIPPED, no word on other services: %s: %v", what, err)
}

// npmService starts the service of testdata/npm, and returns its address.
func npmService(t *testing.T, args ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this installs npm packages")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		missing(t, "node, version 20 or later, is needed", err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		missing(t, "npm is needed", err)
	}
	folder := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "service.mjs"} {
		content, err := os.ReadFile(filepath.Join("testdata", "npm", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	install := exec.CommandContext(ctx, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		missing(t, "npm ci", err)
	}
	service := exec.Command(node, append([]string{"service.mjs"}, args...)...)
	service.Dir, service.Stderr = folder, os.Stderr
	in, err := service.StdinPipe()
	require.NoError(t, err)
	out, err := service.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, service.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = service.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(address)
}

func TestNpmService(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	jwks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(iss.JWKS())
	}))
	defer jwks.Close()
	address := npmService(t, "https://pers.example", jwks.URL)
	token := func(key *persauthclient.Key) string {
		return iss.TokenWithHeader(map[string]any{"typ": "at+jwt"}, map[string]any{"iss": "https://pers.example", "aud": "orders", "sub": "ann",
			"client_id": "shop", "cnf": map[string]string{"jkt": key.Thumbprint()}})
	}
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			key, err := persauthclient.GenerateKey(algorithm)
			require.NoError(t, err)
			source, err := persauthclient.StaticToken(token(key), key)
			require.NoError(t, err)
			tr, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{address}, Base: base})
			require.NoError(t, err)
			client := &http.Client{Transport: tr, Timeout: time.Minute}
			for _, path := range []string{"", "/", "/orders?page=2#3", "/orders/café%2f1~x;a=b", "/a b/c", "/nonce", "/nonce"} {
				status, body := get(t, client, address+path)
				assert.Equal(t, http.StatusOK, status, "%s: %s", path, body)
				if status == http.StatusOK {
					assert.Equal(t, "ann", body)
				}
			}
			response, err := client.Post(address+"/orders", "text/plain", strings.NewReader("an order"))
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			assert.Equal(t, http.StatusOK, response.StatusCode)

			// The service does check.
			other, err := persauthclient.GenerateKey(algorithm)
			require.NoError(t, err)
			held := token(key)
			send := func(signer *persauthclient.Key, proven string) int {
				r, err := http.NewRequestWithContext(t.Context(), "GET", address+"/orders", nil)
				require.NoError(t, err)
				proof, err := signer.Proof("GET", r.URL, proven, "")
				require.NoError(t, err)
				r.Header.Set("Authorization", "DPoP "+held)
				r.Header.Set("DPoP", proof)
				response, err := base.RoundTrip(r)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				return response.StatusCode
			}
			assert.Equal(t, http.StatusOK, send(key, held))
			assert.Equal(t, http.StatusUnauthorized, send(other, held), "another key")
			assert.Equal(t, http.StatusUnauthorized, send(key, held+"x"), "another token")
		})
	}
}
