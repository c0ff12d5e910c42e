package persauth_test

// What the client of a refused request sees, over real HTTP.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what a client got.
type answer struct {
	*http.Response
	body       string
	challenges map[string]map[string]string // parameters by scheme
	problem    struct {
		Type, Title, Detail string
		Status              int
	}
}

var parameter = regexp.MustCompile(`(\w+)="([^"]*)"`)

// ask sends a request and reads the answer. A problem must be one by RFC 9457.
func ask(t *testing.T, r *http.Request) answer {
	t.Helper()
	response, err := http.DefaultTransport.RoundTrip(r)
	require.NoError(t, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	a := answer{Response: response, body: string(raw), challenges: map[string]map[string]string{}}
	for _, challenge := range response.Header.Values("WWW-Authenticate") {
		scheme, rest, _ := strings.Cut(challenge, " ")
		require.NotContains(t, a.challenges, scheme, "one challenge a scheme")
		a.challenges[scheme] = map[string]string{}
		for _, m := range parameter.FindAllStringSubmatch(rest, -1) {
			require.NotContains(t, a.challenges[scheme], m[1])
			a.challenges[scheme][m[1]] = m[2]
		}
		require.NotEmpty(t, a.challenges[scheme], "RFC 6750 §3: a parameter at least")
	}
	if response.StatusCode >= 400 && r.Method != http.MethodHead && response.Header.Get("Content-Type") == "application/problem+json" {
		require.NoError(t, json.Unmarshal(raw, &a.problem))
		assert.Equal(t, response.StatusCode, a.problem.Status)
		assert.Equal(t, http.StatusText(response.StatusCode), a.problem.Title)
		assert.Equal(t, "about:blank", a.problem.Type)
		assert.NotEmpty(t, a.problem.Detail)
		assert.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	}
	return a
}

func get(t *testing.T, url string, headers ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// startService starts a service whose address the verifier knows.
func startService(t *testing.T, iss *persauthtest.Issuer, handler func(*persauth.Verifier) http.Handler, changes ...func(*persauth.Config)) (*httptest.Server, *persauth.Verifier) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	v := iss.Verifier(append([]func(*persauth.Config){func(cfg *persauth.Config) {
		cfg.DPoP.Origin = "http://" + s.Listener.Addr().String()
	}}, changes...)...)
	s.Config.Handler = handler(v)
	s.Start()
	t.Cleanup(s.Close)
	return s, v
}

func TestAnswers(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	guarded := func(v *persauth.Verifier) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", v.Middleware(callerOf))
		mux.Handle("/admin", v.Require(persauth.TenantRole(persauth.Fixed("acme"), "TENANT_ADMIN"))(callerOf))
		mux.Handle("/broken", v.Require(func(*http.Request, *persauth.Claims) error { return errors.New("secret of the database") })(callerOf))
		return mux
	}
	both, _ := startService(t, iss, guarded)
	bearerOnly, _ := startService(t, iss, guarded, func(cfg *persauth.Config) { cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPOff} })
	required, _ := startService(t, iss, guarded, func(cfg *persauth.Config) {
		cfg.DPoP.Mode, cfg.DPoP.Algorithms = persauth.DPoPRequired, []string{"ES256", "EdDSA"}
	})
	client := iss.DPoPClient("ES256")
	token, bound := iss.TenantToken("acme", "VIEWER"), iss.BoundToken(client, map[string]any{"tenantId": "acme"})
	proved := func(r *http.Request) *http.Request { client.Authorize(r, bound); return r }

	const none, no = "none", "no challenge"
	for _, c := range []struct {
		name         string
		request      *http.Request
		status       int
		bearer, dpop string // the error in the challenge, none, or no challenge
	}{
		{"a good token", get(t, both.URL, "Authorization", "Bearer "+token), 200, no, no},
		{"a good proof", proved(get(t, both.URL)), 200, no, no},
		{"nothing", get(t, both.URL), 401, none, none},
		{"a bad token", get(t, both.URL, "Authorization", "Bearer "+iss.ForgedToken()), 401, "invalid_token", none},
		{"an expired token", get(t, both.URL, "Authorization", "Bearer "+iss.ExpiredToken()), 401, "invalid_token", none},
		{"a bad token, as DPoP", get(t, both.URL, "Authorization", "DPoP "+iss.ForgedToken()), 401, none, "invalid_token"},
		{"a bound token as Bearer", get(t, both.URL, "Authorization", "Bearer "+bound), 401, "invalid_token", none},
		{"a token that is not bound, as DPoP", get(t, both.URL, "Authorization", "DPoP "+token), 401, none, "invalid_token"},
		{"no proof", get(t, both.URL, "Authorization", "DPoP "+bound), 401, none, "invalid_dpop_proof"},
		{"a bad proof", get(t, both.URL, "Authorization", "DPoP "+bound, "DPoP", "a.b.c"), 401, none, "invalid_dpop_proof"},
		{"a proof by another key", get(t, both.URL, "Authorization", "DPoP "+bound, "DPoP", iss.DPoPClient("ES256").Proof("GET", both.URL, bound)), 401, none, "invalid_token"},
		{"two tokens", get(t, both.URL, "Authorization", "Bearer "+token, "Authorization", "DPoP "+token), 400, "invalid_request", "invalid_request"},
		{"the wrong role", get(t, both.URL+"/admin", "Authorization", "Bearer "+token), 403, "insufficient_scope", none},
		{"the wrong role, with a proof", proved(get(t, both.URL+"/admin")), 403, none, "insufficient_scope"},
		{"a guard that broke", get(t, both.URL+"/broken", "Authorization", "Bearer "+token), 500, no, no},

		{"Bearer only: a good token", get(t, bearerOnly.URL, "Authorization", "Bearer "+token), 200, no, no},
		{"Bearer only: nothing", get(t, bearerOnly.URL), 401, none, no},
		{"Bearer only: a bound token", proved(get(t, bearerOnly.URL)), 401, "invalid_token", no},
		{"Bearer only: a bound token as Bearer", get(t, bearerOnly.URL, "Authorization", "Bearer "+bound), 401, "invalid_token", no},

		{"DPoP only: a good proof", proved(get(t, required.URL)), 200, no, no},
		{"DPoP only: nothing", get(t, required.URL), 401, no, none},
		{"DPoP only: a token that is not bound", get(t, required.URL, "Authorization", "Bearer "+token), 401, no, "invalid_token"},
		{"DPoP only: an algorithm that is not taken", func() *http.Request {
			rsa := iss.DPoPClient("RS256")
			r := get(t, required.URL)
			rsa.Authorize(r, iss.BoundToken(rsa, map[string]any{}))
			return r
		}(), 401, no, "invalid_dpop_proof"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := ask(t, c.request)
			assert.Equal(t, c.status, a.StatusCode)
			for scheme, want := range map[string]string{"Bearer": c.bearer, "DPoP": c.dpop} {
				parameters, challenged := a.challenges[scheme]
				assert.Equal(t, want != no, challenged, scheme)
				if want == none || want == no {
					assert.NotContains(t, parameters, "error", scheme)
				} else {
					assert.Equal(t, want, parameters["error"], scheme)
				}
				if scheme == "DPoP" && challenged {
					assert.Contains(t, strings.Fields(parameters["algs"]), "ES256")
					assert.Equal(t, c.request.URL.Host != required.Listener.Addr().String(), strings.Contains(parameters["algs"], "RS256"))
				}
			}
			if c.status != 200 {
				for _, secret := range []string{token, bound, "test-key", "secret", client.Thumbprint()} {
					assert.NotContains(t, a.body+fmt.Sprint(a.Header), secret)
				}
				assert.Empty(t, a.Header.Get("Caller"), "the handler has not run")
			}
		})
	}
}

// A HEAD is answered as a GET, without the body.
func TestAnswerToHead(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s, _ := startService(t, iss, func(v *persauth.Verifier) http.Handler { return v.Middleware(callerOf) })
	r := get(t, s.URL)
	full := ask(t, r)
	r.Method = http.MethodHead
	head := ask(t, r)
	assert.Equal(t, http.StatusUnauthorized, head.StatusCode)
	assert.Empty(t, head.body)
	assert.NotEmpty(t, full.body)
	full.Header.Del("Date")
	head.Header.Del("Date")
	assert.Equal(t, full.Header, head.Header)
}

func TestOnRefused(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	var refused error
	s, v := startService(t, iss, func(v *persauth.Verifier) http.Handler {
		return v.Middleware(v.Require(persauth.AuthTypeIn(persauth.AuthSystem))(callerOf))
	}, func(cfg *persauth.Config) {
		cfg.OnRefused = func(_ *persauth.Verifier, w http.ResponseWriter, _ *http.Request, err error) {
			refused = err
			http.Error(w, "go away", http.StatusTeapot)
		}
	})
	a := ask(t, get(t, s.URL, "Authorization", "Bearer "+iss.SystemToken("acme")))
	assert.Equal(t, http.StatusOK, a.StatusCode)
	for token, want := range map[string]error{"x": persauth.ErrMalformed, iss.UserToken("acme"): persauth.ErrForbidden} {
		a = ask(t, get(t, s.URL, "Authorization", "Bearer "+token))
		assert.Equal(t, http.StatusTeapot, a.StatusCode)
		assert.Empty(t, a.challenges)
		require.ErrorIs(t, refused, want)
	}
	assert.Equal(t, map[string]uint64{"malformed": 1, "forbidden": 1}, v.Status().Counters.Refused)
}

// Nobody can tell: 503, and when to come again.
func TestAnswerUnavailable(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	v := pers.Verifier()
	handler := v.Middleware(callerOf)
	token := "Bearer " + iss.UserToken("acme")

	pers.Fault(persauthtest.EndpointKeys, persauthtest.TooManyRequests(7*time.Second).Times(1))
	refused := serveRequest(handler, newRequest(http.MethodGet, "/", "Authorization", token))
	assert.Equal(t, http.StatusServiceUnavailable, refused.StatusCode)
	assert.Equal(t, "7", refused.Header.Get("Retry-After"))
	assert.Empty(t, refused.Header.Get("WWW-Authenticate"), "signing in again would not help")

	iss.Clock().Advance(8 * time.Second)
	assert.Equal(t, http.StatusOK, serveRequest(handler, newRequest(http.MethodGet, "/", "Authorization", token)).StatusCode)

	w := httptest.NewRecorder()
	v.WriteError(w, newRequest(http.MethodGet, "/"), fmt.Errorf("mine: %w", persauth.ErrUnavailable))
	assert.Equal(t, "1", w.Header().Get("Retry-After"), "never 0")
}

// A client that goes away was not refused; one that waited in vain was.
func TestCancelledRequest(t *testing.T) {
	for _, c := range []struct {
		name    string
		context func(context.Context) (context.Context, context.CancelFunc)
		status  int
		counted bool
	}{
		{"cancelled", func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		}, 499, false},
		{"timed out", func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadline(ctx, time.Unix(0, 0))
		}, http.StatusServiceUnavailable, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t)
			pers := persauthtest.NewServer(t, iss)
			pers.Fault(persauthtest.EndpointKeys, persauthtest.Hanging)
			v := pers.Verifier()
			ctx, cancel := c.context(t.Context())
			defer cancel()
			r := newRequest(http.MethodGet, "/", "Authorization", "Bearer "+iss.UserToken("acme")).WithContext(ctx)
			refused := serveRequest(v.Middleware(callerOf), r)
			assert.Equal(t, c.status, refused.StatusCode)
			assert.Empty(t, refused.Header.Get("Caller"))
			assert.Equal(t, c.counted, len(v.Status().Counters.Refused) > 0)
		})
	}
}

// A refusal for other servers than net/http's is what WriteError writes.
func TestRefusalIsTheAnswer(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "https://shop.example", NonceSecret: make([]byte, 32)}
	})
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, nil)
	_, wantsNonce := v.VerifyCredentials(t.Context(), persauth.Credentials{Authorization: []string{"DPoP " + token},
		Proofs: []string{client.Proof("GET", "https://shop.example/", token)}, Method: "GET", URL: "/"})
	for _, err := range []error{persauth.ErrNoToken, persauth.ErrExpired, persauth.ErrForbidden, errors.New("broken"), wantsNonce,
		&persauth.Error{Err: persauth.ErrUnavailable, RetryAfter: 1500 * time.Millisecond}} {
		refusal := v.Refusal(err, []string{"DPoP " + token})
		w := httptest.NewRecorder()
		v.WriteError(w, newRequest(http.MethodGet, "/", "Authorization", "DPoP "+token), err)
		assert.Equal(t, w.Code, refusal.Status)
		assert.Equal(t, w.Header(), refusal.Header())
		assert.Equal(t, w.Body.String(), string(refusal.Problem()))
		assert.True(t, json.Valid(refusal.Problem()))
	}
}
