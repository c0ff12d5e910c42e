package persauthtest_test

import (
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fails returns how check fails a test, and "" where it does not.
func fails(t *testing.T, check func(t persauthtest.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		check(f)
	}()
	require.Nil(t, <-done, "it panicked")
	return f.why
}

func TestMatchers(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier()
	good, expired := iss.UserToken("acme"), iss.ExpiredToken()
	assert.Equal(t, "acme", persauthtest.Accepts(t, v, good).TenantID())
	require.ErrorIs(t, persauthtest.Refuses(t, v, expired, persauth.ErrExpired), persauth.ErrExpired)
	require.Error(t, persauthtest.Refuses(t, v, expired, nil))

	for name, c := range map[string]struct {
		check func(t persauthtest.TB)
		says  []string
	}{
		"not accepted":          {func(t persauthtest.TB) { persauthtest.Accepts(t, v, expired) }, []string{"want a token that is accepted", "failed   exp", "passed   signature"}},
		"not refused":           {func(t persauthtest.TB) { persauthtest.Refuses(t, v, good, persauth.ErrExpired) }, []string{"expired", `subject "0b0e3c2e`, "passed   exp"}},
		"not refused at all":    {func(t persauthtest.TB) { persauthtest.Refuses(t, v, good, nil) }, []string{"want a token that is refused, got one"}},
		"refused for otherwise": {func(t persauthtest.TB) { persauthtest.Refuses(t, v, expired, persauth.ErrSignature) }, []string{"signature", "failed   exp"}},
	} {
		t.Run(name, func(t *testing.T) {
			says := fails(t, c.check)
			for _, want := range c.says {
				assert.Contains(t, says, want)
			}
			for _, token := range []string{good, expired} {
				for _, segment := range strings.Split(token, ".")[1:] {
					assert.NotContains(t, says, segment)
				}
			}
		})
	}
}

func TestRecordedRequests(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := persauthtest.NewServer(t, iss)
	v := s.Verifier()
	for range 3 {
		persauthtest.Accepts(t, v, iss.UserToken("acme"))
	}
	requests := persauthtest.RecordedRequests(t, s, persauthtest.EndpointKeys, 1)
	require.Len(t, requests, 1)
	assert.True(t, requests[0].Authorized)
	persauthtest.RecordedRequests(t, s, persauthtest.EndpointVerify, 0)
	says := fails(t, func(t persauthtest.TB) { persauthtest.RecordedRequests(t, s, persauthtest.EndpointAll, 2) })
	assert.Contains(t, says, "want 2 requests of all endpoints, got 1")
	assert.Contains(t, says, "1. GET /.well-known/jwks.json")
	assert.NotContains(t, says, s.ProjectKey())
}
