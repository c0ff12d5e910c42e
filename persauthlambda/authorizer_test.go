package persauthlambda_test

// The authorizer, with the sample events of AWS' own library.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthlambda"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// samples is the folder with the events.
var samples = sync.OnceValues(func() (string, error) { return foreign.ModuleDir("github.com/aws/aws-lambda-go") })

// sample returns an event of AWS' library, with changes.
func sample(t testing.TB, name string, change func(map[string]any)) []byte {
	t.Helper()
	folder, err := samples()
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(folder, "events", "testdata", name+".json"))
	require.NoError(t, err)
	var event map[string]any
	require.NoError(t, json.Unmarshal(content, &event))
	change(event)
	changed, err := json.Marshal(event)
	require.NoError(t, err)
	return changed
}

// kinds are the events that an authorizer gets, each with a way to put in headers.
var kinds = map[string]struct {
	sample string
	simple bool
	put    func(event map[string]any, name string, values ...string)
}{
	"REST TOKEN": {"apigw-custom-auth-request", false, func(event map[string]any, name string, values ...string) {
		if name == "Authorization" {
			event["authorizationToken"] = strings.Join(values, ",")
		}
	}},
	"REST REQUEST":      {"apigw-custom-auth-request-type-request", false, multiple},
	"HTTP 1.0":          {"apigw-v2-custom-authorizer-v1-request", false, single},
	"HTTP 2.0 simple":   {"apigw-v2-custom-authorizer-v2-request", true, single},
	"HTTP 2.0 policies": {"apigw-v2-custom-authorizer-v2-request", false, single},
}

func multiple(event map[string]any, name string, values ...string) {
	event["multiValueHeaders"].(map[string]any)[name] = values
	event["headers"].(map[string]any)[name] = values[len(values)-1]
}

func single(event map[string]any, name string, values ...string) {
	event["headers"].(map[string]any)[strings.ToLower(name)] = strings.Join(values, ",")
	if name == "Authorization" {
		event["identitySource"] = []string{strings.Join(values, ",")}
		if event["version"] == "1.0" {
			event["identitySource"] = strings.Join(values, ",")
		}
	}
}

// answer is any answer of an authorizer.
type answer struct {
	PrincipalID    string `json:"principalId"`
	IsAuthorized   *bool  `json:"isAuthorized"`
	PolicyDocument struct {
		Version   string
		Statement []struct {
			Action   []string
			Effect   string
			Resource []string
		}
	} `json:"policyDocument"`
	Context map[string]any `json:"context"`
}

func ask(t testing.TB, f lambda.Handler, event []byte) (a answer, err error) {
	t.Helper()
	out, err := f.Invoke(t.Context(), event)
	if err != nil {
		require.Nil(t, out)
		return a, err
	}
	require.NoError(t, json.Unmarshal(out, &a), "%s", out)
	return a, nil
}

func authorizer(t testing.TB, v *persauth.Verifier, cfg persauthlambda.AuthorizerConfig) lambda.Handler {
	t.Helper()
	f, err := persauthlambda.Authorizer(v, cfg)
	require.NoError(t, err)
	return f
}

func TestAuthorizer(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier()
	require.NoError(t, v.Warm(t.Context()))
	stranger := iss.UnpublishedToken(map[string]any{"tenantId": "acme"})
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	good := iss.Token(map[string]any{"tenantId": "acme", "sub": "ann", "authType": "business", "businessId": "shop", "role": []string{"ADMIN", "a,b"}})
	for kind, k := range kinds {
		f := authorizer(t, v, persauthlambda.AuthorizerConfig{Rule: persauth.TenantIs("acme"), SimpleResponses: k.simple})
		for _, c := range []struct {
			name          string
			authorization []string
			want          string // Allow, Deny, Unauthorized, or unavailable
		}{
			{"good", []string{"Bearer " + good}, "Allow"},
			{"another tenant", []string{"Bearer " + iss.UserToken("other")}, "Deny"},
			{"another scheme", []string{"Basic dXNlcjpwYXNz"}, "Unauthorized"},
			{"expired", []string{"Bearer " + iss.ExpiredToken()}, "Unauthorized"},
			{"forged", []string{"Bearer " + iss.ForgedToken()}, "Unauthorized"},
			{"two", []string{"Bearer " + good, "Bearer " + good}, "Unauthorized"},
			{"the token alone", []string{good}, "Unauthorized"},
			{"nobody can tell", []string{"Bearer " + stranger}, "unavailable"},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				a, err := ask(t, f, sample(t, k.sample, func(event map[string]any) { k.put(event, "Authorization", c.authorization...) }))
				switch {
				case c.want == "unavailable":
					require.ErrorIs(t, err, persauth.ErrUnavailable)
					assert.NotEqual(t, "Unauthorized", err.Error())
					assert.NotContains(t, err.Error(), stranger)
					return
				case c.want == "Unauthorized" && !k.simple:
					require.EqualError(t, err, "Unauthorized") // the text is the interface
					return
				}
				require.NoError(t, err)
				if k.simple {
					require.NotNil(t, a.IsAuthorized)
					assert.Equal(t, c.want == "Allow", *a.IsAuthorized)
				} else {
					require.Len(t, a.PolicyDocument.Statement, 1)
					policy := a.PolicyDocument.Statement[0]
					assert.Equal(t, c.want, policy.Effect)
					assert.Equal(t, []string{"execute-api:Invoke"}, policy.Action)
					assert.Equal(t, "2012-10-17", a.PolicyDocument.Version)
					assert.NotEmpty(t, a.PrincipalID)
				}
				if c.want == "Allow" {
					assert.Equal(t, map[string]any{"tenant": "acme", "subject": "ann", "business": "shop", "authType": "business",
						"roles": `["ADMIN","a,b"]`, "expires": a.Context["expires"]}, a.Context)
					assert.IsType(t, 0., a.Context["expires"])
				}
			})
		}
	}
}

// A request without the header: the authorizer of an HTTP API without identity
// sources is asked about it.
func TestNoToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for kind, k := range kinds {
		if kind == "REST TOKEN" {
			continue // is not asked then
		}
		f := authorizer(t, iss.Verifier(), persauthlambda.AuthorizerConfig{SimpleResponses: k.simple})
		a, err := ask(t, f, sample(t, k.sample, func(event map[string]any) { delete(event, "identitySource") }))
		if k.simple {
			require.NoError(t, err)
			assert.False(t, *a.IsAuthorized)
		} else {
			assert.EqualError(t, err, "Unauthorized")
		}
	}
}

// What is cached for a token is right for all paths of its stage, and for no other
// stage.
func TestResources(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for kind, want := range map[string][2]string{
		"REST TOKEN":        {"arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/*", "arn:aws:execute-api:us-west-2:123456789012:ymy8tbxw7b/*/GET/"},
		"REST REQUEST":      {"arn:aws:execute-api:us-east-1:123456789012:s4x3opwd6i/test/*", "arn:aws:execute-api:us-east-1:123456789012:s4x3opwd6i/test/GET/request"},
		"HTTP 1.0":          {"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request"},
		"HTTP 2.0 policies": {"arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/*", "arn:aws:execute-api:us-east-1:123456789012:abcdef123/test/GET/request"},
	} {
		k := kinds[kind]
		for i, uncached := range []bool{false, true} {
			f := authorizer(t, iss.Verifier(), persauthlambda.AuthorizerConfig{CachingDisabled: uncached})
			a, err := ask(t, f, sample(t, k.sample, func(event map[string]any) { k.put(event, "Authorization", "Bearer "+iss.UserToken("acme")) }))
			require.NoError(t, err)
			assert.Equal(t, []string{want[i]}, a.PolicyDocument.Statement[0].Resource, kind)
		}
	}
}

// A token that is bound to a key is taken with its proof, and only where answers are
// not cached.
func TestBoundTokens(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	key := iss.DPoPClient("ES256")
	token := iss.BoundToken(key, map[string]any{"tenantId": "acme"})
	const origin = "https://api.example.com"
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = origin })
	for kind, k := range kinds {
		address, method := origin+"/request", "GET"
		if strings.HasPrefix(kind, "HTTP 2.0") {
			address, method = origin+"/my/path", "POST"
		}
		for _, c := range []struct {
			name     string
			uncached bool
			scheme   string
			proofs   []string
			good     bool
		}{
			{"good", true, "DPoP", []string{key.Proof(method, address, token)}, true},
			{"cached", false, "DPoP", []string{key.Proof(method, address, token)}, false},
			{"no proof", true, "DPoP", nil, false},
			{"two proofs", true, "DPoP", []string{key.Proof(method, address, token), key.Proof(method, address, token)}, false},
			{"another path", true, "DPoP", []string{key.Proof(method, origin+"/other", token)}, false},
			{"another method", true, "DPoP", []string{key.Proof("DELETE", address, token)}, false},
			{"as Bearer", true, "Bearer", []string{key.Proof(method, address, token)}, false},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				f := authorizer(t, v, persauthlambda.AuthorizerConfig{SimpleResponses: k.simple, CachingDisabled: c.uncached})
				event := sample(t, k.sample, func(event map[string]any) {
					k.put(event, "Authorization", c.scheme+" "+token)
					if c.proofs != nil {
						k.put(event, "DPoP", c.proofs...)
					}
				})
				a, err := ask(t, f, event)
				passed := err == nil && (k.simple && *a.IsAuthorized || !k.simple && a.PolicyDocument.Statement[0].Effect == "Allow")
				assert.Equal(t, c.good && kind != "REST TOKEN", passed, "%v", err)
				if c.good {
					a, err = ask(t, f, event)
					assert.False(t, err == nil && (!k.simple || *a.IsAuthorized), "a proof is good once")
				}
			})
		}
	}
}

// Settings that do not fit the API are an error, and nobody passes.
func TestMisconfigured(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	_, err := persauthlambda.Authorizer(nil, persauthlambda.AuthorizerConfig{})
	require.Error(t, err)
	nonces := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "https://api.example.com", NonceSecret: make([]byte, 32)}
	})
	_, err = persauthlambda.Authorizer(nonces, persauthlambda.AuthorizerConfig{})
	require.Error(t, err)

	token := "Bearer " + iss.UserToken("acme")
	other := func(event map[string]any) {
		event["headers"].(map[string]any)["authorization"] = token
	}
	for name, c := range map[string]struct {
		cfg   persauthlambda.AuthorizerConfig
		event []byte
	}{
		"simple answers for a REST API": {persauthlambda.AuthorizerConfig{SimpleResponses: true}, sample(t, "apigw-custom-auth-request", func(event map[string]any) { event["authorizationToken"] = token })},
		"cached by another header":      {persauthlambda.AuthorizerConfig{}, sample(t, "apigw-v2-custom-authorizer-v2-request", other)},
		"cached by another one, 1.0":    {persauthlambda.AuthorizerConfig{}, sample(t, "apigw-v2-custom-authorizer-v1-request", other)},
		"no authorizer's event":         {persauthlambda.AuthorizerConfig{}, sample(t, "apigw-request", func(map[string]any) {})},
		"no method":                     {persauthlambda.AuthorizerConfig{}, []byte(`{"type":"TOKEN","authorizationToken":"` + token + `","methodArn":"arn:aws:x"}`)},
		"no JSON":                       {persauthlambda.AuthorizerConfig{}, []byte(`{`)},
	} {
		a, err := ask(t, authorizer(t, v, c.cfg), c.event)
		require.Error(t, err, name)
		assert.NotEqual(t, "Unauthorized", err.Error(), name)
		assert.Zero(t, a, name)
	}
	// Where nothing is cached, it does not matter by what.
	_, err = ask(t, authorizer(t, v, persauthlambda.AuthorizerConfig{CachingDisabled: true}), sample(t, "apigw-v2-custom-authorizer-v2-request", other))
	assert.NoError(t, err)
}

// A rule that fails is no Deny, which would be cached.
func TestRuleThatCannotTell(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	event := sample(t, "apigw-custom-auth-request", func(event map[string]any) { event["authorizationToken"] = "Bearer " + iss.UserToken("acme") })
	for _, cause := range []error{fmt.Errorf("the till: %w", persauth.ErrUnavailable), errors.New("broken"), errors.Join(persauth.ErrForbidden, persauth.ErrUnavailable)} {
		_, err := ask(t, authorizer(t, iss.Verifier(), persauthlambda.AuthorizerConfig{Rule: func(*persauth.Claims) error { return cause }}), event)
		assert.ErrorIs(t, err, cause)
	}
}
