package persauthclient_test

// Requests with tokens: where they go, what they bring, what is tried again.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// transport takes requests for origin to a handler.
func transport(t testing.TB, source persauthclient.Source, handler http.Handler) *http.Client {
	t.Helper()
	tr, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Origins: []string{origin}, Base: roundTripper{handler}})
	require.NoError(t, err)
	return &http.Client{Transport: tr}
}

func get(t testing.TB, c *http.Client, url string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := c.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(body)
}

var dpopRequired = func(cfg *persauth.Config) {
	cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPRequired, Origin: origin}
}

// Each request has a token, and a proof of its own where that is bound, whatever
// its address looks like.
func TestTransport(t *testing.T) {
	for name, c := range map[string]struct {
		bindTo string
		config func(*persauth.Config)
		scheme string
		extra  int // requests that are sent twice
	}{
		"Bearer":             {"", func(*persauth.Config) {}, "Bearer", 0},
		"ES256":              {"ES256", dpopRequired, "DPoP", 0},
		"EdDSA":              {"EdDSA", dpopRequired, "DPoP", 0},
		"ES256, with nonces": {"ES256", func(cfg *persauth.Config) { dpopRequired(cfg); cfg.DPoP.NonceSecret = make([]byte, 32) }, "DPoP", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				s := p.service(t, c.config)
				client := transport(t, p.signedIn(t, func(cfg *persauthclient.Config) { cfg.BindTo = c.bindTo }), s)
				addresses := []string{origin + "/orders", origin, origin + "/", "HTTPS://API.example.com:443/orders?page=2#3",
					origin + "/orders/caf%C3%A9%2f1~x/a;b=c", origin + "/a%22b", origin + "/a b|c", origin + "/é"}
				for _, url := range addresses {
					for range 2 {
						status, body := get(t, client, url)
						require.Equal(t, http.StatusOK, status, "%s %s", url, body)
					}
				}
				for _, method := range []string{"", "POST", "PATCH", "M-SEARCH"} {
					r, err := http.NewRequest(method, origin+"/orders", strings.NewReader("x"))
					require.NoError(t, err)
					r.Method = method
					response, err := client.Do(r)
					require.NoError(t, err)
					require.NoError(t, response.Body.Close())
					assert.Equal(t, http.StatusOK, response.StatusCode, method)
				}
				assert.Len(t, s.asked, 2*len(addresses)+4+c.extra)
				for _, scheme := range s.asked {
					assert.Equal(t, c.scheme, scheme)
				}
			})
		})
	}
}

// A request is not changed, and its own headers go along.
func TestRequestIsNotChanged(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	var got http.Header
	client := transport(t, iss.BoundTokenSource(iss.DPoPClient("ES256"), nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	r, err := http.NewRequest("GET", origin, nil)
	require.NoError(t, err)
	r.Header = http.Header{"X": {"1", "2"}, "Authorization": {"Basic mine"}, "Dpop": {"mine", "too"}}
	before := r.Header.Clone()
	response, err := client.Transport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, before, r.Header)
	assert.Equal(t, []string{"1", "2"}, got["X"])
	assert.Len(t, got["Authorization"], 1)
	assert.True(t, strings.HasPrefix(got.Get("Authorization"), "DPoP "))
	require.Len(t, got["Dpop"], 1)
	assert.NotEqual(t, "mine", got["Dpop"][0])

	client = transport(t, iss.TokenSource(nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	response, err = client.Transport.RoundTrip(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Empty(t, got["Dpop"], "a proof of somebody else's does not go along")
}

// A token goes to its origins, and nowhere else: not to a redirect's host either.
func TestOrigins(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		token := ""
		elsewhere := map[string]http.Header{}
		client := transport(t, p.signedIn(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "api.example.com" || r.URL.Scheme != "https" {
				elsewhere[r.URL.Scheme+"://"+r.Host] = r.Header
				return
			}
			token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if to := r.URL.Query().Get("to"); to != "" {
				http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			}
		}))
		hosts := []string{"https://evil.example", "http://api.example.com", "https://api.example.com:8443", "https://api.example.com.evil.example",
			"https://sub.api.example.com"}
		for _, host := range hosts {
			_, err := client.Get(host + "/orders")
			require.ErrorIs(t, err, persauthclient.ErrOrigin, host)
			assert.Empty(t, elsewhere)
			body := &closed{Reader: strings.NewReader("x")}
			r, err := http.NewRequest("POST", host, body)
			require.NoError(t, err)
			_, err = client.Transport.RoundTrip(r)
			require.ErrorIs(t, err, persauthclient.ErrOrigin, host)
			assert.True(t, body.closed)
		}
		for _, host := range hosts {
			status, _ := get(t, client, origin+"/?to="+host)
			assert.Equal(t, http.StatusOK, status)
			require.NotEmpty(t, token)
			require.Contains(t, elsewhere, host)
			silent(t, fmt.Sprint(elsewhere[host]), token, "Bearer")
		}
		token = ""
		status, _ := get(t, client, origin+"/?to=/orders")
		assert.Equal(t, http.StatusOK, status)
		assert.NotEmpty(t, token, "a redirect to the same origin keeps it")
	})
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

func TestTransportConfig(t *testing.T) {
	source := persauthclient.CallerToken()
	for want, cfg := range map[string]persauthclient.TransportConfig{
		"Source is missing":   {Origins: []string{origin}},
		"Origins are missing": {Source: source},
		"must be https":       {Source: source, Origins: []string{"http://api.example.com"}},
		"is not a URL":        {Source: source, Origins: []string{"https://a:b:c"}},
		"of the form":         {Source: source, Origins: []string{"https://user:pass@api.example.com"}},
		"has a path":          {Source: source, Origins: []string{"https://api.example.com/v1"}},
		"not ASCII":           {Source: source, Origins: []string{"https://ápi.example.com"}},
	} {
		_, err := persauthclient.NewTransport(cfg)
		require.Error(t, err, want)
		assert.Contains(t, err.Error(), want)
		silent(t, err.Error(), "pass@")
	}
	for _, cfg := range []persauthclient.TransportConfig{
		{Source: source, Origins: []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:80", "https://xn--pi-hia.example.com/"}},
		{Source: source, Origins: []string{"http://orders.internal"}, InsecureAllowHTTP: true},
	} {
		_, err := persauthclient.NewTransport(cfg)
		assert.NoError(t, err)
	}
}

// A token that a service does not accept is renewed once, and the request tried
// again where its body can be.
func TestRetry(t *testing.T) {
	once := func(r *http.Request) { r.GetBody = nil }
	for name, c := range map[string]struct {
		challenge string
		body      string
		change    func(*http.Request)
		refusals  int // by the service, before it accepts
		want      int
		sent      int
	}{
		"no body":          {challenge: `Bearer error="invalid_token"`, refusals: 1, want: 200, sent: 2},
		"no challenge":     {refusals: 1, want: 200, sent: 2},
		"a body":           {challenge: `Bearer error="invalid_token"`, body: "order", refusals: 1, want: 200, sent: 2},
		"a stream":         {challenge: `Bearer error="invalid_token"`, body: "order", change: once, refusals: 1, want: 401, sent: 1},
		"again and again":  {challenge: `Bearer error="invalid_token"`, body: "order", refusals: 100, want: 401, sent: 2},
		"not the token":    {challenge: `DPoP error="invalid_dpop_proof"`, refusals: 1, want: 401, sent: 1},
		"not enough":       {challenge: `Bearer error="insufficient_scope"`, refusals: 1, want: 401, sent: 1},
		"a nonce, unasked": {challenge: `DPoP error="use_dpop_nonce"`, refusals: 1, want: 401, sent: 1},
		"of two":           {challenge: `Basic realm="error=x", Bearer realm="a", error="invalid_token"`, refusals: 1, want: 200, sent: 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				var tokens, bodies []string
				client := transport(t, p.signedIn(t), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					tokens, bodies = append(tokens, r.Header.Get("Authorization")), append(bodies, string(body))
					if len(tokens) <= c.refusals {
						if c.challenge != "" {
							w.Header().Set("WWW-Authenticate", c.challenge)
						}
						w.WriteHeader(401)
					}
				}))
				var body io.Reader
				if c.body != "" {
					body = strings.NewReader(c.body)
				}
				r, err := http.NewRequest("POST", origin, body)
				require.NoError(t, err)
				if c.change != nil {
					c.change(r)
				}
				response, err := client.Do(r)
				require.NoError(t, err)
				require.NoError(t, response.Body.Close())
				assert.Equal(t, c.want, response.StatusCode)
				require.Len(t, tokens, c.sent)
				for _, sent := range bodies {
					assert.Equal(t, c.body, sent)
				}
				if c.sent > 1 {
					assert.NotEqual(t, tokens[0], tokens[1])
				}
			})
		})
	}
}

// A source that always has another token does not make a loop of it.
func TestRetryOnce(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	source := iss.TokenSource(nil)
	asked := 0
	status, _ := get(t, transport(t, source, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusUnauthorized)
	})), origin)
	assert.Equal(t, http.StatusUnauthorized, status)
	assert.Equal(t, 2, asked)
	assert.Equal(t, 1, source.Refused())
}

// While PERS is away, or the session has ended, the 401 of the service is the
// answer, with its body.
func TestRetryWithoutPERS(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		asked := 0
		client := transport(t, p.signedIn(t), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked++
			http.Error(w, "what is wrong", http.StatusUnauthorized)
		}))
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Down)
		for range 10 {
			status, body := get(t, client, origin)
			assert.Equal(t, 401, status)
			assert.Equal(t, "what is wrong\n", body)
		}
		assert.Equal(t, 10, asked, "each once")
		assert.LessOrEqual(t, p.Count(persauthtest.EndpointRefresh), 2)
	})
}

// A service with nonces: a request is tried twice at most, however many it offers,
// and a nonce in any answer is used for the next request (RFC 9449 §8.2).
func TestNonces(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	client := iss.DPoPClient("ES256")
	var nonces []string
	next := 0
	accept := true
	c := transport(t, iss.BoundTokenSource(client, nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		payload, _ := base64Claims(r.Header.Get("DPoP"))
		nonce, _ := payload["nonce"].(string)
		nonces = append(nonces, nonce)
		next++
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", next))
		if !accept || nonce == "" {
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(401)
		}
	}))
	for range 3 {
		status, _ := get(t, c, origin)
		assert.Equal(t, 200, status)
	}
	assert.Equal(t, []string{"", "n1", "n2", "n3"}, nonces)
	accept, nonces = false, nil
	status, _ := get(t, c, origin)
	assert.Equal(t, 401, status)
	assert.Equal(t, []string{"n4", "n5"}, nonces)

	// What is no nonce is not sent back.
	for _, bad := range []string{`a"b`, `a\b`, "a b", strings.Repeat("x", 1000)} {
		seen := 0
		c := transport(t, iss.BoundTokenSource(client, nil), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			seen++
			w.Header().Set("DPoP-Nonce", bad)
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			w.WriteHeader(401)
		}))
		get(t, c, origin)
		assert.Equal(t, 1, seen, bad)
	}
}

// What the source says, the caller of the client hears.
func TestSourceFails(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	source := iss.TokenSource(nil)
	asked := 0
	c := transport(t, source, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	source.Fail(persauthclient.ErrSignIn)
	body := &closed{Reader: strings.NewReader("x")}
	r, err := http.NewRequest("POST", origin, body)
	require.NoError(t, err)
	_, err = c.Transport.RoundTrip(r)
	assert.ErrorIs(t, err, persauthclient.ErrSignIn)
	assert.True(t, body.closed)
	assert.Zero(t, asked)
	source.Fail(nil)
	status, _ := get(t, c, origin)
	assert.Equal(t, 200, status)
	r, err = http.NewRequest("POST", origin, strings.NewReader("x"))
	require.NoError(t, err)
	lost := errors.New("the file has gone")
	r.GetBody = func() (io.ReadCloser, error) { return nil, lost }
	c = transport(t, source, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	_, err = c.Do(r)
	assert.ErrorIs(t, err, lost)
}

func TestStaticToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	system := iss.SystemToken("acme")
	source, err := persauthclient.StaticToken(system, nil)
	require.NoError(t, err)
	status, subject := get(t, transport(t, source, v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, claims.AuthType())
	}))), origin)
	assert.Equal(t, 200, status)
	assert.Equal(t, "system", subject)
	asked := 0
	status, _ = get(t, transport(t, source, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(401) })), origin)
	assert.Equal(t, 401, status)
	assert.Equal(t, 1, asked, "there is no other token to try")

	key, err := persauthclient.GenerateKey("ES256")
	require.NoError(t, err)
	other, err := persauthclient.GenerateKey("EdDSA")
	require.NoError(t, err)
	bound := iss.Token(map[string]any{"cnf": map[string]string{"jkt": key.Thumbprint()}})
	source, err = persauthclient.StaticToken(bound, key)
	require.NoError(t, err)
	bounded := iss.Verifier(dpopRequired)
	status, _ = get(t, transport(t, source, bounded.Middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))), origin)
	assert.Equal(t, 200, status)
	for name, f := range map[string]func() (persauthclient.Source, error){
		"a line break":  func() (persauthclient.Source, error) { return persauthclient.StaticToken(system+"\n", nil) },
		"nothing":       func() (persauthclient.Source, error) { return persauthclient.StaticToken("", nil) },
		"without a key": func() (persauthclient.Source, error) { return persauthclient.StaticToken(bound, nil) },
		"another key":   func() (persauthclient.Source, error) { return persauthclient.StaticToken(bound, other) },
		"a key too many": func() (persauthclient.Source, error) {
			return persauthclient.StaticToken(system, key)
		},
	} {
		_, err := f()
		require.Error(t, err, name)
		silent(t, err.Error(), system, bound)
	}
}

// A service passes on the token of its caller, to its origins alone; one that is
// bound to the caller's key is of no use to it.
func TestCallerToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = origin })
	behind := transport(t, persauthclient.CallerToken(), v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, "behind: ", claims.Subject())
	})))
	var failed error
	front := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, err := persauthclient.WithCallerToken(r.Context(), r)
		if failed = err; err != nil {
			w.WriteHeader(500)
			return
		}
		next, _ := http.NewRequestWithContext(ctx, "GET", origin+"/stock", nil)
		response, err := behind.Do(next)
		if err != nil {
			failed = err
			return
		}
		defer response.Body.Close()
		_, _ = io.Copy(w, response.Body)
	}))
	call := func(source persauthclient.Source) string {
		_, body := get(t, transport(t, source, front), origin+"/orders")
		return body
	}
	assert.Equal(t, "behind: ann", call(iss.TokenSource(map[string]any{"sub": "ann"})))
	assert.Equal(t, "behind: ben", call(iss.TokenSource(map[string]any{"sub": "ben"})))
	call(iss.BoundTokenSource(iss.DPoPClient("ES256"), nil))
	require.ErrorIs(t, failed, persauthclient.ErrBound)

	_, err := behind.Get(origin)
	require.ErrorIs(t, err, persauthclient.ErrRejected, "no caller, no token")
	for name, values := range map[string][]string{"none": nil, "two": {"Bearer a", "Bearer b"}, "Basic": {"Basic abc"}, "empty": {"Bearer "},
		"spaces": {"Bearer a b"}, "bound as Bearer": {"Bearer " + iss.BoundToken(iss.DPoPClient("ES256"), nil)}} {
		r := httptest.NewRequest("GET", origin, nil)
		r.Header["Authorization"] = values
		ctx, err := persauthclient.WithCallerToken(context.Background(), r)
		assert.Error(t, err, name)
		assert.Nil(t, ctx, name)
	}
}

// A body that is only partly read when the service refuses is sent whole again.
func TestLargeBody(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var got int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got == 0 {
			got = -1
			w.WriteHeader(401)
			return
		}
		body, _ := io.ReadAll(r.Body)
		got = len(body)
	}))
	defer server.Close()
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	tr, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: iss.TokenSource(nil), Origins: []string{server.URL}, Base: base})
	require.NoError(t, err)
	response, err := (&http.Client{Transport: tr, Timeout: 10 * time.Second}).Post(server.URL, "text/plain", bytes.NewReader(large))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, 200, response.StatusCode)
	assert.Equal(t, len(large), got)
}
