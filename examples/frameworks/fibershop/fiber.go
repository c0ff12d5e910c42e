// Package fibershop is a service on fiber, which is not net/http. Its adaptor for
// middleware of net/http is not used here: of several Authorization headers it passes
// on the last one alone, so that a proxy in front may have seen another caller, and its
// requests are made of memory that fiber uses again. The guard hands over copies of
// what came.
package fibershop

import (
	"log/slog"

	"github.com/gofiber/fiber/v3"
	"github.com/persauth/persauth"
)

// New makes the service.
func New(v *persauth.Verifier, log *slog.Logger) *fiber.App {
	app := fiber.New()
	app.Use(logged(log))
	app.Get("/health", func(c fiber.Ctx) error { return c.SendString("ok") })
	app.Get("/me", guarded(v, func(fiber.Ctx, *persauth.Claims) error { return nil }), func(c fiber.Ctx) error {
		caller, _ := persauth.FromContext(c.Context())
		return c.SendString(caller.Subject())
	})
	app.Get("/businesses/:business/orders", guarded(v, func(c fiber.Ctx, caller *persauth.Claims) error {
		return caller.RequireBusinessRole(c.Params("business"), "ADMIN")
	}), func(c fiber.Ctx) error { return c.SendString("orders of " + c.Params("business")) })
	return app
}

// guarded lets callers through whom the rule lets pass.
func guarded(v *persauth.Verifier, rule func(fiber.Ctx, *persauth.Claims) error) fiber.Handler {
	return func(c fiber.Ctx) error {
		sent := persauth.Credentials{Authorization: values(c, "Authorization"), Proofs: values(c, "DPoP"),
			Method: c.Method(), URL: string(c.Request().URI().PathOriginal())}
		caller, err := v.VerifyCredentials(c.Context(), sent)
		if err == nil {
			c.SetContext(persauth.NewContext(c.Context(), caller))
			err = v.Allow(caller, func(caller *persauth.Claims) error { return rule(c, caller) })
		}
		if err == nil {
			return c.Next()
		}
		refusal := v.Refusal(err, sent.Authorization)
		for name, values := range refusal.Header() {
			for _, value := range values {
				c.Response().Header.Add(name, value)
			}
		}
		return c.Status(refusal.Status).Send(refusal.Problem())
	}
}

// values returns copies of the values of a header.
func values(c fiber.Ctx, name string) (all []string) {
	for _, value := range c.Request().Header.PeekAll(name) {
		all = append(all, string(value))
	}
	return all
}

// logged is the access log.
func logged(log *slog.Logger) fiber.Handler {
	return func(c fiber.Ctx) error {
		err := c.Next()
		name := "nobody"
		if caller, ok := persauth.FromContext(c.Context()); ok {
			name = caller.Subject()
		}
		log.Info("request", "path", c.Path(), "status", c.Response().StatusCode(), "caller", name)
		return err
	}
}
