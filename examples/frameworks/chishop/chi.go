// Package chishop is a service on chi. Its middleware is net/http's own: Require goes
// where the routes are, behind the router, so that guards see path values.
package chishop

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/persauth/persauth"
)

// New makes the service. LogCaller must be the OnAccepted of the verifier's Config.
func New(v *persauth.Verifier, log *slog.Logger) http.Handler {
	r := chi.NewRouter()
	r.Use(logged(log))
	r.Get("/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	r.With(v.Middleware).Get("/me", func(w http.ResponseWriter, r *http.Request) {
		caller, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, caller.Subject())
	})
	r.Route("/businesses/{business}", func(r chi.Router) {
		r.Use(v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN")))
		r.Get("/orders", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "orders of ", chi.URLParam(r, "business"))
		})
	})
	return r
}

type slotKey struct{}

// LogCaller hears who is calling, and tells the access log, which is further out and
// does not see the context that handlers get.
func LogCaller(r *http.Request, caller *persauth.Claims) {
	if slot, ok := r.Context().Value(slotKey{}).(*string); ok {
		*slot = caller.Subject()
	}
}

// logged is the access log.
func logged(log *slog.Logger) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller := "nobody"
			answer := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
			next.ServeHTTP(answer, r.WithContext(context.WithValue(r.Context(), slotKey{}, &caller)))
			log.Info("request", "path", r.URL.Path, "status", answer.Status(), "caller", caller)
		})
	}
}
