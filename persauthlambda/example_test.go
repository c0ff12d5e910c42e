package persauthlambda_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthlambda"
	"github.com/persauth/persauth/persauthtest"
)

func ExampleAuthorizer() {
	t := &program{}
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	verifier := iss.Verifier() // in production: persauth.New with the Config of persauth.FromEnv

	authorizer, err := persauthlambda.Authorizer(verifier, persauthlambda.AuthorizerConfig{
		Rule: persauth.TenantIs("acme"),
	})
	if err != nil {
		panic(err)
	}
	// In production: lambda.Start(authorizer)
	for _, token := range []string{iss.UserToken("acme"), iss.UserToken("bank"), iss.ExpiredToken()} {
		event := fmt.Sprintf(`{"type": "TOKEN", "authorizationToken": "Bearer %s", "methodArn": "arn:aws:execute-api:eu-central-1:123456789012:abc/prod/GET/orders"}`, token)
		answer, err := authorizer.Invoke(context.Background(), []byte(event))
		if err != nil {
			fmt.Println("error:", err)
			continue
		}
		var policy struct {
			PolicyDocument struct {
				Statement []struct{ Effect, Resource any }
			}
		}
		if err := json.Unmarshal(answer, &policy); err != nil {
			panic(err)
		}
		fmt.Println(policy.PolicyDocument.Statement[0])
	}
	// Output:
	// {Allow [arn:aws:execute-api:eu-central-1:123456789012:abc/prod/*]}
	// {Deny [arn:aws:execute-api:eu-central-1:123456789012:abc/prod/*]}
	// error: Unauthorized
}

func ExampleHandler() {
	t := &program{}
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	verifier := iss.Verifier()

	mux := http.NewServeMux()
	mux.Handle("GET /businesses/{business}/orders", verifier.Require(persauth.Business(persauth.PathValue("business")))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			caller, _ := persauth.FromContext(r.Context())
			fmt.Fprint(w, "the orders of ", caller.BusinessID())
		})))
	function := persauthlambda.Handler(mux)
	// In production: lambda.Start(function)
	event := fmt.Sprintf(`{"version": "2.0", "rawPath": "/businesses/shop/orders", "headers": {"authorization": "Bearer %s"},
		"requestContext": {"http": {"method": "GET"}}}`, iss.BusinessToken("acme", "shop", "ADMIN"))
	answer, err := function.Invoke(context.Background(), []byte(event))
	fmt.Println(string(answer), err)
	// Output:
	// {"statusCode":200,"headers":{"Content-Type":"text/plain; charset=utf-8"},"multiValueHeaders":null,"body":"the orders of shop","cookies":null} <nil>
}

// program stands in for a *testing.T, which an Example does not have.
type program struct{ cleanups []func() }

func (*program) Helper()                           {}
func (*program) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (p *program) Cleanup(f func())                { p.cleanups = append(p.cleanups, f) }
func (p *program) end() {
	for _, f := range p.cleanups {
		f()
	}
}
