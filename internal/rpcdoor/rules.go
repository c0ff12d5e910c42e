// Package rpcdoor has what the doors of RPC systems share, persauthgrpc and
// persauthconnect: rules about methods, and which one is for a call.
package rpcdoor

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/persauth/persauth"
)

// Rules are rules by the full name of a method, as in "/shop.v1.Orders/Create", or
// by the name of a service, as in "shop.v1.Orders", for all of its methods that have
// no rule of their own.
type Rules map[string]Rule

// Rule says who may call a method. The zero value is no rule: nobody may.
type Rule struct {
	public  bool
	caller  persauth.Rule
	message func(*persauth.Claims, any) error // nil: no message is looked at
}

// Allow lets callers pass whom all of the rules let pass.
func Allow(rule persauth.Rule, more ...persauth.Rule) Rule { return Rule{caller: rule.And(more...)} }

// Authenticated lets every caller pass whose token is good.
func Authenticated() Rule { return Rule{caller: func(*persauth.Claims) error { return nil }} }

// Public lets everybody pass.
func Public() Rule { return Rule{public: true} }

// AllowMessage lets messages pass for which rule returns nil.
func AllowMessage[M any](rule func(*persauth.Claims, M) error) Rule {
	if rule == nil {
		panic("persauth: AllowMessage without a function")
	}
	return Rule{
		caller: Authenticated().caller,
		message: func(claims *persauth.Claims, message any) error {
			m, ok := message.(M)
			if !ok {
				// Not ErrForbidden: the service is set up wrongly.
				return fmt.Errorf("persauth: a rule about another message was given a %T", message)
			}
			return rule(claims, m)
		},
	}
}

// IsPublic reports whether no token is needed.
func (r Rule) IsPublic() bool { return r.public }

// IsEmpty reports whether there is no rule.
func (r Rule) IsEmpty() bool { return !r.public && r.caller == nil }

// ForCaller returns nil where the caller may call, as far as no message is needed to
// tell.
func (r Rule) ForCaller(claims *persauth.Claims) error {
	if r.caller == nil {
		return &persauth.Error{Check: "method", Want: "a rule", Got: "none", Err: persauth.ErrForbidden}
	}
	return r.caller(claims)
}

// ReadsMessages reports whether the rule is about messages.
func (r Rule) ReadsMessages() bool { return r.message != nil }

// ForMessage returns nil where the caller may send the message, and counts for v who
// may not.
func (r Rule) ForMessage(v *persauth.Verifier, claims *persauth.Claims, message any) error {
	if r.message == nil {
		return nil
	}
	return v.Allow(claims, func(c *persauth.Claims) error { return r.message(c, message) })
}

// ErrNoMessage refuses to send before a message has passed a rule about messages.
func ErrNoMessage() error {
	return &persauth.Error{Check: "message", Want: "one that the rule lets pass before any is sent", Got: "none", Err: persauth.ErrForbidden}
}

// Validate returns all that is wrong with the rules.
func (r Rules) Validate() error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if !isMethodName(name) && !isServiceName(name) {
			wrong = append(wrong, fmt.Errorf("%q is neither of the form /package.Service/Method nor package.Service", name))
		}
		if r[name].IsEmpty() {
			wrong = append(wrong, fmt.Errorf("the rule for %q is empty", name))
		}
	}
	if len(r) == 0 {
		wrong = append(wrong, errors.New("there are no rules: every call would be refused"))
	}
	return errors.Join(wrong...)
}

// Find returns the rule for a method; an empty one where there is none.
func (r Rules) Find(fullMethod string) Rule {
	service, _, ok := splitMethod(fullMethod)
	if !ok {
		return Rule{}
	}
	if rule, ok := r[fullMethod]; ok {
		return rule
	}
	return r[service]
}

// Check holds the rules against methods that exist, by service. It names each rule
// that is about nothing, and each method that has none.
func (r Rules) Check(services map[string][]string) error {
	var wrong []error
	unused := maps.Clone(r)
	for _, service := range slices.Sorted(maps.Keys(services)) {
		delete(unused, service)
		for _, method := range services[service] {
			name := "/" + service + "/" + method
			delete(unused, name)
			if r.Find(name).IsEmpty() {
				wrong = append(wrong, fmt.Errorf("no rule for %s: nobody can call it", name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		wrong = append(wrong, fmt.Errorf("a rule for %s, which is not there", name))
	}
	return errors.Join(wrong...)
}

func isServiceName(name string) bool { return name != "" && !strings.ContainsAny(name, "/ *") }

func isMethodName(name string) bool {
	service, method, ok := splitMethod(name)
	return ok && isServiceName(service) && isServiceName(method)
}

// splitMethod splits "/package.Service/Method". Without the slash at the beginning
// it is not the name of a method: others may read such a path differently.
func splitMethod(name string) (service, method string, ok bool) {
	if !strings.HasPrefix(name, "/") {
		return "", "", false
	}
	return strings.Cut(name[1:], "/")
}
