package main

import (
	"fmt"
	"log"
	"net/http"

	"github.com/persauth/persauth"
)

func main() {
	cfg, err := persauth.FromEnv()
	if err != nil {
		log.Fatal(err)
	}
	v, err := persauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", routes(v)))
}

func routes(v *persauth.Verifier) http.Handler {
	editors := persauth.BusinessRole(persauth.PathValue("business"), "ADMIN", "EDITOR")
	mux := http.NewServeMux()
	mux.Handle("GET /me", v.Middleware(http.HandlerFunc(hello)))
	mux.Handle("GET /businesses/{business}/orders", v.Require(editors)(http.HandlerFunc(hello)))
	return mux
}

func hello(w http.ResponseWriter, r *http.Request) {
	caller, _ := persauth.FromContext(r.Context())
	fmt.Fprintf(w, "hello %s of tenant %s\n", caller.Subject(), caller.TenantID())
}
