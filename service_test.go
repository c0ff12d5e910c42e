package persauth_test

// A service that verifies tokens with keys from PERS, as the tests about keys
// see it: an issuer, a fake PERS, a verifier, and all that it says.

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type service struct {
	t    testing.TB
	iss  *persauthtest.Issuer
	pers *fakePERS
	cfg  persauth.Config
	log  *logText
	v    *persauth.Verifier

	mu      sync.Mutex
	secrets map[string]bool
	rest    func() string // the payload and the signature of a good token
}

// serve starts a service whose PERS is up.
func serve(t testing.TB, changes ...func(*persauth.Config)) *service {
	t.Helper()
	iss := persauthtest.NewIssuer(t)
	s := &service{t: t, iss: iss, pers: newPERS(t, up(iss)), log: &logText{}, secrets: map[string]bool{projectKey: true}}
	s.rest = sync.OnceValue(func() string { return strings.SplitN(s.token(), ".", 2)[1] })
	s.cfg = persauth.Config{
		ProjectKey: projectKey,
		BaseURL:    "https://" + persHost + "/v2",
		HTTPClient: &http.Client{Transport: s.pers},
		Now:        iss.Clock().Now,
		// These tests are about keys. What PERS says of tokens has its own.
		Revocation:             persauth.RevocationOff(),
		UnknownKeyCallsPerHour: persauth.NoCalls,
		Logger:                 slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, change := range changes {
		change(&s.cfg)
	}
	s.start()
	t.Cleanup(func() {
		s.v.Close()
		s.status()
		s.discreet("log", s.log.String())
	})
	return s
}

func (s *service) start() {
	s.t.Helper()
	v, err := persauth.New(s.cfg)
	require.NoError(s.t, err)
	s.v = v
}

// restart is what a new process of the same service is.
func (s *service) restart(changes ...func(*persauth.Config)) {
	s.t.Helper()
	s.v.Close()
	for _, change := range changes {
		change(&s.cfg)
	}
	s.start()
}

// verify is Verify, and sees to it that the error tells no secrets.
func (s *service) verify(token string) (*persauth.Claims, error) {
	s.t.Helper()
	if parts := strings.Split(token, "."); len(parts) == 3 && len(parts[2]) > 40 {
		s.mu.Lock()
		s.secrets[parts[1]], s.secrets[parts[2]] = true, true
		s.mu.Unlock()
	}
	claims, err := s.v.Verify(s.t.(*testing.T).Context(), token)
	if err != nil {
		assert.Nil(s.t, claims)
		s.discreet("error", fmt.Sprintf("%v %+v %#v", err, err, err))
	}
	return claims, err
}

// accepts wants the token to be good, and without any wait.
func (s *service) accepts(token string) *persauth.Claims {
	s.t.Helper()
	before := time.Now()
	claims, err := s.verify(token)
	require.NoError(s.t, err)
	require.Zero(s.t, time.Since(before), "it waited")
	return claims
}

// refuses wants the token to fail in one way.
func (s *service) refuses(token string, want error) *persauth.Error {
	s.t.Helper()
	_, err := s.verify(token)
	require.ErrorIs(s.t, err, want)
	var detail *persauth.Error
	require.ErrorAs(s.t, err, &detail)
	return detail
}

// warm fetches the keys.
func (s *service) warm() {
	s.t.Helper()
	require.NoError(s.t, s.v.Warm(s.t.(*testing.T).Context()))
}

// status is Status, and sees to it that it tells no secrets.
func (s *service) status() persauth.Status {
	s.t.Helper()
	status := s.v.Status()
	text, err := json.Marshal(status)
	require.NoError(s.t, err)
	s.discreet("status", string(text))
	return status
}

func (s *service) discreet(where, text string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.secrets {
		if strings.Contains(text, secret) {
			s.t.Errorf("%s holds the secret %s: %s", where, secret, text)
		}
	}
}

// token is good for a week, so that only keys decide about it.
func (s *service) token() string { return s.tokenBy(nil) }

func (s *service) tokenBy(key *persauthtest.Key) string {
	claims := map[string]any{"exp": s.iss.Clock().Now().Add(7 * 24 * time.Hour).Unix()}
	if key == nil {
		return s.iss.Token(claims)
	}
	return s.iss.TokenBy(key, claims)
}

// stranger returns a well-made token with a kid that is not published. It costs
// little: nobody gets as far as its signature.
func (s *service) stranger(serial int) string {
	header := fmt.Sprintf(`{"alg":"ES256","kid":"stranger-%d"}`, serial)
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + s.rest()
}

// logText is what a logger wrote.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// lines counts the lines with a message.
func (l *logText) lines(message string) int { return strings.Count(l.String(), message) }

func write(t testing.TB, path string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, content, 0o600))
}
