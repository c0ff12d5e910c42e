package persauthclient_test

// The two calls of PERS: what they bring, and what each answer means.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
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

func TestExchange(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		v := p.Verifier()
		for name, c := range map[string]struct {
			request persauthclient.Request
			check   func(*persauth.Claims) error
		}{
			"user":     {persauthclient.Request{AuthToken: "x"}, func(c *persauth.Claims) error { return c.RequireAuthType(persauth.AuthUser) }},
			"external": {persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthExternal}, func(c *persauth.Claims) error { return c.RequireAuthType(persauth.AuthExternal) }},
			"business": {persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthBusiness, Business: "b"}, func(c *persauth.Claims) error { return c.RequireBusinessRole("b", "ADMIN") }},
			"tenant":   {persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthTenant, Tenant: "acme"}, func(c *persauth.Claims) error { return c.RequireTenantRole("acme", "TENANT_ADMIN") }},
		} {
			tokens, err := p.client().Exchange(t.Context(), c.request)
			require.NoError(t, err, name)
			for range 2 {
				claims, err := v.Verify(t.Context(), tokens.AccessToken)
				require.NoError(t, err, name)
				assert.NoError(t, c.check(claims), name)
				assert.Equal(t, claims.ExpiresAt(), tokens.ExpiresAt, name)
				assert.Equal(t, claims.IssuedAt(), tokens.IssuedAt, name)
				assert.Equal(t, 24*time.Hour, tokens.RefreshExpiresAt.Sub(tokens.IssuedAt), name)
				tokens, err = p.client().Refresh(t.Context(), tokens.RefreshToken)
				require.NoError(t, err, name)
			}
		}
	})
}

// A user with several memberships gets a list to choose from.
func TestSelection(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		request := persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthBusiness}
		_, err := p.client().Exchange(t.Context(), request)
		require.ErrorIs(t, err, persauthclient.ErrSelection)
		var choice *persauthclient.SelectionError
		require.ErrorAs(t, err, &choice)
		require.Equal(t, []persauthclient.Option{{Business: "one", Name: "One & Co", Role: "VIEWER"}, {Business: "two"}}, choice.Options)
		request.Business = choice.Options[1].Business
		_, err = p.client().Exchange(t.Context(), request)
		require.NoError(t, err)
		request.Business = "three"
		_, err = p.client().Exchange(t.Context(), request)
		require.ErrorIs(t, err, persauthclient.ErrRejected)
	}, persauthtest.WithMemberships(persauthtest.Membership{BusinessID: "one", Name: "One & Co", Role: "VIEWER"}, persauthtest.Membership{BusinessID: "two"}))
}

// The shape of the options is not documented: what can be read of it is.
func TestSelectionShapes(t *testing.T) {
	one := []persauthclient.Option{{Business: "b1", Name: "One", Role: "ADMIN"}}
	for name, c := range map[string]struct {
		body string
		want []persauthclient.Option
	}{
		"flat":       {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[{"businessId":"b1","name":"One","role":"ADMIN"}]}`, one},
		"snake":      {`{"error":{"code":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","available_contexts":[{"business_id":"b1","display_name":"One","role":"ADMIN"}]}}`, one},
		"nested":     {`{"message":["MULTIPLE_CONTEXT_SELECTION_REQUIRED"],"details":{"contexts":[{"context":{"businessId":"b1"},"name":"One","role":"ADMIN"}]}}`, one},
		"object":     {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","memberships":[{"business":{"id":"b1","name":"One"},"role":"ADMIN"}]}`, one},
		"tenants":    {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[{"tenantId":"t1"},{"tenantId":"t2","name":7}]}`, []persauthclient.Option{{Tenant: "t1"}, {Tenant: "t2"}}},
		"none":       {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED"}`, nil},
		"words":      {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":["b1",null,7,{"x":"y"}]}`, nil},
		"too deep":   {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","o":` + strings.Repeat(`{"o":`, 20) + `[{"businessId":"b1"}]` + strings.Repeat("}", 20) + `}`, nil},
		"long texts": {`{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[{"businessId":"` + strings.Repeat("x", 300) + `"},{"businessId":"b"}]}`, []persauthclient.Option{{Business: "b"}}},
	} {
		inBubble(t, func(t *testing.T, p pers) {
			for _, status := range []int{400, 409, 200} {
				p.Fault(persauthtest.EndpointToken, persauthtest.Answer(status, c.body))
				_, err := p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
				var choice *persauthclient.SelectionError
				require.ErrorAs(t, err, &choice, "%s, status %d", name, status)
				assert.Equal(t, c.want, choice.Options, "%s, status %d", name, status)
			}
		})
	}
	inBubble(t, func(t *testing.T, p pers) {
		many := `{"message":"MULTIPLE_CONTEXT_SELECTION_REQUIRED","options":[` + strings.Repeat(`{"businessId":"b"},`, 5000) + `{}]}`
		p.Fault(persauthtest.EndpointToken, persauthtest.Answer(400, many))
		_, err := p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
		var choice *persauthclient.SelectionError
		require.ErrorAs(t, err, &choice)
		assert.Len(t, choice.Options, 1000)
	})
}

// What each failure is to a caller, and that none of them repeats a secret.
func TestCallFaults(t *testing.T) {
	access := func(p pers) string { return p.iss.UserToken("acme") }
	pair := func(access, refresh string) string {
		return fmt.Sprintf(`{"accessToken":%q,"refreshToken":%q}`, access, refresh)
	}
	answering := func(body func(p pers) string) func(p pers) persauthtest.Fault {
		return func(p pers) persauthtest.Fault { return persauthtest.Answer(200, body(p)) }
	}
	always := func(f persauthtest.Fault) func(pers) persauthtest.Fault {
		return func(pers) persauthtest.Fault { return f }
	}
	for name, c := range map[string]struct {
		fault  func(pers) persauthtest.Fault
		want   error
		status int
		retry  time.Duration
	}{
		"down":                {always(persauthtest.Down), persauthclient.ErrUnavailable, 0, 0},
		"cut off":             {always(persauthtest.CutOff), persauthclient.ErrUnavailable, 0, 0},
		"500":                 {always(persauthtest.Status(500)), persauthclient.ErrUnavailable, 500, 0},
		"429":                 {always(persauthtest.TooManyRequests(7 * time.Second)), persauthclient.ErrUnavailable, 429, 7 * time.Second},
		"429 for a day":       {always(persauthtest.TooManyRequests(24 * time.Hour)), persauthclient.ErrUnavailable, 429, 5 * time.Minute},
		"429, when not said":  {always(persauthtest.TooManyRequests(0)), persauthclient.ErrUnavailable, 429, 0},
		"404":                 {always(persauthtest.Status(404)), persauthclient.ErrUnavailable, 404, 0},
		"400":                 {always(persauthtest.Answer(400, `{"message":"eyJsecret"}`)), persauthclient.ErrRejected, 400, 0},
		"401":                 {always(persauthtest.Answer(401, ``)), persauthclient.ErrRejected, 401, 0},
		"403":                 {always(persauthtest.Answer(403, `<html>`)), persauthclient.ErrRejected, 403, 0},
		"a redirect":          {always(persauthtest.RedirectTo("https://evil.example/steal")), persauthclient.ErrUnavailable, 307, 0},
		"huge":                {always(persauthtest.Huge), persauthclient.ErrUnavailable, 0, 0},
		"garbage":             {always(persauthtest.Garbage), persauthclient.ErrAnswer, 200, 0},
		"not tokens":          {always(persauthtest.NotTokens), persauthclient.ErrAnswer, 200, 0},
		"stale":               {always(persauthtest.StaleTokens), persauthclient.ErrAnswer, 200, 0},
		"a member twice":      {answering(func(p pers) string { return `{"accessToken":"a","accessToken":"` + access(p) + `"}` }), persauthclient.ErrAnswer, 200, 0},
		"an array":            {answering(func(p pers) string { return "[" + pair(access(p), "r") + "]" }), persauthclient.ErrAnswer, 200, 0},
		"two values":          {answering(func(p pers) string { return pair(access(p), "r") + "{}" }), persauthclient.ErrAnswer, 200, 0},
		"a number":            {answering(func(pers) string { return `{"accessToken":7}` }), persauthclient.ErrAnswer, 200, 0},
		"a header in a token": {answering(func(p pers) string { return pair(access(p)+"\r\nX: y", "r") }), persauthclient.ErrAnswer, 200, 0},
		"opaque":              {answering(func(pers) string { return pair("opaque", "r") }), persauthclient.ErrAnswer, 200, 0},
		"without an end":      {answering(func(p pers) string { return pair(p.iss.Token(map[string]any{"exp": nil}), "r") }), persauthclient.ErrAnswer, 200, 0},
		"a refresh token":     {answering(func(p pers) string { return pair(p.iss.Token(map[string]any{"type": "USER_JWT_REFRESH_TOKEN"}), "r") }), persauthclient.ErrAnswer, 200, 0},
		"long":                {answering(func(p pers) string { return pair(p.iss.Token(map[string]any{"x": strings.Repeat("x", 16<<10)}), "r") }), persauthclient.ErrAnswer, 200, 0},
		"bound, unasked":      {answering(func(p pers) string { return pair(p.iss.BoundToken(p.iss.DPoPClient("ES256"), nil), "r") }), persauthclient.ErrAnswer, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				before, err := p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
				require.NoError(t, err)
				provider, again := "provider-secret", before.RefreshToken
				p.Fault(persauthtest.EndpointAll, c.fault(p))
				for what, call := range map[string]func() (*persauthclient.Tokens, error){
					"exchange": func() (*persauthclient.Tokens, error) {
						return p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: provider})
					},
					"refresh": func() (*persauthclient.Tokens, error) { return p.client().Refresh(t.Context(), again) },
				} {
					tokens, err := call()
					require.ErrorIs(t, err, c.want, what)
					assert.Nil(t, tokens, what)
					e := errorOf(t, err)
					assert.Equal(t, c.status, e.Status, what)
					assert.Equal(t, c.retry, e.RetryAfter, what)
					assert.Equal(t, what, e.Op)
					silent(t, err.Error()+fmt.Sprintf("%+v", e.Cause), provider, again, p.ProjectKey(), "eyJ", "evil")
				}
				assert.Equal(t, p.Count(persauthtest.EndpointAll), len(p.Requests(persauthtest.EndpointAll)), "nobody else was asked")
			})
		})
	}
}

// Nothing is sent where it is known that it would be wrong.
func TestNotSent(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		request := persauthclient.Request{AuthToken: "x"}
		for name, c := range map[string]*persauthclient.Client{
			"no project key":  p.client(func(c *persauthclient.Client) { c.ProjectKey = "" }),
			"a line break":    p.client(func(c *persauthclient.Client) { c.ProjectKey += "\n" }),
			"plain http":      p.client(func(c *persauthclient.Client) { c.BaseURL = "http://pers.test" }),
			"a password":      p.client(func(c *persauthclient.Client) { c.BaseURL = "https://user:pass@pers.test" }),
			"a query":         p.client(func(c *persauthclient.Client) { c.BaseURL = "https://pers.test?x" }),
			"another scheme":  p.client(func(c *persauthclient.Client) { c.BaseURL = "ftp://pers.test" }),
			"no host":         p.client(func(c *persauthclient.Client) { c.BaseURL = "https://" }),
			"other alphabets": p.client(func(c *persauthclient.Client) { c.BaseURL = "https://pérs.test" }),
		} {
			_, err := c.Exchange(t.Context(), request)
			assert.ErrorIs(t, err, persauthclient.ErrUnavailable, name)
			silent(t, err.Error(), p.ProjectKey(), "pass")
		}
		_, err := p.client().Exchange(t.Context(), persauthclient.Request{})
		assert.ErrorIs(t, err, persauthclient.ErrRejected)
		_, err = p.client().Refresh(t.Context(), "")
		assert.ErrorIs(t, err, persauthclient.ErrRejected)
		_, err = p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: "\xff"})
		assert.ErrorIs(t, err, persauthclient.ErrRejected)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = p.client().Exchange(ctx, request)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, p.Count(persauthtest.EndpointToken))
	})
}

// A call that nobody ends ends by itself.
func TestCallLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		p.Fault(persauthtest.EndpointToken, persauthtest.Hanging)
		began := time.Now()
		_, err := p.client().Exchange(bg, persauthclient.Request{AuthToken: "x"})
		require.ErrorIs(t, err, persauthclient.ErrUnavailable)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Minute, time.Since(began))
	})
}

// Raw login data go out under one name only, and a request says what it is.
func TestUnauthenticatedSession(t *testing.T) {
	var sent map[string]any
	iss := persauthtest.NewIssuer(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = nil
		_ = json.NewDecoder(r.Body).Decode(&sent)
		_ = json.NewEncoder(w).Encode(map[string]string{"accessToken": iss.UserToken("acme"), "refreshToken": "r"})
	}))
	defer server.Close()
	c := &persauthclient.Client{ProjectKey: "k", BaseURL: server.URL, HTTPClient: server.Client()}
	_, err := c.InsecureUnauthenticatedSession(t.Context(), persauthclient.Request{}, map[string]any{"email": "a@example.com"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"authToken": "", "rawLoginData": map[string]any{"email": "a@example.com"}}, sent)
	_, err = c.InsecureUnauthenticatedSession(t.Context(), persauthclient.Request{AuthToken: "x"}, nil)
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"authToken": "x", "rawLoginData": map[string]any{}}, sent)
	_, err = c.Exchange(t.Context(), persauthclient.Request{AuthToken: "x", AuthType: "business", Business: "b", Tenant: "t"})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{"authToken": "x", "authType": "business", "context": map[string]any{"businessId": "b", "tenantId": "t"}}, sent)
}

// PERS gets a proof for each call, with its nonce, and tokens are bound to the key.
func TestBoundClient(t *testing.T) {
	for name, options := range map[string][]persauthtest.ServerOption{"no nonce": nil, "nonces": {persauthtest.WithTokenNonces()}} {
		for _, algorithm := range []string{"ES256", "EdDSA"} {
			t.Run(name+" "+algorithm, func(t *testing.T) {
				inBubble(t, func(t *testing.T, p pers) {
					key, err := persauthclient.GenerateKey(algorithm)
					require.NoError(t, err)
					c := p.client(func(c *persauthclient.Client) { c.Key = key })
					tokens, err := c.Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
					require.NoError(t, err)
					for range 3 {
						tokens, err = c.Refresh(t.Context(), tokens.RefreshToken)
						require.NoError(t, err)
					}
					extra := 0
					if options != nil {
						extra = 1 // the first, which learns the nonce
					}
					assert.Equal(t, 4+extra, p.Count(persauthtest.EndpointAll))
					other, err := persauthclient.GenerateKey(algorithm)
					require.NoError(t, err)
					_, err = p.client(func(c *persauthclient.Client) { c.Key = other }).Refresh(t.Context(), tokens.RefreshToken)
					assert.ErrorIs(t, err, persauthclient.ErrUnavailable, "a proof that is not accepted says nothing about the token")
					p.Fault(persauthtest.EndpointAll, persauthtest.UnboundTokens)
					_, err = c.Refresh(t.Context(), tokens.RefreshToken)
					assert.ErrorIs(t, err, persauthclient.ErrAnswer)
				}, options...)
			})
		}
	}
}

// A service that asks for another nonce each time is asked twice, not for ever.
func TestNonceLoop(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		w.Header().Set("DPoP-Nonce", fmt.Sprint("nonce-", asked))
		w.WriteHeader(400)
		fmt.Fprint(w, `{"error":"use_dpop_nonce"}`)
	}))
	defer server.Close()
	key, err := persauthclient.GenerateKey("ES256")
	require.NoError(t, err)
	c := &persauthclient.Client{ProjectKey: "k", BaseURL: server.URL, HTTPClient: server.Client(), Key: key}
	_, err = c.Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
	require.ErrorIs(t, err, persauthclient.ErrUnavailable)
	assert.Equal(t, 2, asked)
}

// No way of printing shows a token or a project key.
func TestPrinting(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		store := new(persauthclient.MemoryStore)
		source := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
		tokens, err := p.client().Exchange(t.Context(), persauthclient.Request{AuthToken: "x"})
		require.NoError(t, err)
		key, err := persauthclient.GenerateKey("ES256")
		require.NoError(t, err)
		token := p.good(t, source)
		static, err := persauthclient.StaticToken(token, nil)
		require.NoError(t, err)
		transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: static, Origins: []string{origin}})
		require.NoError(t, err)
		r := httptest.NewRequest("GET", origin, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		ctx, err := persauthclient.WithCallerToken(t.Context(), r)
		require.NoError(t, err)
		kept, err := store.Load(t.Context())
		require.NoError(t, err)
		require.Contains(t, string(kept), token)
		for name, value := range map[string]any{"tokens": *tokens, "tokens by pointer": tokens, "client": p.client(), "source": source,
			"config": persauthclient.Config{Client: p.client(), Store: store}, "store": store, "static": static, "transport": transport,
			"context": ctx, "key": key, "status": source.Status()} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				text := fmt.Sprintf(verb, value)
				silent(t, text, token, tokens.AccessToken, tokens.RefreshToken, p.ProjectKey(), fmt.Sprintf("%x", token), fmt.Sprint([]byte(token))[1:200])
				assert.NotContains(t, text, "eyJ", "%s %s", name, verb)
			}
			if _, isContext := value.(context.Context); isContext {
				continue
			}
			encoded, _ := json.Marshal(value)
			silent(t, string(encoded), token, tokens.AccessToken, tokens.RefreshToken)
			var log bytes.Buffer
			slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
			silent(t, log.String(), token, tokens.AccessToken, tokens.RefreshToken)
		}
	})
}
