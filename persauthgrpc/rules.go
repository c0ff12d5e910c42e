package persauthgrpc

// Who may call what, by the names of methods and services.

import (
	"fmt"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/rpcdoor"
	"google.golang.org/grpc"
)

// Rules say who may call what. A key is the full name of a method, as in
// "/shop.v1.Orders/Create", or the name of a service, as in "shop.v1.Orders", for
// all of its methods that have no rule of their own. What no rule names is refused.
type Rules = rpcdoor.Rules

// Rule says who may call a method. Rules are made by [Allow], [AllowMessage],
// [Authenticated] and [Public]; the zero value is refused by [New]. They are safe
// for concurrent use.
type Rule = rpcdoor.Rule

// Allow lets callers pass whom all of the rules let pass. It panics for a rule that
// is nil.
func Allow(rule persauth.Rule, more ...persauth.Rule) Rule { return rpcdoor.Allow(rule, more...) }

// Authenticated lets every caller pass whose token is good: of any tenant that the
// verifier takes, and of any kind.
func Authenticated() Rule { return rpcdoor.Authenticated() }

// Public lets everybody pass. No token is looked at, and handlers find no caller.
func Public() Rule { return rpcdoor.Public() }

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
	return rpcdoor.AllowMessage(rule)
}

// Check holds the rules against the services of a server, to be called once they
// are registered. The error names each rule that is about nothing, a misspelled one
// perhaps, and each method that has no rule and so can be called by nobody.
func (i *Interceptor) Check(server interface {
	GetServiceInfo() map[string]grpc.ServiceInfo
}) error {
	services := make(map[string][]string)
	for service, info := range server.GetServiceInfo() {
		services[service] = []string{}
		for _, method := range info.Methods {
			services[service] = append(services[service], method.Name)
		}
	}
	if err := i.rules.Check(services); err != nil {
		return fmt.Errorf("persauthgrpc: %w", err)
	}
	return nil
}
