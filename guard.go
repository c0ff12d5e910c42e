package persauth

// Rules about who may do what, written where the routes are.

import (
	"errors"
	"net/http"
)

// Guard is a rule about callers. It returns nil for those who may go on and an
// error that is [ErrForbidden] for all others. One of your own may also return
// [ErrUnavailable], wrapped, where it cannot tell. [Verifier.Require] applies it.
// Guards are safe for concurrent use.
type Guard func(*http.Request, *Claims) error

// Selector says where in a request the tenant or business is named that a guard
// is about. The selectors are [PathValue], [HeaderValue] and [Fixed].
type Selector struct {
	value func(*http.Request) string
}

// PathValue selects a path value of the route: "business" in
// "GET /businesses/{business}/orders". Where the route has none of that name, no
// caller passes: so guards stand behind the router, not around it. It panics for
// an empty name.
func PathValue(name string) Selector {
	required("PathValue", name)
	return Selector{func(r *http.Request) string { return r.PathValue(name) }}
}

// HeaderValue selects a request header that comes exactly once; otherwise no
// caller passes. It panics for an empty name.
func HeaderValue(name string) Selector {
	required("HeaderValue", name)
	return Selector{func(r *http.Request) string {
		if values := r.Header.Values(name); len(values) == 1 {
			return values[0]
		}
		return ""
	}}
}

// Fixed selects always the same, from the service's settings. It panics for an
// empty value, which a setting that is missing would be.
func Fixed(value string) Selector {
	required("Fixed", value)
	return Selector{func(*http.Request) string { return value }}
}

// Tenant lets callers of the selected tenant pass.
func Tenant(s Selector) Guard {
	s.check()
	return func(r *http.Request, c *Claims) error { return c.RequireTenant(s.value(r)) }
}

// Business lets callers pass who act for the selected business.
func Business(s Selector) Guard {
	s.check()
	return func(r *http.Request, c *Claims) error { return c.RequireBusiness(s.value(r)) }
}

// BusinessRole lets callers pass who act for the selected business and have one
// of the roles there. It panics for an empty role.
func BusinessRole(s Selector, role string, more ...string) Guard {
	s.check()
	roles := append([]string{role}, more...)
	required("BusinessRole", roles...)
	return func(r *http.Request, c *Claims) error { return c.RequireBusinessRole(s.value(r), roles...) }
}

// TenantRole lets callers pass who have one of the roles in the selected tenant
// itself; a role in a business of it does not count. It panics for an empty role.
func TenantRole(s Selector, role string, more ...string) Guard {
	s.check()
	roles := append([]string{role}, more...)
	required("TenantRole", roles...)
	return func(r *http.Request, c *Claims) error { return c.RequireTenantRole(s.value(r), roles...) }
}

// AuthTypeIn lets callers of one of the types pass. It panics for an empty type.
func AuthTypeIn(authType AuthType, more ...AuthType) Guard {
	types := append([]AuthType{authType}, more...)
	for _, t := range types {
		required("AuthTypeIn", string(t))
	}
	return func(_ *http.Request, c *Claims) error { return c.RequireAuthType(types...) }
}

// GuardFunc lets callers pass for whom allow reports true. rule describes it, for
// the error. It panics without one of the two.
func GuardFunc(rule string, allow func(*http.Request, *Claims) bool) Guard {
	required("GuardFunc", rule)
	if allow == nil {
		panic("persauth: GuardFunc without a function")
	}
	return func(r *http.Request, c *Claims) error {
		if c == nil || !allow(r, c) {
			return forbidden("rule", rule, "another caller")
		}
		return nil
	}
}

// AllOf lets callers pass whom every guard lets pass.
func AllOf(guard Guard, more ...Guard) Guard {
	guards := checked("AllOf", append([]Guard{guard}, more...))
	return func(r *http.Request, c *Claims) error {
		for _, guard := range guards {
			if err := guard(r, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// AnyOf lets callers pass whom at least one guard lets pass. Where one of the
// others cannot tell, that is the answer, and not that the caller is forbidden.
func AnyOf(guard Guard, more ...Guard) Guard {
	guards := checked("AnyOf", append([]Guard{guard}, more...))
	return func(r *http.Request, c *Claims) error {
		var failed, untold failures
		for _, guard := range guards {
			switch err := guard(r, c); {
			case err == nil:
				return nil
			case errors.Is(err, ErrForbidden):
				failed = append(failed, err)
			default:
				untold = append(untold, err)
			}
		}
		if untold != nil {
			return untold.join()
		}
		return failed.join()
	}
}

// Require is middleware that lets only callers through whom every guard lets
// pass. It authenticates the request, unless [Verifier.Middleware] of the same
// Verifier did so before. It panics for a guard that is nil.
//
//	mux.Handle("POST /businesses/{business}/orders",
//		v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN"))(orders))
func (v *Verifier) Require(guard Guard, more ...Guard) func(http.Handler) http.Handler {
	rule := AllOf(guard, more...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r, claims := v.authenticate(w, r)
			if claims == nil {
				return
			}
			if err := rule(r, claims); err != nil {
				v.countRefused(err)
				v.refuse(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func (s Selector) check() {
	if s.value == nil {
		panic("persauth: a guard needs PathValue, HeaderValue or Fixed to say what it is about")
	}
}

func checked(name string, guards []Guard) []Guard {
	for _, guard := range guards {
		if guard == nil {
			panic("persauth: " + name + " with a guard that is nil")
		}
	}
	return guards
}

// required panics for a rule that would require nothing.
func required(name string, values ...string) {
	for _, value := range values {
		if value == "" {
			panic("persauth: " + name + " with an empty value: a setting that is missing, perhaps")
		}
	}
}
