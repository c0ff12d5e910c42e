package persauth

// Rules about who may do what, written where the routes are.

import (
	"errors"
	"fmt"
	"net/http"
)

// Guard is a rule about callers. It returns nil for those who may go on and an
// error that is [ErrForbidden] for all others. One of your own may also return
// [ErrUnavailable], wrapped, where it cannot tell. [Verifier.Require] applies it.
// Guards are safe for concurrent use.
type Guard func(*http.Request, *Claims) error

// Rule is a rule about callers that needs no request: for gRPC and the like, and as
// a guard by [Rule.Guard]. It returns nil for those who may go on and an error that
// is [ErrForbidden] for all others, nil claims among them; one of your own may also
// return [ErrUnavailable], wrapped, where it cannot tell. Rules are safe for
// concurrent use. The rules are [TenantIs], [BusinessIs], [RoleInTenant],
// [RoleInBusiness], [AuthTypeIs], [RuleFunc], and what [Rule.And] and [Rule.Or] make
// of them.
type Rule func(*Claims) error

// TenantIs lets callers of the tenant pass. It panics for an empty one, which a
// setting that is missing would be.
func TenantIs(tenant string) Rule {
	mustBeSet("TenantIs", tenant)
	return func(c *Claims) error { return c.RequireTenant(tenant) }
}

// BusinessIs lets callers pass who act for the business. It panics for an empty one.
func BusinessIs(business string) Rule {
	mustBeSet("BusinessIs", business)
	return func(c *Claims) error { return c.RequireBusiness(business) }
}

// RoleInTenant lets callers pass who have one of the roles in the tenant itself: see
// [Claims.RequireTenantRole]. It panics for an empty tenant or role.
func RoleInTenant(tenant, role string, more ...string) Rule {
	roles := append([]string{role}, more...)
	mustBeSet("RoleInTenant", append(roles, tenant)...)
	return func(c *Claims) error { return c.RequireTenantRole(tenant, roles...) }
}

// RoleInBusiness lets callers pass who act for the business and have one of the
// roles there. It panics for an empty business or role.
func RoleInBusiness(business, role string, more ...string) Rule {
	roles := append([]string{role}, more...)
	mustBeSet("RoleInBusiness", append(roles, business)...)
	return func(c *Claims) error { return c.RequireBusinessRole(business, roles...) }
}

// AuthTypeIs lets callers of one of the types pass. It panics for an empty type.
func AuthTypeIs(authType AuthType, more ...AuthType) Rule {
	types := append([]AuthType{authType}, more...)
	mustBeSet("AuthTypeIs", namesOf(types)...)
	return func(c *Claims) error { return c.RequireAuthType(types...) }
}

// RuleFunc lets callers pass if allow reports true. rule describes it, for the
// error. It panics without one of the two.
func RuleFunc(rule string, allow func(*Claims) bool) Rule {
	mustBeSet("RuleFunc", rule)
	if allow == nil {
		panic("persauth: RuleFunc without a function")
	}
	return func(c *Claims) error {
		if c == nil || !allow(c) {
			return forbidden("rule", rule, "a caller that it does not allow")
		}
		return nil
	}
}

// And lets callers pass if the rule and all of the others do. It panics for a rule
// that is nil.
func (rule Rule) And(more ...Rule) Rule { return allOf("And", append([]Rule{rule}, more...)) }

// Or lets callers pass if at least one of the rules does. If none does and one
// cannot tell, the answer is that one's error, and not [ErrForbidden]. It panics for
// a rule that is nil.
func (rule Rule) Or(more ...Rule) Rule { return anyOf("Or", append([]Rule{rule}, more...)) }

// Guard returns the rule for use on a route. It panics for a rule that is nil.
func (rule Rule) Guard() Guard {
	if rule == nil {
		panic("persauth: Guard of a rule that is nil")
	}
	return func(_ *http.Request, c *Claims) error { return rule(c) }
}

func allOf(name string, rules []Rule) Rule {
	mustNotBeNil(name, rules)
	return func(c *Claims) error { return firstError(len(rules), func(i int) error { return rules[i](c) }) }
}

func anyOf(name string, rules []Rule) Rule {
	mustNotBeNil(name, rules)
	return func(c *Claims) error { return unlessOne(len(rules), func(i int) error { return rules[i](c) }) }
}

// firstError returns the first error of n checks.
func firstError(n int, check func(int) error) error {
	for i := range n {
		if err := check(i); err != nil {
			return err
		}
	}
	return nil
}

// unlessOne returns nil if one of n checks does, and otherwise why not: that it
// cannot be told, where one of them says so.
func unlessOne(n int, check func(int) error) error {
	var failed, untold failures
	for i := range n {
		switch err := check(i); {
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

// Selector says where in a request the tenant or business is named that a guard
// is about. The selectors are [PathValue], [HeaderValue] and [Fixed].
type Selector struct {
	value func(*http.Request) (string, error)
}

// PathValue selects a path value of the route: "business" in
// "GET /businesses/{business}/orders". Where the route has none of that name, no
// caller passes: so guards stand behind the router, not around it. It panics for
// an empty name.
func PathValue(name string) Selector {
	mustBeSet("PathValue", name)
	return Selector{func(r *http.Request) (string, error) { return r.PathValue(name), nil }}
}

// HeaderValue selects a request header that comes exactly once and is not empty;
// otherwise no caller passes, and the client is told which header the request
// lacks. It panics for an empty name.
func HeaderValue(name string) Selector {
	mustBeSet("HeaderValue", name)
	name = http.CanonicalHeaderKey(name)
	return Selector{func(r *http.Request) (string, error) {
		values := r.Header.Values(name)
		if len(values) == 1 && values[0] != "" {
			return values[0], nil
		}
		e := forbidden("header "+name, "exactly one, and not empty", headersGot(values))
		e.detail = "The request needs the header " + name + ", exactly once."
		return "", e
	}}
}

func headersGot(values []string) string {
	switch len(values) {
	case 0:
		return "none"
	case 1:
		return "an empty one"
	}
	return fmt.Sprintf("%d of them", len(values))
}

// Fixed selects always the same, from the service's settings. It panics for an
// empty value, which a setting that is missing would be.
func Fixed(value string) Selector {
	mustBeSet("Fixed", value)
	return Selector{func(*http.Request) (string, error) { return value, nil }}
}

// Tenant lets callers of the selected tenant pass.
func Tenant(s Selector) Guard { return s.guard((*Claims).RequireTenant) }

// Business lets callers pass who act for the selected business.
func Business(s Selector) Guard { return s.guard((*Claims).RequireBusiness) }

// BusinessRole lets callers pass who act for the selected business and have one
// of the roles there. It panics for an empty role.
func BusinessRole(s Selector, role string, more ...string) Guard {
	roles := append([]string{role}, more...)
	mustBeSet("BusinessRole", roles...)
	return s.guard(func(c *Claims, business string) error { return c.RequireBusinessRole(business, roles...) })
}

// TenantRole lets callers pass who have one of the roles in the selected tenant
// itself; a role in a business of it does not count. It panics for an empty role.
func TenantRole(s Selector, role string, more ...string) Guard {
	roles := append([]string{role}, more...)
	mustBeSet("TenantRole", roles...)
	return s.guard(func(c *Claims, tenant string) error { return c.RequireTenantRole(tenant, roles...) })
}

// AuthTypeIn lets callers of one of the types pass. It panics for an empty type.
func AuthTypeIn(authType AuthType, more ...AuthType) Guard {
	return AuthTypeIs(authType, more...).Guard()
}

// GuardFunc lets callers pass if allow reports true. rule describes it, for the
// error. It panics without one of the two.
func GuardFunc(rule string, allow func(*http.Request, *Claims) bool) Guard {
	mustBeSet("GuardFunc", rule)
	if allow == nil {
		panic("persauth: GuardFunc without a function")
	}
	return func(r *http.Request, c *Claims) error {
		if c == nil || !allow(r, c) {
			return forbidden("rule", rule, "a caller that it does not allow")
		}
		return nil
	}
}

// AllOf lets callers pass if every guard does.
func AllOf(guard Guard, more ...Guard) Guard {
	guards := mustNotBeNil("AllOf", append([]Guard{guard}, more...))
	if len(guards) == 1 {
		return guard
	}
	return func(r *http.Request, c *Claims) error {
		return firstError(len(guards), func(i int) error { return guards[i](r, c) })
	}
}

// AnyOf lets callers pass if at least one guard does. If none does and one cannot
// tell, the answer is that one's error, and not [ErrForbidden].
func AnyOf(guard Guard, more ...Guard) Guard {
	guards := mustNotBeNil("AnyOf", append([]Guard{guard}, more...))
	return func(r *http.Request, c *Claims) error {
		return unlessOne(len(guards), func(i int) error { return guards[i](r, c) })
	}
}

// Allow applies a rule to a caller, and counts a refusal in [Status], as
// [Verifier.Require] does: for transports other than net/http. It panics for a rule
// that is nil.
func (v *Verifier) Allow(claims *Claims, rule Rule) error {
	err := rule(claims)
	if err != nil {
		v.countRefused(err)
	}
	return err
}

// Require is middleware that lets callers through only if every guard lets them
// pass. It authenticates the request, unless [Verifier.Middleware] of the same
// Verifier did so before. It panics for a guard that is nil.
//
//	mux.Handle("POST /businesses/{business}/orders",
//		v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN"))(orders))
func (v *Verifier) Require(guard Guard, more ...Guard) func(http.Handler) http.Handler {
	rule := AllOf(guard, more...)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r, ok := v.Admit(w, r, rule); ok {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// Admit is [Verifier.Require] for middleware of other forms than net/http's. It returns
// the request with the caller in its context, and true where every guard lets the
// caller pass; without guards, where the caller is known. Otherwise it has answered the
// request, which no handler may see then; the caller is in its context as far as it is
// known, for an access log. It panics for a guard that is nil.
func (v *Verifier) Admit(w http.ResponseWriter, r *http.Request, guards ...Guard) (*http.Request, bool) {
	_ = mustNotBeNil("Admit", guards)
	known, claims := v.authenticate(w, r)
	if claims == nil {
		return r, false
	}
	if err := firstError(len(guards), func(i int) error { return guards[i](known, claims) }); err != nil {
		v.countRefused(err)
		v.refuse(w, known, err)
		return known, false
	}
	return known, true
}

// guard applies a requirement to what the selector selects.
func (s Selector) guard(require func(c *Claims, selected string) error) Guard {
	if s.value == nil {
		panic("persauth: a guard needs PathValue, HeaderValue or Fixed to say what it is about")
	}
	return func(r *http.Request, c *Claims) error {
		selected, err := s.value(r)
		if err != nil {
			return err
		}
		return require(c, selected)
	}
}

// mustNotBeNil panics for a rule or a guard that is nil, and returns all of them.
func mustNotBeNil[R Rule | Guard](name string, rules []R) []R {
	for _, rule := range rules {
		if rule == nil {
			panic("persauth: " + name + " with a rule or a guard that is nil")
		}
	}
	return rules
}

// mustBeSet panics for a rule that would require nothing.
func mustBeSet(name string, values ...string) {
	for _, value := range values {
		if value == "" {
			panic("persauth: " + name + " with an empty value: a setting that is missing, perhaps")
		}
	}
}
