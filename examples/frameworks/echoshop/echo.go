// Package echoshop is a service on echo. A middleware of echo calls the handler
// itself: the guard does where the caller may, and not otherwise.
package echoshop

import (
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v5"
	"github.com/persauth/persauth"
)

// New makes the service.
func New(v *persauth.Verifier, log *slog.Logger) http.Handler {
	e := echo.New()
	e.Use(logged(log))
	e.GET("/health", func(c *echo.Context) error { return c.String(http.StatusOK, "ok") })
	e.GET("/me", func(c *echo.Context) error {
		caller, _ := persauth.FromContext(c.Request().Context())
		return c.String(http.StatusOK, caller.Subject())
	}, guarded(v))
	admins := e.Group("/businesses/:business", guarded(v, persauth.BusinessRole(persauth.PathValue("business"), "ADMIN")))
	admins.GET("/orders", func(c *echo.Context) error { return c.String(http.StatusOK, "orders of "+c.Param("business")) })
	return e
}

// guarded lets callers through whom every guard lets pass.
func guarded(v *persauth.Verifier, guards ...persauth.Guard) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			for _, p := range c.PathValues() {
				c.Request().SetPathValue(p.Name, p.Value)
			}
			r, ok := v.Admit(c.Response(), c.Request(), guards...)
			c.SetRequest(r) // the caller is in its context
			if !ok {
				return nil // it is answered
			}
			return next(c)
		}
	}
}

// logged is the access log.
func logged(log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c *echo.Context) error {
			err := next(c)
			name := "nobody"
			if caller, ok := persauth.FromContext(c.Request().Context()); ok {
				name = caller.Subject()
			}
			_, status := echo.ResolveResponseStatus(c.Response(), err)
			log.Info("request", "path", c.Request().URL.Path, "status", status, "caller", name)
			return err
		}
	}
}
