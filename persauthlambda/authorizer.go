package persauthlambda

// The authorizer: an event of API Gateway in, an answer of the kind that it takes
// out.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/persauth/persauth"
)

// AuthorizerConfig configures an [Authorizer]. Its zero value is for REST APIs,
// WebSocket APIs, and HTTP APIs with policies: every caller passes whose token is
// good and bound to no key.
type AuthorizerConfig struct {
	// Rule says which callers may use the API at all. It knows no paths, because
	// API Gateway caches the answer for a token and uses it for every path: what
	// is about a path belongs behind the gateway. nil: every caller whose token is
	// good.
	Rule persauth.Rule
	// SimpleResponses must be what the authorizer of the HTTP API is set up with
	// (enableSimpleResponses, payload format 2.0): an event does not tell.
	SimpleResponses bool
	// CachingDisabled says that the authorizer's result TTL is 0. Only then are
	// tokens taken that are bound to a key, with a proof for each request, in a
	// REQUEST event: from a cached answer, a stolen token passes without a proof.
	CachingDisabled bool
}

// errUnauthorized has the one text that API Gateway answers with 401.
var errUnauthorized = errors.New("Unauthorized") //nolint:staticcheck // API Gateway compares it

// Authorizer returns the function that decides about callers: see docs/lambda.md.
//
// A caller who is not known is the error "Unauthorized", which API Gateway answers
// with 401 (with simple responses: isAuthorized false, a 403). One who may not is a
// policy that denies, or isAuthorized false. Where it cannot be told, the function
// fails with an error that is [persauth.ErrUnavailable]: API Gateway answers 500,
// and caches nothing.
//
// The answer for a caller who may use the API is good for all of its methods, so
// that a cached one does not refuse the others, and its context has "subject",
// "tenant", "business", "roles" (a JSON array, as text), "authType" and "expires" (in
// seconds since 1970), as far as the token has them.
func Authorizer(v *persauth.Verifier, cfg AuthorizerConfig) (lambda.Handler, error) {
	if v == nil {
		return nil, errors.New("persauthlambda: no verifier")
	}
	if v.DPoPNonce() != "" {
		return nil, errors.New("persauthlambda: an authorizer cannot hand out nonces: Config.DPoP.NonceSecret must be empty")
	}
	if cfg.Rule == nil {
		cfg.Rule = func(*persauth.Claims) error { return nil }
	}
	return &authorizer{v, cfg}, nil
}

type authorizer struct {
	v   *persauth.Verifier
	cfg AuthorizerConfig
}

// Invoke answers one event.
func (a *authorizer) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e authorizerEvent
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, errors.New("persauthlambda: the event is not one for an authorizer")
	}
	if err := e.check(a.cfg); err != nil {
		return nil, fmt.Errorf("persauthlambda: %w", err)
	}
	claims, err := a.authenticate(ctx, &e)
	var answer any
	switch {
	case err == nil:
		answer = a.answer(&e, claims, true)
	case errors.Is(err, persauth.ErrUnavailable), persauth.Code(err) == "internal":
		return nil, err // the cause is for the function's log; it has no token
	case errors.Is(err, persauth.ErrForbidden):
		answer = a.answer(&e, claims, false)
	case a.cfg.SimpleResponses:
		answer = events.APIGatewayV2CustomAuthorizerSimpleResponse{}
	default:
		return nil, errUnauthorized
	}
	return json.Marshal(answer)
}

// authenticate returns who calls, also beside the error that the caller may not.
func (a *authorizer) authenticate(ctx context.Context, e *authorizerEvent) (*persauth.Claims, error) {
	claims, err := a.v.VerifyCredentials(ctx, persauth.Credentials{
		Authorization: e.authorization(), Proofs: e.headers("DPoP"), Method: e.method(), URL: e.path()})
	if err != nil {
		return nil, err
	}
	if claims.Confirmation() != "" && !a.cfg.CachingDisabled {
		return nil, &persauth.Error{Check: "proof", Want: "an authorizer whose answers are not cached (AuthorizerConfig.CachingDisabled)",
			Got: "a token that is bound to a key", Err: persauth.ErrProof}
	}
	return claims, a.v.Allow(claims, a.cfg.Rule)
}

// answer returns what API Gateway is told.
func (a *authorizer) answer(e *authorizerEvent, claims *persauth.Claims, allow bool) any {
	said := contextOf(claims)
	if !allow {
		said = map[string]any{"reason": persauth.Code(persauth.ErrForbidden)}
	}
	if a.cfg.SimpleResponses {
		return events.APIGatewayV2CustomAuthorizerSimpleResponse{IsAuthorized: allow, Context: said}
	}
	effect := "Deny"
	if allow {
		effect = "Allow"
	}
	principal := claims.Subject()
	if principal == "" {
		principal = claims.TenantID()
	}
	return events.APIGatewayCustomAuthorizerResponse{
		PrincipalID: principal,
		PolicyDocument: events.APIGatewayCustomAuthorizerPolicy{Version: "2012-10-17", Statement: []events.IAMPolicyStatement{
			{Action: []string{"execute-api:Invoke"}, Effect: effect, Resource: []string{a.resource(e)}}}},
		Context: said,
	}
}

// resource is what the answer is about: the whole stage, or the one method where
// nothing is cached.
func (a *authorizer) resource(e *authorizerEvent) string {
	if a.cfg.CachingDisabled {
		return e.arn()
	}
	parts := strings.SplitN(e.arn(), "/", 3)
	return parts[0] + "/" + parts[1] + "/*"
}

// contextOf is what the functions behind the gateway are told: texts and numbers
// alone, as REST APIs want it. It says nothing that is not in the token.
func contextOf(claims *persauth.Claims) map[string]any {
	said := map[string]any{"tenant": claims.TenantID(), "expires": claims.ExpiresAt().Unix()}
	for name, value := range map[string]string{
		"subject": claims.Subject(), "business": claims.BusinessID(), "authType": string(claims.AuthType())} {
		if value != "" {
			said[name] = value
		}
	}
	if roles := claims.Roles(); len(roles) > 0 {
		if text, err := json.Marshal(roles); err == nil {
			said["roles"] = string(text)
		}
	}
	return said
}

// authorizerEvent is what is read of an event: of REST and WebSocket APIs, and of
// HTTP APIs in both formats.
type authorizerEvent struct {
	Version           string              `json:"version"`
	Type              string              `json:"type"`
	MethodARN         string              `json:"methodArn"`
	RouteARN          string              `json:"routeArn"`
	Token             string              `json:"authorizationToken"`
	IdentitySource    json.RawMessage     `json:"identitySource"`
	HTTPMethod        string              `json:"httpMethod"`
	Path              string              `json:"path"`
	RawPath           string              `json:"rawPath"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	RequestContext    struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// check refuses events that are not an authorizer's, and settings that do not fit
// them: an answer of the wrong form, or one that is cached for another token.
func (e *authorizerEvent) check(cfg AuthorizerConfig) error {
	switch {
	case e.Type != "TOKEN" && e.Type != "REQUEST":
		return errors.New("the event is not one for an authorizer")
	case strings.Count(e.arn(), "/") < 2 || !strings.HasPrefix(e.arn(), "arn:"):
		return errors.New("the event does not name a method of an API")
	case cfg.SimpleResponses && e.Version != "2.0":
		return errors.New("SimpleResponses is for HTTP APIs with payload format 2.0")
	case !cfg.CachingDisabled && !e.cachedByToken():
		return errors.New("the identity source of the authorizer is not the Authorization header, so that answers are cached for any token: set it, or disable caching")
	}
	return nil
}

// cachedByToken reports whether the token is part of what API Gateway caches answers
// by. Only HTTP APIs say; without an identity source they cache nothing.
func (e *authorizerEvent) cachedByToken() bool {
	var sources []string
	var one string
	switch {
	case len(e.IdentitySource) == 0 || string(e.IdentitySource) == "null":
		return true
	case json.Unmarshal(e.IdentitySource, &one) == nil:
		sources = []string{one}
	case json.Unmarshal(e.IdentitySource, &sources) != nil:
		return false
	}
	for _, value := range e.headers("Authorization") {
		for _, source := range sources {
			if strings.Contains(source, value) {
				return true
			}
		}
	}
	return len(sources) == 0
}

// authorization returns the values of the header: of a TOKEN event, what API Gateway
// took from it.
func (e *authorizerEvent) authorization() []string {
	if e.Type == "TOKEN" {
		return []string{e.Token}
	}
	return e.headers("Authorization")
}

// headers returns the values of a header, however its name is written, and however
// often.
func (e *authorizerEvent) headers(name string) (values []string) {
	if e.MultiValueHeaders != nil {
		for key, several := range e.MultiValueHeaders {
			if strings.EqualFold(key, name) {
				values = append(values, several...)
			}
		}
		return values
	}
	for key, value := range e.Headers {
		if strings.EqualFold(key, name) {
			values = append(values, value)
		}
	}
	return values
}

func (e *authorizerEvent) arn() string {
	if e.RouteARN != "" {
		return e.RouteARN
	}
	return e.MethodARN
}

// method is the method of the request. A WebSocket begins with GET (RFC 6455 §4.1).
func (e *authorizerEvent) method() string {
	switch {
	case e.RequestContext.HTTP.Method != "":
		return e.RequestContext.HTTP.Method
	case e.HTTPMethod != "":
		return e.HTTPMethod
	}
	return http.MethodGet
}

// path is the path behind Config.DPoP.Origin, which ends with the stage where that is
// part of the address.
func (e *authorizerEvent) path() string {
	if e.RawPath != "" {
		return e.RawPath
	}
	if e.Path == "" {
		return "/"
	}
	return e.Path
}
