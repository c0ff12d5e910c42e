package persauthtest_test

// Each fault does what it says, over a socket and in memory.

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var everyEndpoint = []persauthtest.Endpoint{persauthtest.EndpointKeys, persauthtest.EndpointVerify, persauthtest.EndpointToken, persauthtest.EndpointRefresh}

// request is a good request to an endpoint.
func request(iss *persauthtest.Issuer, s *persauthtest.Server, t *testing.T, e persauthtest.Endpoint) any {
	switch e {
	case persauthtest.EndpointKeys:
		return nil
	case persauthtest.EndpointRefresh:
		s.Heal()
		a := must(t, s, persauthtest.EndpointToken, map[string]string{"authToken": "x"})
		return map[string]string{"refreshToken": a.RefreshToken}
	}
	return map[string]string{"authToken": iss.UserToken("acme")}
}

func TestFaults(t *testing.T) {
	type check func(t *testing.T, e persauthtest.Endpoint, a answer, err error)
	status := func(code int) check {
		return func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			require.NoError(t, err, e)
			assert.Equal(t, code, a.Status, e)
		}
	}
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		check check
	}{
		"down": {persauthtest.Down, func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			require.Error(t, err, e)
			assert.Zero(t, a.Status, "there is no answer at all")
		}},
		"status": {persauthtest.Status(503), func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			status(503)(t, e, a, err)
			looksRight(t, e, a)
		}},
		"too many": {persauthtest.TooManyRequests(1500 * time.Millisecond), status(429)},
		"cut off": {persauthtest.CutOff, func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF, e)
			assert.Equal(t, 200, a.Status)
			assert.NotEmpty(t, a.Body)
		}},
		"garbage": {persauthtest.Garbage, func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			status(200)(t, e, a, err)
			assert.True(t, strings.HasPrefix(a.Body, "<html>"))
		}},
		"answer": {persauthtest.Answer(207, "[]"), func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			status(207)(t, e, a, err)
			assert.Equal(t, "[]", a.Body)
		}},
		"slow": {persauthtest.Slow(20 * time.Millisecond), func(t *testing.T, e persauthtest.Endpoint, a answer, err error) {
			status(200)(t, e, a, err)
			looksRight(t, e, a)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
				for _, e := range everyEndpoint {
					body := request(iss, s, t, e)
					s.Fault(e, c.fault)
					a, err := call(t, s, e, body)
					c.check(t, e, a, err)
					for _, other := range everyEndpoint {
						if other != e && other != persauthtest.EndpointRefresh {
							looksRight(t, other, must(t, s, other, request(iss, s, t, other)))
						}
					}
					s.Heal()
					if e == persauthtest.EndpointRefresh && a.Status == http.StatusOK && a.RefreshToken != "" {
						body = map[string]string{"refreshToken": a.RefreshToken} // the one before was used up
					}
					looksRight(t, e, must(t, s, e, body))
				}
			})
		})
	}
}

// looksRight checks that the body is the right one.
func looksRight(t *testing.T, e persauthtest.Endpoint, a answer) {
	t.Helper()
	switch e {
	case persauthtest.EndpointKeys:
		assert.Contains(t, a.Body, "test-key-1")
	case persauthtest.EndpointVerify:
		assert.True(t, a.Valid)
		assert.Equal(t, "acme", a.TenantID)
	default:
		assert.NotEmpty(t, a.AccessToken)
	}
}

func TestHanging(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		s.Fault(persauthtest.EndpointAll, persauthtest.Hanging)
		for _, e := range everyEndpoint {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			method, path, _ := strings.Cut(e.String(), " ")
			r, err := http.NewRequestWithContext(ctx, method, s.URL()+path, strings.NewReader("{}"))
			require.NoError(t, err)
			_, err = s.Client().Do(r)
			require.ErrorIs(t, err, context.DeadlineExceeded, e)
			cancel()
		}
	})
}

// A server that ends lets those go who hang, or goleak would find them.
func TestEndWhileHanging(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		s.Fault(persauthtest.EndpointAll, persauthtest.Hanging.Times(1), persauthtest.Slow(time.Hour))
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				response, err := s.Client().Get(s.URL() + "/.well-known/jwks.json")
				if err == nil {
					_ = response.Body.Close()
				}
				ended <- err
			}()
		}
		require.Eventually(t, func() bool { return s.Count(persauthtest.EndpointKeys) == 2 }, 10*time.Second, time.Millisecond)
		t.Cleanup(func() { assert.Empty(t, ended, "until here they hang") })
	})
}

func TestRetryAfter(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		for wait, want := range map[time.Duration]string{0: "", time.Second: "1", 1500 * time.Millisecond: "2"} {
			s.Fault(persauthtest.EndpointKeys, persauthtest.TooManyRequests(wait))
			response, err := s.Client().Get(s.URL() + "/.well-known/jwks.json")
			require.NoError(t, err)
			_ = response.Body.Close()
			assert.Equal(t, want, response.Header.Get("Retry-After"))
		}
	})
}

// The answer is longer than any limit, and does not come as a whole: a client
// that has seen enough can leave.
func TestHuge(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		s.Fault(persauthtest.EndpointKeys, persauthtest.Huge)
		response, err := s.Client().Get(s.URL() + "/.well-known/jwks.json")
		require.NoError(t, err)
		n, err := io.CopyN(io.Discard, response.Body, 5<<20)
		require.NoError(t, err)
		assert.EqualValues(t, 5<<20, n)
		require.NoError(t, response.Body.Close())
		err = s.Verifier().Warm(t.Context())
		require.ErrorIs(t, err, persauth.ErrUnavailable)
	})
}

func TestRedirect(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		s.Fault(persauthtest.EndpointKeys, persauthtest.RedirectTo(s.URL()+"/.well-known/jwks.json").Times(1))
		a := must(t, s, persauthtest.EndpointKeys, nil)
		assert.Equal(t, http.StatusOK, a.Status)
		assert.Equal(t, 2, s.Count(persauthtest.EndpointKeys))
		s.Fault(persauthtest.EndpointVerify, persauthtest.RedirectTo("http://localhost:1/"))
		_, err := call(t, s, persauthtest.EndpointVerify, plain)
		require.Error(t, err, "nobody is there")
	})
}

// What verdicts say that are not true, and what a verifier makes of them.
func TestLies(t *testing.T) {
	valid := func(claim string, same bool) func(*testing.T, answer, map[string]any) {
		return func(t *testing.T, a answer, own map[string]any) {
			assert.True(t, a.Valid)
			for name, value := range own {
				assert.Equal(t, name != claim || same, assert.ObjectsAreEqual(value, a.Payload[name]), name)
			}
		}
	}
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		check func(*testing.T, answer, map[string]any)
		want  error
	}{
		"valid":   {persauthtest.LyingValid, valid("", true), nil},
		"invalid": {persauthtest.LyingInvalid, func(t *testing.T, a answer, _ map[string]any) { assert.False(t, a.Valid) }, persauth.ErrRejected},
		"tenant": {persauthtest.OtherTenant, func(t *testing.T, a answer, own map[string]any) {
			valid("tenantId", false)(t, a, own)
			assert.NotEqual(t, own["tenantId"], a.TenantID)
		}, persauth.ErrRemoteMismatch},
		"subject":  {persauthtest.OtherSubject, valid("sub", false), persauth.ErrRemoteMismatch},
		"expiry":   {persauthtest.OtherExpiry, valid("exp", false), persauth.ErrRemoteMismatch},
		"business": {persauthtest.OtherClaim("businessId", "b"), valid("", true), persauth.ErrRemoteMismatch},
		"contradiction": {persauthtest.Contradictory, func(t *testing.T, a answer, _ map[string]any) {
			assert.True(t, a.Valid)
			assert.NotEmpty(t, a.ErrorMessage)
		}, persauth.ErrRemoteMismatch},
		"not a verdict": {persauthtest.NotAVerdict, func(t *testing.T, a answer, _ map[string]any) {
			assert.NotContains(t, a.Body, "valid")
		}, persauth.ErrRemoteMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
				token := iss.UnknownKeyToken()
				s.Fault(persauthtest.EndpointVerify, persauthtest.LyingValid)
				own := ask(t, s, token).Payload
				require.NotEmpty(t, own)
				s.Fault(persauthtest.EndpointAll, c.fault)
				c.check(t, ask(t, s, token), own)
				looksRight(t, persauthtest.EndpointKeys, must(t, s, persauthtest.EndpointKeys, nil))
				ask(t, s, "no token") // and does not fall over it

				_, err := s.Verifier().Verify(t.Context(), token)
				if c.want == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, c.want)
			})
		})
	}
}

func TestEmptySet(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		s.Fault(persauthtest.EndpointAll, persauthtest.EmptySet)
		assert.JSONEq(t, `{"keys":[]}`, must(t, s, persauthtest.EndpointKeys, nil).Body)
		assert.True(t, ask(t, s, iss.Token(plain)).Valid, "the others are in order")
	})
}

// A script: one fault after another, each for so many requests.
func TestScript(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		statuses := func(n int) (got []int) {
			for range n {
				got = append(got, must(t, s, persauthtest.EndpointKeys, nil).Status)
			}
			return got
		}
		s.Fault(persauthtest.EndpointKeys, persauthtest.Status(500).Times(2), persauthtest.Down.Times(0), persauthtest.Status(502).Times(1))
		assert.Equal(t, []int{500, 500, 502, 200, 200}, statuses(5))
		s.Fault(persauthtest.EndpointKeys, persauthtest.Status(500).Times(1), persauthtest.Status(503))
		assert.Equal(t, []int{500, 503, 503}, statuses(3))
		s.Fault(persauthtest.EndpointKeys)
		assert.Equal(t, []int{200}, statuses(1))

		s.Fault(persauthtest.EndpointAll, persauthtest.Status(500).Times(2))
		body := map[string]string{"authToken": iss.Token(plain)}
		assert.Equal(t, 500, must(t, s, persauthtest.EndpointVerify, body).Status)
		assert.Equal(t, []int{500, 200}, statuses(2))
		assert.Equal(t, 200, must(t, s, persauthtest.EndpointVerify, body).Status, "the endpoints share it")
	})
}
