// Command webhook shows how a service hears of revoked tokens: whoever revokes
// one calls a webhook, and the token is refused from the next request on.
package main

import (
	"crypto/subtle"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

func main() {
	check := flag.Bool("check", false, "answer one request to itself and exit")
	address := flag.String("address", "127.0.0.1:8080", "where to serve")
	keys := flag.String("jwks", "testdata/jwks.json", "the key set")
	flag.Parse()

	verifier, err := persauth.New(persauth.Config{ProjectKey: os.Getenv("PERS_PROJECT_KEY"), Keys: persauth.FileKeys(*keys)})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	service := newService(verifier, os.Getenv("WEBHOOK_SECRET"))
	if *check {
		answer := httptest.NewRecorder()
		service.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/webhooks/revoked", strings.NewReader(`{"jti":"1"}`)))
		fmt.Println("a webhook without the secret:", answer.Code)
		if answer.Code != http.StatusUnauthorized {
			os.Exit(1)
		}
		return
	}
	server := &http.Server{Addr: *address, Handler: service, ReadHeaderTimeout: 5 * time.Second}
	log.Println(server.ListenAndServe())
}

// newService serves one page, and the webhook. An empty secret closes the
// webhook.
func newService(v *persauth.Verifier, secret string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /me", v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprintln(w, claims.Subject())
	})))
	mux.HandleFunc("POST /webhooks/revoked", func(w http.ResponseWriter, r *http.Request) {
		given := r.Header.Get("X-Webhook-Secret")
		if secret == "" || subtle.ConstantTimeCompare([]byte(given), []byte(secret)) != 1 {
			http.Error(w, "not for you", http.StatusUnauthorized)
			return
		}
		var event struct {
			TokenID   string    `json:"jti"`
			ExpiresAt time.Time `json:"expiresAt"`
		}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&event); err != nil {
			http.Error(w, "not an event", http.StatusBadRequest)
			return
		}
		if err := v.Revoke(persauth.Revocation{ID: event.TokenID, Until: event.ExpiresAt}); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
