// Command serverless shows persauth in a function that is started, frozen and
// stopped at any time, as on Lambda, Cloud Run or Knative.
//
// Nothing needs to run between requests. The keys are embedded, so that the
// first request of a cold start is answered without a network; with a project
// key PERS is asked for newer ones, while that request is served already. What
// PERS answers is kept in /tmp for the next start of a warm instance. A refresh
// that the platform freezes half-way fails, and the next request begins another.
package main

import (
	_ "embed"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/persauth/persauth"
)

// The key set that was current when the function was built:
// persauth jwks fetch --out jwks.json
//
//go:embed jwks.json
var keys []byte

func main() {
	check := flag.Bool("check", false, "answer one request to itself and exit")
	address := flag.String("address", "127.0.0.1:8080", "where to serve")
	flag.Parse()

	verifier, err := newVerifier(os.Getenv("PERS_PROJECT_KEY"), os.TempDir())
	if err != nil {
		log.Fatal(err)
	}
	handler := newHandler(verifier)
	if *check {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Println("without a token:", answer.Code)
		if answer.Code != http.StatusUnauthorized {
			os.Exit(1)
		}
		return
	}
	server := &http.Server{Addr: *address, Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

// newVerifier is cheap enough for a cold start: it reads the embedded keys and
// the snapshot, and opens no connection.
func newVerifier(projectKey, folder string) (*persauth.Verifier, error) {
	cfg := persauth.Config{Keys: persauth.StaticKeys(keys)}
	if projectKey != "" {
		cfg.ProjectKey = projectKey
		cfg.Snapshot = filepath.Join(folder, "persauth-jwks.json")
	}
	return persauth.New(cfg)
}

// newHandler is the function itself.
func newHandler(v *persauth.Verifier) http.Handler {
	return v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s of tenant %s\n", claims.Subject(), claims.TenantID())
	}))
}
