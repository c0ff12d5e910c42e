package persauthtest_test

// The server without a socket, in the time of a bubble.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// In a bubble, slowness costs no time, and a verifier's clocks are the bubble's.
func TestVirtualTime(t *testing.T) {
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		s := persauthtest.NewServer(t, iss, persauthtest.InMemory())
		start := time.Now()
		s.Fault(persauthtest.EndpointKeys, persauthtest.Slow(3*time.Second))
		v := s.Verifier()
		_, err := v.Verify(t.Context(), iss.UserToken("acme"))
		require.NoError(t, err)
		assert.Equal(t, 3*time.Second, time.Since(start))

		s.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
		_, err = v.Verify(t.Context(), iss.UnpublishedToken(plain))
		require.ErrorIs(t, err, persauth.ErrUnavailable)

		time.Sleep(23 * time.Hour)
		_, err = v.Verify(t.Context(), iss.UserToken("acme"))
		require.NoError(t, err)
		synctest.Wait()
		assert.Greater(t, s.Count(persauthtest.EndpointKeys), 2, "refreshed, a day later")
	})
	assert.Less(t, time.Since(began), time.Minute)
}

// The transport in memory is an HTTP client's: it has one host, it ends with its
// server, and a caller who goes gets out at once, also in mid-body.
func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		s := persauthtest.NewServer(t, iss, persauthtest.InMemory())
		_, err := s.Client().Get("https://example.com/.well-known/jwks.json")
		require.ErrorContains(t, err, "no such host")
		response, err := s.Client().Head(s.URL() + "/.well-known/jwks.json")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		response, err = s.Client().Get(s.URL() + "/nowhere")
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		assert.Equal(t, http.StatusNotFound, response.StatusCode)

		s.Fault(persauthtest.EndpointKeys, persauthtest.Huge)
		ctx, cancel := context.WithCancelCause(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL()+"/.well-known/jwks.json", nil)
		require.NoError(t, err)
		response, err = s.Client().Do(r)
		require.NoError(t, err)
		gone := errors.New("gone")
		cancel(gone)
		synctest.Wait()
		_, err = io.ReadAll(response.Body)
		require.ErrorIs(t, err, gone)
		require.NoError(t, response.Body.Close())
		_, err = s.Client().Do(r)
		require.ErrorIs(t, err, gone)
	})
}
