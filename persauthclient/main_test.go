package persauthclient_test

// What the tests share: a fake PERS in a bubble of testing/synctest, and sources
// of its tokens.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path, ok := shareStore(); ok { // another process of TestProcesses
		runShared(path)
		return
	}
	goleak.VerifyTestMain(m)
}

const origin = "https://api.example.com"

var target = &url.URL{Scheme: "https", Host: "api.example.com", Path: "/orders"}

// pers is a fake PERS.
type pers struct {
	*persauthtest.Server
	iss *persauthtest.Issuer
	v   *persauth.Verifier
}

// inBubble runs a test with a fake PERS and a clock that only sleeping moves.
func inBubble(t *testing.T, test func(t *testing.T, p pers), options ...persauthtest.ServerOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		test(t, pers{persauthtest.NewServer(t, iss, append(options, persauthtest.InMemory())...), iss, iss.Verifier()})
	})
}

// client is a client of the fake PERS, by its clock.
func (p pers) client(changes ...func(*persauthclient.Client)) *persauthclient.Client {
	c := &persauthclient.Client{ProjectKey: p.ProjectKey(), BaseURL: p.URL(), HTTPClient: p.Client(), Now: p.iss.Clock().Now}
	for _, change := range changes {
		change(c)
	}
	return c
}

// source is a source that nobody has signed in to.
func (p pers) source(t testing.TB, changes ...func(*persauthclient.Config)) *persauthclient.TokenSource {
	t.Helper()
	cfg := persauthclient.Config{Client: p.client()}
	for _, change := range changes {
		change(&cfg)
	}
	s, err := persauthclient.NewTokenSource(cfg)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// signedIn is a source with a session.
func (p pers) signedIn(t testing.TB, changes ...func(*persauthclient.Config)) *persauthclient.TokenSource {
	t.Helper()
	s := p.source(t, changes...)
	require.NoError(t, s.SignIn(t.Context(), persauthclient.Request{AuthToken: "a provider's"}))
	return s
}

// good asks for a token and has a service check it.
func (p pers) good(t testing.TB, s *persauthclient.TokenSource) string {
	t.Helper()
	token, err := s.AccessToken(t.Context())
	require.NoError(t, err)
	_, err = p.v.InsecureVerifySignatureOnly(t.Context(), token)
	require.NoError(t, err)
	return token
}

// service takes the tokens of the issuer, and counts what it was sent.
type service struct {
	http.Handler
	asked []string // scheme of each request
}

func (p pers) service(t testing.TB, changes ...func(*persauth.Config)) *service {
	v := p.iss.Verifier(changes...)
	s := new(service)
	answer := v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, claims.Subject())
	}))
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme := ""
		_, _ = fmt.Sscan(r.Header.Get("Authorization"), &scheme)
		s.asked = append(s.asked, scheme)
		answer.ServeHTTP(w, r)
	})
	return s
}

// roundTripper takes requests to a handler, without a socket.
type roundTripper struct{ http.Handler }

func (h roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	served := r.Clone(r.Context())
	served.RequestURI, served.Host = r.URL.RequestURI(), r.URL.Host
	if served.Method == "" {
		served.Method = http.MethodGet // as it is sent
	}
	if served.Body == nil {
		served.Body = http.NoBody
	}
	h.ServeHTTP(w, served)
	_ = served.Body.Close()
	response := w.Result()
	response.Request = r
	return response, nil
}

// errorOf returns the details of an error.
func errorOf(t testing.TB, err error) *persauthclient.Error {
	t.Helper()
	var e *persauthclient.Error
	require.True(t, errors.As(err, &e), "%v", err)
	return e
}

// silent fails where a text holds one of the secrets.
func silent(t testing.TB, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if secret != "" {
			assert.NotContains(t, text, secret)
		}
	}
}

var bg = context.Background()

// refreshTokenIn reads the refresh token that a store keeps.
func refreshTokenIn(t testing.TB, store persauthclient.Store) string {
	t.Helper()
	kept, err := store.Load(bg)
	require.NoError(t, err)
	var s struct {
		RefreshToken string `json:"refreshToken"`
	}
	require.NoError(t, json.Unmarshal(kept, &s))
	require.NotEmpty(t, s.RefreshToken)
	return s.RefreshToken
}
