package persauthtest_test

// Sessions of the fake PERS: refresh tokens are good once, may be bound to a key,
// and end.

import (
	"bytes"
	"encoding/json"
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

func refresh(t testing.TB, s *persauthtest.Server, token string) answer {
	t.Helper()
	return must(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": token})
}

func signIn(t testing.TB, s *persauthtest.Server, asked map[string]any) answer {
	t.Helper()
	all := map[string]any{"authToken": "a provider's"}
	for name, value := range asked {
		all[name] = value
	}
	return must(t, s, persauthtest.EndpointToken, all)
}

// inMemory runs a test in a bubble, with options.
func inMemory(t *testing.T, test func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server), options ...persauthtest.ServerOption) {
	synctest.Test(t, func(t *testing.T) {
		iss := persauthtest.NewIssuer(t)
		test(t, iss, persauthtest.NewServer(t, iss, append(options, persauthtest.InMemory())...))
	})
}

// A second use of a refresh token is refused, and ends the session, so that the
// thief and the owner of a token cannot both go on.
func TestRefreshTokenReuse(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		first := signIn(t, s, nil)
		second := refresh(t, s, first.RefreshToken)
		require.Equal(t, http.StatusOK, second.Status)
		assert.Equal(t, http.StatusUnauthorized, refresh(t, s, first.RefreshToken).Status)
		assert.Equal(t, http.StatusUnauthorized, refresh(t, s, second.RefreshToken).Status, "the session has ended")
		assert.Equal(t, http.StatusOK, refresh(t, s, signIn(t, s, nil).RefreshToken).Status, "others go on")
	})
}

// Of many at once exactly one is served.
func TestRefreshTokenRace(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		first := signIn(t, s, nil)
		var mu sync.Mutex
		served := 0
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				a, err := call(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": first.RefreshToken})
				mu.Lock()
				defer mu.Unlock()
				if assert.NoError(t, err) && a.Status == http.StatusOK {
					served++
				}
			})
		}
		callers.Wait()
		assert.Equal(t, 1, served)
	})
}

func TestReuseGrace(t *testing.T) {
	inMemory(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		first := signIn(t, s, nil)
		second := refresh(t, s, first.RefreshToken)
		time.Sleep(29 * time.Second)
		assert.Equal(t, second.Body, refresh(t, s, first.RefreshToken).Body, "the same answer again")
		third := refresh(t, s, second.RefreshToken)
		require.Equal(t, http.StatusOK, third.Status)
		assert.Equal(t, http.StatusUnauthorized, refresh(t, s, first.RefreshToken).Status, "its successor was used")

		first = signIn(t, s, nil)
		refresh(t, s, first.RefreshToken)
		time.Sleep(31 * time.Second)
		assert.Equal(t, http.StatusUnauthorized, refresh(t, s, first.RefreshToken).Status)
	}, persauthtest.WithReuseGrace(30*time.Second))
}

// Refresh tokens and sessions live for a day, by either clock.
func TestSessionLifetimes(t *testing.T) {
	for name, pass := range map[string]func(*persauthtest.Issuer, time.Duration){
		"the issuer's clock": func(iss *persauthtest.Issuer, d time.Duration) { iss.Clock().Advance(d) },
		"the bubble's":       func(_ *persauthtest.Issuer, d time.Duration) { time.Sleep(d) },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
				a := signIn(t, s, nil)
				for range 3 {
					pass(iss, 24*time.Hour-2*time.Second)
					a = refresh(t, s, a.RefreshToken)
					require.Equal(t, http.StatusOK, a.Status)
				}
				pass(iss, 24*time.Hour+time.Second)
				assert.Equal(t, http.StatusUnauthorized, refresh(t, s, a.RefreshToken).Status)
			})
		})
	}
}

// A revocation is kept until the token would have expired, also where other
// entries are swept meanwhile.
func TestRevocationLifetime(t *testing.T) {
	inMemory(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		yearly := iss.SystemToken("acme")
		s.Revoke(yearly)
		for range 1000 {
			s.Revoke(iss.UserToken("acme"))
		}
		time.Sleep(364 * 24 * time.Hour)
		for range 1000 {
			s.Revoke(iss.UserToken("acme"))
		}
		assert.Equal(t, "Token is revoked", ask(t, s, yearly).ErrorMessage)
	})
}

func TestMemberships(t *testing.T) {
	business := map[string]any{"authType": "business"}
	in := func(id string) map[string]any {
		return map[string]any{"authType": "business", "context": map[string]string{"businessId": id}}
	}
	one, two := persauthtest.Membership{BusinessID: "one", Role: "VIEWER"}, persauthtest.Membership{BusinessID: "two", Name: "Two & Co"}
	t.Run("none", func(t *testing.T) {
		inMemory(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
			assert.Equal(t, http.StatusForbidden, signIn(t, s, business).Status)
		}, persauthtest.WithMemberships())
	})
	t.Run("one", func(t *testing.T) {
		inMemory(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
			claims, err := s.Verifier().Verify(t.Context(), signIn(t, s, business).AccessToken)
			require.NoError(t, err)
			assert.NoError(t, claims.RequireBusinessRole("one", "VIEWER"), "it needs no context")
			assert.Equal(t, http.StatusForbidden, signIn(t, s, in("two")).Status)
		}, persauthtest.WithMemberships(one))
	})
	t.Run("two", func(t *testing.T) {
		inMemory(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
			a := signIn(t, s, business)
			assert.Equal(t, "MULTIPLE_CONTEXT_SELECTION_REQUIRED", a.Message)
			assert.Len(t, a.Options, 2)
			assert.Contains(t, a.Body, "Two & Co")
			claims, err := s.Verifier().Verify(t.Context(), signIn(t, s, in("two")).AccessToken)
			require.NoError(t, err)
			assert.NoError(t, claims.RequireBusinessRole("two", "ADMIN"))
		}, persauthtest.WithMemberships(one, two))
	})
}

// proven is a call with proofs in its header.
func proven(t testing.TB, s *persauthtest.Server, e persauthtest.Endpoint, body any, proofs ...string) answer {
	t.Helper()
	_, path, _ := strings.Cut(e.String(), " ")
	raw, err := json.Marshal(body)
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+path, bytes.NewReader(raw))
	require.NoError(t, err)
	r.Header.Set("x-project-key", s.ProjectKey())
	r.Header.Set("Content-Type", "application/json")
	r.Header["Dpop"] = proofs
	a, err := send(t, s, r)
	require.NoError(t, err)
	return a
}

func TestBinding(t *testing.T) {
	asked := map[string]string{"authToken": "x"}
	inMemory(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		ann, eve := iss.DPoPClient("ES256"), iss.DPoPClient("EdDSA")
		token, again := s.URL()+"/auth/token", s.URL()+"/auth/refresh"
		proof := ann.Proof("POST", token, "")
		a := proven(t, s, persauthtest.EndpointToken, asked, proof)
		require.Equal(t, http.StatusOK, a.Status, a.Body)
		for range 2 {
			report := s.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://api.example.com" }).Explain(t.Context(), a.AccessToken)
			require.NotNil(t, report)
			assert.Contains(t, claimsText(t, a.AccessToken), ann.Thumbprint())
			body := map[string]string{"refreshToken": a.RefreshToken}
			for name, proofs := range map[string][]string{
				"no proof": nil, "another key": {eve.Proof("POST", again, "")}, "of the first exchange": {proof},
				"for another address": {ann.Proof("POST", token, "")}, "for another method": {ann.Proof("GET", again, "")},
				"two": {ann.Proof("POST", again, ""), ann.Proof("POST", again, "")}, "no proof at all": {"x"},
				"an old one": {ann.Proof("POST", again, "", persauthtest.ProofClaim("iat", 0))},
				"no id":      {ann.Proof("POST", again, "", persauthtest.ProofClaim("jti", nil))},
				"no type":    {ann.Proof("POST", again, "", persauthtest.ProofHeader("typ", nil))},
				"no key":     {ann.Proof("POST", again, "", persauthtest.ProofHeader("jwk", nil))},
				"forged":     {ann.Proof("POST", again, "", persauthtest.ProofHeader("jwk", json.RawMessage(eve.JWK())), persauthtest.ProofHeader("alg", "EdDSA"))},
			} {
				refused := proven(t, s, persauthtest.EndpointRefresh, body, proofs...)
				assert.Equal(t, http.StatusBadRequest, refused.Status, name)
				assert.Contains(t, refused.Body, "invalid_dpop_proof", name)
			}
			a = proven(t, s, persauthtest.EndpointRefresh, body, ann.Proof("POST", again, ""))
			require.Equal(t, http.StatusOK, a.Status, a.Body)
		}
		unbound := signIn(t, s, nil)
		assert.Equal(t, http.StatusBadRequest, proven(t, s, persauthtest.EndpointRefresh,
			map[string]string{"refreshToken": unbound.RefreshToken}, ann.Proof("POST", again, "")).Status, "a token that is not bound stays so")
	})
	inMemory(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
		ann := iss.DPoPClient("ES256")
		a := proven(t, s, persauthtest.EndpointToken, asked, ann.Proof("POST", s.URL()+"/auth/token", ""))
		assert.Equal(t, http.StatusBadRequest, a.Status)
		assert.Contains(t, a.Body, "use_dpop_nonce")
	}, persauthtest.WithTokenNonces())
}

func claimsText(t testing.TB, token string) string {
	t.Helper()
	payload, err := base64URL(strings.Split(token, ".")[1])
	require.NoError(t, err)
	return payload
}

func TestTokenFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		check func(t *testing.T, claims string, a answer)
	}{
		"foreign":  {persauthtest.ForeignTokens, func(t *testing.T, claims string, _ answer) { assert.NotContains(t, claims, persauthtest.DefaultTenant) }},
		"unbound":  {persauthtest.UnboundTokens, func(t *testing.T, claims string, _ answer) { assert.NotContains(t, claims, "jkt") }},
		"other":    {persauthtest.OtherTokens(map[string]any{"sub": "eve"}), func(t *testing.T, claims string, _ answer) { assert.Contains(t, claims, `"sub":"eve"`) }},
		"stale":    {persauthtest.StaleTokens, func(t *testing.T, _ string, a answer) {}},
		"none":     {persauthtest.NotTokens, func(t *testing.T, _ string, a answer) { assert.Equal(t, `{"status":"ok"}`, a.Body) }},
		"the same": {persauthtest.SameRefreshToken, func(t *testing.T, _ string, a answer) {}},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(t *testing.T, iss *persauthtest.Issuer, s *persauthtest.Server) {
				ann := iss.DPoPClient("ES256")
				bound := proven(t, s, persauthtest.EndpointToken, map[string]string{"authToken": "x"}, ann.Proof("POST", s.URL()+"/auth/token", ""))
				s.Fault(persauthtest.EndpointAll, c.fault)
				assert.Equal(t, http.StatusOK, must(t, s, persauthtest.EndpointKeys, nil).Status, "others are in order")
				a := proven(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": bound.RefreshToken}, ann.Proof("POST", s.URL()+"/auth/refresh", ""))
				require.Equal(t, http.StatusOK, a.Status, a.Body)
				claims := ""
				if a.AccessToken != "" {
					claims = claimsText(t, a.AccessToken)
				}
				c.check(t, claims, a)
				_, err := s.Verifier().Verify(t.Context(), a.AccessToken)
				assert.Equal(t, name == "stale", persauth.Code(err) == "expired", "%v", err)
				s.Heal()
				if name == "the same" {
					assert.Equal(t, bound.RefreshToken, a.RefreshToken)
					a = proven(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": a.RefreshToken}, ann.Proof("POST", s.URL()+"/auth/refresh", ""))
					assert.Equal(t, http.StatusOK, a.Status, "it stays good")
				}
			})
		})
	}
}

// The answer is lost, and what was asked for has happened.
func TestLostAnswer(t *testing.T) {
	bothWays(t, func(t *testing.T, _ *persauthtest.Issuer, s *persauthtest.Server) {
		a := signIn(t, s, nil)
		s.Fault(persauthtest.EndpointRefresh, persauthtest.LostAnswer.Times(1))
		_, err := call(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": a.RefreshToken})
		require.Error(t, err)
		assert.Equal(t, http.StatusUnauthorized, refresh(t, s, a.RefreshToken).Status, "it is used up")

		a = signIn(t, s, nil)
		s.Fault(persauthtest.EndpointRefresh, persauthtest.Down.Times(1), persauthtest.Status(503).Times(1))
		_, err = call(t, s, persauthtest.EndpointRefresh, map[string]string{"refreshToken": a.RefreshToken})
		require.Error(t, err)
		assert.Equal(t, 503, refresh(t, s, a.RefreshToken).Status)
		assert.Equal(t, http.StatusOK, refresh(t, s, a.RefreshToken).Status, "nothing had happened")
	})
}
