package persauthlambda_test

// A function that verifies itself: the events of AWS' library, through an
// http.Handler.

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdaurl"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthlambda"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// httpAnswer is an answer to any kind of event.
type httpAnswer struct {
	StatusCode        int                 `json:"statusCode"`
	StatusDescription string              `json:"statusDescription"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Cookies           []string            `json:"cookies"`
	Body              string              `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

func (a httpAnswer) header(name string) string {
	if values := a.MultiValueHeaders[name]; len(values) > 0 {
		return strings.Join(values, ", ")
	}
	return a.Headers[name]
}

func serveEvent(t testing.TB, h http.Handler, event []byte) (a httpAnswer) {
	t.Helper()
	out, err := persauthlambda.Handler(h).Invoke(t.Context(), event)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(out, &a), "%s", out)
	return a
}

// requests are the events that are HTTP requests.
var requests = map[string]struct {
	sample string
	put    func(event map[string]any, name string, values ...string)
	method string
	path   string
	query  string
}{
	"REST API":                      {"apigw-request", multiple, "POST", "/hello/world", "name=me"},
	"HTTP API":                      {"apigw-v2-request-no-authorizer", single, "GET", "/", ""},
	"function URL":                  {"lambda-urls-request", single, "POST", "/my/path", "parameter1=value1&parameter1=value2&parameter2=value"},
	"load balancer":                 {"alb-lambda-target-request-headers-only", single, "GET", "/", "key=hello"},
	"load balancer, several values": {"alb-lambda-target-request-multivalue-headers", onlyMultiple, "GET", "/", "key=hello"},
}

func onlyMultiple(event map[string]any, name string, values ...string) {
	event["multiValueHeaders"].(map[string]any)[strings.ToLower(name)] = values
}

func TestHandler(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	const origin = "https://api.example.com"
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP = persauth.DPoP{Origin: origin, NonceSecret: make([]byte, 32)} })
	key := iss.DPoPClient("ES256")
	bound := iss.BoundToken(key, map[string]any{"tenantId": "acme"})
	nonce := persauthtest.ProofClaim("nonce", v.DPoPNonce())
	for kind, k := range requests {
		reached := 0
		var got *http.Request
		h := v.Require(persauth.TenantIs("acme").Guard())(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached++
			got = r
			caller, _ := persauth.FromContext(r.Context())
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			fmt.Fprint(w, "hello ", caller.TenantID())
		}))
		address := origin + k.path
		proof := key.Proof(k.method, address, bound, nonce)
		for _, c := range []struct {
			name          string
			authorization []string
			proof         string
			status        int
			challenge     string
		}{
			{"good", []string{"Bearer " + iss.UserToken("acme")}, "", 200, ""},
			{"no token", nil, "", 401, `Bearer realm="PERS"`},
			{"another tenant", []string{"Bearer " + iss.UserToken("other")}, "", 403, "insufficient_scope"},
			{"expired", []string{"Bearer " + iss.ExpiredToken()}, "", 401, "invalid_token"},
			{"two", []string{"Bearer " + iss.UserToken("acme"), "Bearer " + iss.UserToken("acme")}, "", 0, "error="},
			{"bound", []string{"DPoP " + bound}, proof, 200, ""},
			{"proof again", []string{"DPoP " + bound}, proof, 401, "invalid_dpop_proof"},
			{"no nonce", []string{"DPoP " + bound}, key.Proof(k.method, address, bound), 401, "use_dpop_nonce"},
			{"proof for another path", []string{"DPoP " + bound}, key.Proof(k.method, origin+"/other", bound, nonce), 401, "invalid_dpop_proof"},
			{"no proof", []string{"DPoP " + bound}, "", 401, "invalid_dpop_proof"},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				before := reached
				a := serveEvent(t, h, sample(t, k.sample, func(event map[string]any) {
					if c.authorization != nil {
						k.put(event, "Authorization", c.authorization...)
					}
					if c.proof != "" {
						k.put(event, "DPoP", c.proof)
					}
				}))
				if c.status == 200 {
					require.Equal(t, 200, a.StatusCode, a.Body)
					assert.Equal(t, "hello acme", a.Body)
					assert.Equal(t, k.method, got.Method)
					assert.Equal(t, k.path, got.URL.Path)
					assert.Equal(t, k.query, got.URL.RawQuery)
					assert.NotEmpty(t, got.Host+got.RemoteAddr)
					if a.Cookies == nil && a.MultiValueHeaders == nil {
						assert.Equal(t, "a=1, b=2", a.header("Set-Cookie"))
					} else if a.Cookies != nil {
						assert.Equal(t, []string{"a=1", "b=2"}, a.Cookies)
					} else {
						assert.Equal(t, []string{"a=1", "b=2"}, a.MultiValueHeaders["Set-Cookie"])
					}
					return
				}
				assert.Equal(t, before, reached, "the handler was reached")
				if c.status != 0 { // several in one header are one that is malformed
					assert.Equal(t, c.status, a.StatusCode)
				}
				assert.GreaterOrEqual(t, a.StatusCode, 400)
				assert.Contains(t, a.header("Www-Authenticate"), c.challenge)
				assert.Equal(t, c.challenge == "use_dpop_nonce", a.header("Dpop-Nonce") != "")
				assert.Equal(t, "application/problem+json", a.header("Content-Type"))
			})
		}
	}
}

// Requests are what AWS' own adapter for function URLs makes of the same events.
func TestSameAsLambdaURL(t *testing.T) {
	for _, path := range []string{"/my/path", "/a%2Fb/caf%C3%A9", "/a//b/../c", "/x;y=1", "/+"} {
		event := sample(t, "lambda-urls-request", func(event map[string]any) {
			event["rawPath"] = path
			event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString([]byte("\x00\xff")), true
		})
		type seen struct{ method, path, raw, query, header, body string }
		look := func(to *seen) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				r.Header.Del("Cookie") // lambdaurl forgets them
				*to = seen{r.Method, r.URL.Path, r.URL.EscapedPath(), r.URL.RawQuery, fmt.Sprint(r.Header), string(body)}
			})
		}
		var ours, theirs seen
		serveEvent(t, look(&ours), event)
		var request events.LambdaFunctionURLRequest
		require.NoError(t, json.Unmarshal(event, &request))
		request.RequestContext.DomainName = "example.com" // the sample's is no host
		answer, err := lambdaurl.Wrap(look(&theirs))(t.Context(), &request)
		require.NoError(t, err)
		_, _ = io.Copy(io.Discard, answer)
		assert.Equal(t, theirs, ours)
		assert.Equal(t, "\x00\xff", ours.body)
	}
}

// Answers are what net/http would send.
func TestAnswers(t *testing.T) {
	event := sample(t, "apigw-request", func(map[string]any) {})
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    httpAnswer
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, httpAnswer{StatusCode: 200, MultiValueHeaders: map[string][]string{}}},
		"text": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") },
			httpAnswer{StatusCode: 200, MultiValueHeaders: map[string][]string{"Content-Type": {"text/plain; charset=utf-8"}}, Body: "hi"}},
		"bytes": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0xfe, 0x00}) },
			httpAnswer{StatusCode: 200, MultiValueHeaders: map[string][]string{"Content-Type": {"text/plain; charset=utf-16be"}}, Body: "//4A", IsBase64Encoded: true}},
		"a header too late": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(404)
			w.Header().Set("X", "y")
			w.WriteHeader(500)
		},
			httpAnswer{StatusCode: 404, MultiValueHeaders: map[string][]string{}}},
		"no content": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
			_, err := io.WriteString(w, "hi")
			assert.ErrorIs(t, err, http.ErrBodyNotAllowed)
		}, httpAnswer{StatusCode: 204, MultiValueHeaders: map[string][]string{}}},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103); w.WriteHeader(200) },
			httpAnswer{StatusCode: 200, MultiValueHeaders: map[string][]string{}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := serveEvent(t, c.handler, event)
			if name == "bytes" {
				got.MultiValueHeaders, c.want.MultiValueHeaders = nil, nil
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// What is no request does not reach the handler.
func TestNoRequest(t *testing.T) {
	f := persauthlambda.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	for name, event := range map[string][]byte{
		"no JSON":         []byte("{"),
		"an authorizer's": sample(t, "apigw-v2-custom-authorizer-v2-request", func(event map[string]any) { delete(event, "requestContext") }),
		"a WebSocket's":   sample(t, "apigw-websocket-request", func(map[string]any) {}),
		"a queue's":       []byte(`{"Records":[]}`),
		"a body not in base64": sample(t, "apigw-request", func(event map[string]any) {
			event["body"], event["isBase64Encoded"] = "%", true
		}),
		"a method that is none": sample(t, "apigw-request", func(event map[string]any) { event["httpMethod"] = "GET /" }),
		"a path that is none":   sample(t, "apigw-request", func(event map[string]any) { event["path"] = "/%zz" }),
	} {
		_, err := f.Invoke(t.Context(), event)
		assert.Error(t, err, name)
	}
}
