// Command service is a small business API: whoever acts for a business lists its
// orders, its editors create them, and an admin of the tenant closes a business.
// Who may do what stands where the routes are.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"time"

	"github.com/persauth/persauth"
)

func main() {
	check := flag.Bool("check", false, "answer some requests to itself and exit")
	address := flag.String("address", "127.0.0.1:8080", "where to serve")
	keys := flag.String("jwks", "testdata/jwks.json", "the key set")
	tenant := flag.String("tenant", "11111111-2222-4333-8444-555555555555", "the tenant that this service is for")
	flag.Parse()

	verifier, err := persauth.New(persauth.Config{
		ProjectKey: os.Getenv("PERS_PROJECT_KEY"),
		Keys:       persauth.FileKeys(*keys),
		Tenants:    []string{*tenant},
		DPoP:       persauth.DPoP{Origin: os.Getenv("PUBLIC_ORIGIN")}, // "https://api.example.com"
	})
	if err != nil {
		log.Fatal(err)
	}
	defer verifier.Close()
	service := newService(verifier, *tenant)
	if *check {
		if err := selfCheck(service); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	server := &http.Server{Addr: *address, Handler: service, ReadHeaderTimeout: 5 * time.Second}
	log.Println(server.ListenAndServe())
}

// selfCheck sends requests without a token: only what is public is answered.
func selfCheck(service http.Handler) error {
	for _, request := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/health", http.StatusOK},
		{http.MethodGet, "/businesses/b1/orders", http.StatusUnauthorized},
		{http.MethodPost, "/businesses/b1/orders", http.StatusUnauthorized},
		{http.MethodPost, "/admin/businesses/b1/close", http.StatusUnauthorized},
	} {
		answer := httptest.NewRecorder()
		service.ServeHTTP(answer, httptest.NewRequest(request.method, request.path, nil))
		fmt.Printf("%s %s without a token: %d\n", request.method, request.path, answer.Code)
		if answer.Code != request.want {
			return errors.New("that is not as it should be")
		}
	}
	return nil
}

// order is what a business sells.
type order struct {
	Item string `json:"item"`
	By   string `json:"by"` // who created it
}

// shop holds the orders of all businesses.
type shop struct {
	mu     sync.Mutex
	orders map[string][]order
	closed map[string]bool
}

// newService makes the API of one tenant.
func newService(v *persauth.Verifier, tenant string) http.Handler {
	s := &shop{orders: make(map[string][]order), closed: make(map[string]bool)}
	ours := persauth.Tenant(persauth.Fixed(tenant))
	member := v.Require(ours, persauth.Business(persauth.PathValue("business")))
	editor := v.Require(ours, persauth.BusinessRole(persauth.PathValue("business"), "ADMIN", "EDITOR"))
	admin := v.Require(persauth.AuthTypeIn(persauth.AuthTenant), persauth.TenantRole(persauth.Fixed(tenant), "TENANT_ADMIN"))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.Handle("GET /businesses/{business}/orders", member(http.HandlerFunc(s.list)))
	mux.Handle("POST /businesses/{business}/orders", editor(http.HandlerFunc(s.create)))
	mux.Handle("POST /admin/businesses/{business}/close", admin(http.HandlerFunc(s.close)))
	return mux
}

func (s *shop) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	orders := append([]order{}, s.orders[r.PathValue("business")]...)
	s.mu.Unlock()
	send(w, http.StatusOK, orders)
}

func (s *shop) create(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&o); err != nil || o.Item == "" {
		http.Error(w, `want {"item": "…"}`, http.StatusBadRequest)
		return
	}
	// The middleware put the caller there. Who it is never comes from the body.
	caller, _ := persauth.FromContext(r.Context())
	o.By = cmp.Or(caller.Subject(), "unknown")
	business := r.PathValue("business")
	s.mu.Lock()
	closed := s.closed[business]
	if !closed {
		s.orders[business] = append(s.orders[business], o)
	}
	s.mu.Unlock()
	if closed {
		http.Error(w, "the business is closed", http.StatusConflict)
		return
	}
	send(w, http.StatusCreated, o)
}

func (s *shop) close(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.closed[r.PathValue("business")] = true
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func send(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
