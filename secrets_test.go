package persauth_test

// Nothing that goes wrong says a token, a part of one, or the project key.

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// verifyBy sends the questions about tokens elsewhere, and all else to the server.
func verifyBy(server *persauthtest.Server, elsewhere reply) func(*persauth.Config) {
	return func(cfg *persauth.Config) {
		cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost {
				return elsewhere(r)
			}
			return server.Client().Transport.RoundTrip(r)
		})}
	}
}

// The errors of an HTTP client repeat what came: a Location that is no URL, a
// line that is no header. And whoever answers knows what was sent.
func TestErrorsOfTheHTTPClientAreNotRepeated(t *testing.T) {
	for name, answer := range map[string]reply{
		"a Location that is no URL": func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 307, Body: http.NoBody, Request: r,
				Header: http.Header{"Location": {"http://[" + r.Header.Get("x-project-key")}}}, nil
		},
		"an answer that is no HTTP": func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("malformed HTTP response %q", r.Header.Get("x-project-key"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				iss := persauthtest.NewIssuer(t)
				server := persauthtest.NewServer(t, iss, persauthtest.InMemory())
				v := server.Verifier(verifyBy(server, answer))
				_, err := v.Verify(t.Context(), iss.UnpublishedToken(map[string]any{}))
				require.ErrorIs(t, err, persauth.ErrUnavailable)
				var detail *persauth.Error
				require.True(t, errors.As(err, &detail))
				assert.NotNil(t, detail.Cause)
				assert.False(t, strings.Contains(err.Error(), server.ProjectKey()), "%v", err)
			})
		})
	}
}
