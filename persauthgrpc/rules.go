package persauthgrpc

// Who may call what, by the names of methods and services.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/persauth/persauth"
	"google.golang.org/grpc"
)

// Rules say who may call what. A key is the full name of a method, as in
// "/shop.v1.Orders/Create", or the name of a service, as in "shop.v1.Orders", for
// all of its methods that have no rule of their own. What no rule names is refused.
type Rules map[string]Rule

// Rule says who may call a method. Rules are made by [Allow], [AllowMessage],
// [Authenticated] and [Public]; the zero value is refused by [New]. They are safe
// for concurrent use.
type Rule struct {
	public  bool
	caller  persauth.Rule
	message func(*persauth.Claims, any) error // nil: no message is looked at
}

// Allow lets callers pass whom all of the rules let pass. It panics for a rule that
// is nil.
func Allow(rule persauth.Rule, more ...persauth.Rule) Rule { return Rule{caller: rule.And(more...)} }

// Authenticated lets every caller pass whose token is good: of any tenant that the
// verifier takes, and of any kind.
func Authenticated() Rule { return Rule{caller: func(*persauth.Claims) error { return nil }} }

// AllowMessage lets messages pass for which rule returns nil, where who may call is
// said in the message. M is the type of the message, as in *shop.CreateRequest, or
// an interface, as in interface{ GetTenantId() string }, for all messages with that
// field. Of a stream, every message of the client is held against the rule, and
// nothing is sent before one has passed. A message that is not an M is refused.
//
// rule returns an error that is [persauth.ErrForbidden], such as that of
// [persauth.Claims.RequireTenant], or [persauth.ErrUnavailable] where it cannot
// tell. AllowMessage panics for a nil rule.
func AllowMessage[M any](rule func(*persauth.Claims, M) error) Rule {
	if rule == nil {
		panic("persauthgrpc: AllowMessage without a function")
	}
	return Rule{
		caller: Authenticated().caller,
		message: func(claims *persauth.Claims, message any) error {
			m, ok := message.(M)
			if !ok {
				// Not ErrForbidden: the service is set up wrongly.
				return fmt.Errorf("persauthgrpc: a rule about %T was given a %T", *new(M), message)
			}
			return rule(claims, m)
		},
	}
}

// Public lets everybody pass. No token is looked at, and handlers find no caller.
func Public() Rule { return Rule{public: true} }

// check returns what is wrong with the rules.
func (r Rules) check() error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if !isMethodName(name) && !isServiceName(name) {
			wrong = append(wrong, fmt.Errorf("%q is neither of the form /package.Service/Method nor package.Service", name))
		}
		if rule := r[name]; !rule.public && rule.caller == nil {
			wrong = append(wrong, fmt.Errorf("the rule for %q is empty", name))
		}
	}
	if len(r) == 0 {
		wrong = append(wrong, errors.New("there are no rules: every call would be refused"))
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

// find returns the rule for a method; the zero value where there is none.
func (r Rules) find(fullMethod string) Rule {
	service, _, ok := splitMethod(fullMethod)
	if !ok {
		return Rule{}
	}
	if rule, ok := r[fullMethod]; ok {
		return rule
	}
	return r[service]
}

// Check holds the rules against the services of a server, to be called once they
// are registered. The error names each rule that is about nothing, a misspelled one
// perhaps, and each method that has no rule and so can be called by nobody.
func (i *Interceptor) Check(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}) error {
	var wrong []error
	unused := maps.Clone(i.rules)
	services := server.GetServiceInfo()
	for _, service := range slices.Sorted(maps.Keys(services)) {
		delete(unused, service)
		for _, method := range services[service].Methods {
			name := "/" + service + "/" + method.Name
			delete(unused, name)
			if rule := i.rules.find(name); !rule.public && rule.caller == nil {
				wrong = append(wrong, fmt.Errorf("persauthgrpc: no rule for %s: nobody can call it", name))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(unused)) {
		wrong = append(wrong, fmt.Errorf("persauthgrpc: a rule for %s, which the server does not have", name))
	}
	return errors.Join(wrong...)
}
