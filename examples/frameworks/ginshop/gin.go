// Package ginshop is a service on gin. A middleware of gin goes on to the handler
// unless it aborts, whatever was answered: so the guard aborts.
package ginshop

import (
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/persauth/persauth"
)

// New makes the service.
func New(v *persauth.Verifier, log *slog.Logger) http.Handler {
	r := gin.New()
	r.Use(logged(log))
	r.GET("/health", func(c *gin.Context) { c.String(http.StatusOK, "ok") })
	r.GET("/me", guarded(v), func(c *gin.Context) {
		caller, _ := persauth.FromContext(c.Request.Context())
		c.String(http.StatusOK, "%s", caller.Subject())
	})
	admins := r.Group("/businesses/:business", guarded(v, persauth.BusinessRole(persauth.PathValue("business"), "ADMIN")))
	admins.GET("/orders", func(c *gin.Context) { c.String(http.StatusOK, "orders of %s", c.Param("business")) })
	return r
}

// guarded lets callers through whom every guard lets pass.
func guarded(v *persauth.Verifier, guards ...persauth.Guard) gin.HandlerFunc {
	return func(c *gin.Context) {
		for _, p := range c.Params {
			c.Request.SetPathValue(p.Key, p.Value)
		}
		r, ok := v.Admit(c.Writer, c.Request, guards...)
		c.Request = r // the caller is in its context
		if !ok {
			c.Abort()
		}
	}
}

// logged is the access log.
func logged(log *slog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Next()
		name := "nobody"
		if caller, ok := persauth.FromContext(c.Request.Context()); ok {
			name = caller.Subject()
		}
		log.Info("request", "path", c.Request.URL.Path, "status", c.Writer.Status(), "caller", name)
	}
}
