package persauthtest_test

// The server when it is well, over a socket and in memory.

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// answer is what came back from a server.
type answer struct {
	Status int    `json:"-"`
	Body   string `json:"-"`

	Valid        bool
	Payload      map[string]any
	TenantID     string
	ErrorMessage string
	Message      string
	Options      []struct{ BusinessID string }
	AccessToken  string
	RefreshToken string
}

// call sends body to an endpoint, with the project key.
func call(t testing.TB, s *persauthtest.Server, e persauthtest.Endpoint, body any) (answer, error) {
	t.Helper()
	method, path, _ := strings.Cut(e.String(), " ")
	var content io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		require.NoError(t, err)
		content = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, content)
	require.NoError(t, err)
	r.Header.Set("x-project-key", s.ProjectKey())
	r.Header.Set("Content-Type", "application/json")
	return send(t, s, r)
}

func send(t testing.TB, s *persauthtest.Server, r *http.Request) (a answer, err error) {
	t.Helper()
	response, err := s.Client().Do(r)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	a.Status = response.StatusCode
	raw, err := io.ReadAll(response.Body)
	a.Body = string(raw)
	_ = json.Unmarshal(raw, &a) // some faults are no JSON
	return a, err
}

func must(t testing.TB, s *persauthtest.Server, e persauthtest.Endpoint, body any) answer {
	t.Helper()
	a, err := call(t, s, e, body)
	require.NoError(t, err)
	return a
}

// ask puts a token to /auth/verify.
func ask(t testing.TB, s *persauthtest.Server, token string) answer {
	t.Helper()
	a := must(t, s, persauthtest.EndpointVerify, map[string]string{"authToken": token})
	require.Equal(t, http.StatusOK, a.Status)
	return a
}

// flipped is a token with another signature.
func flipped(token string) string {
	i := strings.LastIndexByte(token, '.') + 5
	other := "A"
	if token[i] == 'A' {
		other = "B"
	}
	return token[:i] + other + token[i+1:]
}

// bothWays runs a test over a socket, and in memory in a bubble.
func bothWays(t *testing.T, test func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server)) {
	t.Run("socket", func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		test(t, iss, persauthtest.NewServer(t, iss))
	})
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t)
			test(t, iss, persauthtest.NewServer(t, iss, persauthtest.InMemory()))
		})
	})
}

func TestKeysEndpoint(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		a := must(t, s, persauthtest.EndpointKeys, nil)
		assert.Equal(t, http.StatusOK, a.Status)
		assert.JSONEq(t, string(iss.JWKS()), a.Body)
		iss.Rotate()
		assert.JSONEq(t, string(iss.JWKS()), must(t, s, persauthtest.EndpointKeys, nil).Body)
	})
}

func TestVerifyEndpoint(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		// The times in tokens are whole seconds: so is the clock's.
		iss.Clock().Set(time.Now().Truncate(time.Second))
		token := iss.Token(map[string]any{"email": "ann@example.com"})
		a := ask(t, s, token)
		assert.True(t, a.Valid)
		assert.Equal(t, persauthtest.DefaultTenant, a.TenantID)
		assert.Equal(t, persauthtest.DefaultTenant, a.Payload["tenantId"])
		assert.Empty(t, a.ErrorMessage)
		assert.Contains(t, a.Body, `"identifierEmail":"ann@example.com"`)
		for name, token := range map[string]string{"unpublished": iss.UnpublishedToken(plain), "symmetric": iss.SymmetricToken(plain)} {
			assert.True(t, ask(t, s, token).Valid, name)
		}

		dead := iss.UserToken("acme")
		s.Revoke(dead)
		twin := iss.Token(map[string]any{"jti": "twin"})
		s.RevokeID("twin")
		for name, token := range map[string]string{
			"expired": iss.ExpiredToken(), "forged": iss.ForgedToken(), "tampered": iss.TamperedToken(),
			"unknown key": iss.UnknownKeyToken(), "revoked": dead, "revoked by jti": twin,
			"endless":      iss.Token(map[string]any{"exp": nil}),
			"other secret": flipped(iss.SymmetricToken(plain)),
			"none":         "eyJhbGciOiJub25lIn0." + strings.Split(token, ".")[1] + ".",
			"two parts":    "a.b", "no JSON": "e30.AAAA.AAAA", "nothing at all": "..",
		} {
			a := ask(t, s, token)
			assert.False(t, a.Valid, name)
			assert.NotEmpty(t, a.ErrorMessage, name)
			assert.Contains(t, a.Body, `"payload":null`, name)
		}

		iss.Clock().Advance(15*time.Minute - time.Second)
		assert.True(t, ask(t, s, token).Valid)
		iss.Clock().Advance(2 * time.Second)
		assert.False(t, ask(t, s, token).Valid, "it goes by the issuer's clock")
	})
}

func TestTokenEndpoints(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		v := s.Verifier()
		asked := map[string]any{"authToken": "a provider's", "authType": "business"}
		a := must(t, s, persauthtest.EndpointToken, asked)
		assert.Equal(t, http.StatusBadRequest, a.Status)
		assert.Equal(t, "MULTIPLE_CONTEXT_SELECTION_REQUIRED", a.Message)
		require.NotEmpty(t, a.Options)

		asked["context"] = map[string]string{"businessId": a.Options[0].BusinessID, "tenantId": "acme"}
		a = must(t, s, persauthtest.EndpointToken, asked)
		require.Equal(t, http.StatusOK, a.Status)
		for range 2 {
			claims, err := v.Verify(t.Context(), a.AccessToken)
			require.NoError(t, err)
			assert.Equal(t, persauthtest.DefaultBusiness, claims.BusinessID())
			assert.Equal(t, "acme", claims.TenantID())
			assert.Equal(t, persauth.AuthBusiness, claims.AuthType())
			iss.Clock().Advance(time.Minute)
			before := a
			a = must(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": a.RefreshToken})
			require.Equal(t, http.StatusOK, a.Status)
			assert.NotEqual(t, before.AccessToken, a.AccessToken)
			assert.NotEqual(t, before.RefreshToken, a.RefreshToken)
		}
		s.Revoke(a.RefreshToken)
		for name, token := range map[string]string{"revoked": a.RefreshToken, "an access token": a.AccessToken,
			"symmetric": iss.SymmetricToken(plain), "garbage": "x"} {
			a := must(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": token})
			assert.Equal(t, http.StatusUnauthorized, a.Status, name)
		}
		for name, authType := range map[string]string{"user": "", "tenant": "tenant"} {
			a := must(t, s, persauthtest.EndpointToken, map[string]string{"authToken": "x", "authType": authType})
			claims, err := v.Verify(t.Context(), a.AccessToken)
			require.NoError(t, err)
			assert.EqualValues(t, name, claims.AuthType())
		}
		for e, body := range map[persauthtest.Endpoint]any{persauthtest.EndpointToken: map[string]string{}, persauthtest.EndpointRefresh: 7, persauthtest.EndpointVerify: plain} {
			assert.Equal(t, http.StatusBadRequest, must(t, s, e, body).Status, e)
		}
		odd := must(t, s, persauthtest.EndpointToken, map[string]string{"authToken": "x", "authType": "martian"})
		assert.Equal(t, http.StatusBadRequest, odd.Status)
	})
}

func TestProjectKey(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		for _, e := range []persauthtest.Endpoint{persauthtest.EndpointKeys, persauthtest.EndpointVerify, persauthtest.EndpointToken, persauthtest.EndpointRefresh} {
			for _, key := range []string{"", "wrong", s.ProjectKey() + "0"} {
				method, path, _ := strings.Cut(e.String(), " ")
				r, err := http.NewRequestWithContext(t.Context(), method, s.URL()+path, nil)
				require.NoError(t, err)
				r.Header.Set("x-project-key", key)
				a, err := send(t, s, r)
				require.NoError(t, err)
				assert.Equal(t, http.StatusUnauthorized, a.Status, e)
				assert.NotContains(t, a.Body, s.ProjectKey())
			}
			assert.False(t, s.Requests(e)[0].Authorized)
		}
	})
}

func TestCounts(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		v := s.Verifier()
		_, err := v.Verify(t.Context(), iss.UserToken("acme"))
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), iss.UnpublishedToken(plain))
		require.NoError(t, err)
		s.Fault(persauthtest.EndpointVerify, persauthtest.Status(500))
		must(t, s, persauthtest.EndpointVerify, map[string]string{"authToken": "x"})
		assert.Equal(t, 2, s.Count(persauthtest.EndpointKeys))
		assert.Equal(t, 2, s.Count(persauthtest.EndpointVerify))
		assert.Equal(t, 4, s.Count(persauthtest.EndpointAll))
		keys := s.Requests(persauthtest.EndpointKeys)
		require.Len(t, keys, 2)
		assert.False(t, keys[0].NoCache)
		assert.True(t, keys[1].NoCache, "an unknown key asks past all caches")
		assert.True(t, keys[0].Authorized)
		assert.WithinDuration(t, iss.Clock().Now(), keys[0].At, time.Minute)
		all := s.Requests(persauthtest.EndpointAll)
		require.Len(t, all, 4)
		assert.Equal(t, persauthtest.Request{Endpoint: persauthtest.EndpointVerify, Authorized: true, Fault: "status 500", At: all[3].At}, all[3])
		assert.Equal(t, "all endpoints", persauthtest.EndpointAll.String())
	})
}

// Many callers at once, while the server is told new things.
func TestConcurrency(t *testing.T) {
	bothWays(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				for range 10 {
					a, err := call(t, s, persauthtest.EndpointVerify, map[string]string{"authToken": iss.UserToken("acme")})
					if assert.NoError(t, err) {
						assert.Contains(t, []int{http.StatusOK, http.StatusTeapot}, a.Status)
						assert.True(t, a.Valid)
					}
				}
			})
		}
		for range 20 {
			s.Fault(persauthtest.EndpointAll, persauthtest.Status(http.StatusTeapot).Times(3))
			iss.Publish(iss.UnpublishedKey())
			s.RevokeID("nobody")
			s.Heal()
		}
		callers.Wait()
		assert.Equal(t, 200, s.Count(persauthtest.EndpointVerify))
	})
}
