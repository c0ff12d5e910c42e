package persauth_test

// Tokens that the keys at hand cannot check: when PERS is asked, how often, and
// what comes of callers who leave.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Until its key is published, PERS vouches for a token, and is asked again; then
// it is verified here, also when it is in constant use.
func TestVouchedTokenIsVerifiedLocallyOnceItsKeyIsThere(t *testing.T) {
	for name, pause := range map[string]time.Duration{"in constant use": time.Second, "used now and then": 7 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm()
				token := pers.iss.UnpublishedToken(map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
				assert.Equal(t, persauth.VerifiedRemotely, accepts(t, v, token).Verification().Method)
				pers.iss.Publish(pers.iss.UnpublishedKey())
				require.NoError(t, v.Warm(t.Context()))
				for begin := time.Now(); time.Since(begin) < 25*time.Minute; time.Sleep(pause) {
					accepts(t, v, token)
				}
				assert.Equal(t, persauth.VerifiedLocally, accepts(t, v, token).Verification().Method)
				asked := pers.asked()
				assert.LessOrEqual(t, asked, 6) // the keys were 15 min old before they were fetched again
				time.Sleep(20 * time.Minute)
				accepts(t, v, token)
				assert.Equal(t, asked, pers.asked(), "nobody asks about a short-lived token under a known key")
			})
		})
	}
}

// A key that comes does not save a token that was revoked, nor one that it has
// not signed.
func TestVouchedTokenWhenItsKeyIsThere(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(5 * time.Minute) })
		good := pers.stranger()
		hidden := pers.iss.UnpublishedKey()
		other, err := persauthtest.NewKey(hidden.ID, "EdDSA", "")
		require.NoError(t, err)
		forged := pers.iss.TokenBy(other, map[string]any{})
		accepts(t, v, good)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingValid.Times(1))
		accepts(t, v, forged)

		pers.Heal()
		pers.iss.Publish(hidden)
		pers.Revoke(good)
		time.Sleep(time.Minute)
		refuses(t, v, pers.iss.UnknownKeyToken(), persauth.ErrRejected) // fetches the keys
		time.Sleep(3 * time.Minute)
		accepts(t, v, good) // its verdict is not too old yet
		time.Sleep(time.Minute)
		refuses(t, v, good, persauth.ErrRevoked)
		refuses(t, v, forged, persauth.ErrSignature)
	})
}

// A token that PERS vouches for is refused once its key is there and says that it
// is forged, whatever PERS goes on to say: also while its verdict is renewed.
func TestVouchedTokenThatItsKeyRefuses(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		hidden := pers.iss.UnpublishedKey()
		h, p, _ := segmentsOf(t, pers.stranger())
		forged := h + "." + p + "." + b64(make([]byte, 64))
		pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingValid)
		accepts(t, v, forged)
		pers.iss.Publish(hidden)
		time.Sleep(time.Minute)
		accepts(t, v, pers.iss.UnknownKeyToken()) // fetches the keys
		time.Sleep(3*time.Minute + 30*time.Second)
		refuses(t, v, forged, persauth.ErrSignature)
		refuses(t, v, forged, persauth.ErrSignature)
	})
}

// Revoked tokens do not use up what checks known callers.
func TestRejectedTokensLeaveTheRevocationLane(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		token := pers.stranger()
		accepts(t, v, token)
		pers.Revoke(token)
		calls := func() uint64 { return v.Status().Remote.Revocation.Calls.Asked }
		time.Sleep(5 * time.Minute)
		refuses(t, v, token, persauth.ErrRejected)
		assert.EqualValues(t, 1, calls())
		for range 10 {
			time.Sleep(31 * time.Second)
			refuses(t, v, token, persauth.ErrRejected)
		}
		assert.EqualValues(t, 1, calls())
	})
}

// Callers whose patience is shorter than PERS needs still get on: the answer to
// the first question is there for the second.
func TestAnswersCountWhenNobodyWaits(t *testing.T) {
	for _, kind := range []string{"unknown key", "known key", "verdict too old"} {
		t.Run(kind, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm()
				token := pers.yearly()
				switch kind {
				case "unknown key":
					token = pers.stranger()
				case "verdict too old":
					accepts(t, v, token)
					time.Sleep(10 * time.Minute)
				}
				before := pers.asked()
				pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2500*time.Millisecond))
				asking := time.Now().UTC()
				for range 2 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					claims, err := v.Verify(ctx, token)
					cancel()
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, persauth.ErrUnavailable)
					require.Nil(t, claims)
				}
				time.Sleep(time.Second)
				claims := accepts(t, v, token)
				assert.Equal(t, before+1, pers.asked())
				// It is as old as the question: PERS may have looked at once.
				assert.Equal(t, asking, claims.Verification().CheckedAt)
			})
		})
	}
}

// A caller who has left already costs no question, and learns no more than that.
func TestCallerWhoHasLeft(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		refuses(t, v, pers.iss.UnknownKeyToken(), persauth.ErrRejected) // takes the permit of the interval
		asked := pers.asked()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, token := range []string{pers.stranger(), pers.yearly(), pers.iss.SymmetricToken(map[string]any{})} {
			claims, err := v.Verify(ctx, token)
			assert.Nil(t, claims)
			if !errors.Is(err, persauth.ErrAlgorithm) {
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorIs(t, err, persauth.ErrUnavailable)
				assert.NotErrorIs(t, err, persauth.ErrUnknownKey)
			}
		}
		assert.Equal(t, asked, pers.asked())
	})
}

// A thousand callers with one new token cause one question. Those who leave get
// out at once; the others get the answer.
func TestCoalescing(t *testing.T) {
	for _, kind := range []string{"unknown key", "known key", "symmetric"} {
		t.Run(kind, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm(func(cfg *persauth.Config) { cfg.RemoteAlgorithms = []string{"HS256"} })
				token := map[string]string{"unknown key": pers.stranger(), "known key": pers.yearly(),
					"symmetric": pers.iss.SymmetricToken(map[string]any{})}[kind]
				pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2*time.Second))
				begin := time.Now()
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				for i := range 1000 {
					all.Go(func() {
						if i%10 == 0 { // the one who asked may be among them
							claims, err := v.Verify(ctx, token)
							assert.Equal(t, time.Second, time.Since(begin))
							assert.Nil(t, claims)
							assert.ErrorIs(t, err, context.Canceled)
							assert.ErrorIs(t, err, persauth.ErrUnavailable)
							return
						}
						claims, err := v.Verify(t.Context(), token)
						assert.Equal(t, 2*time.Second, time.Since(begin))
						assert.NoError(t, err)
						assert.NotNil(t, claims)
					})
				}
				time.Sleep(time.Second)
				cancel()
				all.Wait()
				assert.Equal(t, 1, pers.asked())
			})
		})
	}
}

// A live answer is one to a question that was put after the caller came: callers
// who come while one is under way share the next.
func TestCoalescingOfLiveQuestions(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		token := pers.yearly()
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Contradictory.Times(1), persauthtest.Slow(time.Second))
		refuses(t, v, token, persauth.ErrRemoteMismatch)
		refuses(t, v, token, persauth.ErrRemoteMismatch) // remembered, but not for those who ask live
		require.Equal(t, 1, pers.asked())
		var all sync.WaitGroup
		live := func(took time.Duration) {
			begin := time.Now()
			all.Go(func() {
				_, err := v.VerifyLive(t.Context(), token)
				assert.NoError(t, err)
				assert.Equal(t, took, time.Since(begin))
			})
		}
		live(time.Second)
		time.Sleep(time.Second / 2)
		for range 100 {
			live(time.Second * 3 / 2)
		}
		all.Wait()
		assert.Equal(t, 3, pers.asked())
	})
}

// In all, PERS has 5 seconds. Only a connection that failed is tried again.
func TestTimeoutAndRetry(t *testing.T) {
	elsewhere := "https://elsewhere.test/auth/verify"
	for name, c := range map[string]struct {
		fault persauthtest.Fault
		asked int
		took  time.Duration
		want  error // nil: accepted
	}{
		"slow":               {persauthtest.Slow(5*time.Second - time.Millisecond), 1, 5*time.Second - time.Millisecond, nil},
		"too slow":           {persauthtest.Slow(6 * time.Second), 1, 5 * time.Second, persauth.ErrUnavailable},
		"hanging":            {persauthtest.Hanging, 1, 5 * time.Second, persauth.ErrUnavailable},
		"a connection fails": {persauthtest.Down.Times(1), 2, 0, nil},
		"down":               {persauthtest.Down, 2, 0, persauth.ErrUnavailable},
		"cut off":            {persauthtest.CutOff, 1, 0, persauth.ErrUnavailable},
		"500":                {persauthtest.Status(500), 1, 0, persauth.ErrUnavailable},
		"503":                {persauthtest.Status(503), 1, 0, persauth.ErrUnavailable},
		"429":                {persauthtest.TooManyRequests(time.Second), 1, 0, persauth.ErrUnavailable},
		"garbage":            {persauthtest.Garbage, 1, 0, persauth.ErrRemoteMismatch},
		"huge":               {persauthtest.Huge, 1, 0, persauth.ErrUnavailable},
		"sent elsewhere":     {persauthtest.RedirectTo(elsewhere), 1, 0, persauth.ErrUnavailable},
		"sent to plain http": {persauthtest.RedirectTo("http://pers.test/auth/verify"), 1, 0, persauth.ErrUnavailable},
		"sent in circles":    {persauthtest.RedirectTo("/auth/verify"), 1, 0, persauth.ErrUnavailable},
		"sent here, once":    {persauthtest.RedirectTo("/auth/verify").Times(1), 1, 0, persauth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm()
				pers.Fault(persauthtest.EndpointVerify, c.fault)
				begin := time.Now()
				claims, err := v.Verify(t.Context(), pers.yearly())
				assert.Equal(t, c.took, time.Since(begin))
				assert.Equal(t, c.asked, pers.asked())
				assert.ErrorIs(t, err, c.want)
				assert.Equal(t, c.want != nil, claims == nil)
			})
		})
	}
}

// No redirect is followed, to any host: a POST would become a GET without the
// token, the project key would go along, and whatever is found there says nothing
// of the token. What a client of one's own allows does not count.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, location := range []string{"/elsewhere", "/auth/verify", "https://elsewhere.test/auth/verify", "//elsewhere.test/",
			"https://pers.test:444/auth/verify", "https://pers.test@elsewhere.test/", "http://pers.test/auth/verify", "http://[::1", "%zz", ""} {
			inBubble(t, fmt.Sprint(status, " ", location), func(t *testing.T) {
				pers := newLab(t)
				forged, revoked := pers.iss.UnknownKeyToken(), pers.yearly()
				var asked []string
				v := pers.warm(func(cfg *persauth.Config) {
					cfg.HTTPClient = clientOf(func(r *http.Request) (*http.Response, error) {
						if r.URL.Path == "/.well-known/jwks.json" {
							return pers.Client().Transport.RoundTrip(r)
						}
						asked = append(asked, r.Method)
						if len(asked)%2 == 1 {
							return responding(status, http.Header{"Location": {location}}, "")(r)
						}
						return responding(200, http.Header{}, `{"valid":true,"tenantId":"`+persauthtest.DefaultTenant+`"}`)(r)
					})
					cfg.HTTPClient.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
				})
				assert.ErrorContains(t, refuses(t, v, forged, persauth.ErrUnavailable), "redirect")
				asked = nil
				claims, err := v.VerifyLive(t.Context(), revoked)
				require.ErrorIs(t, err, persauth.ErrUnavailable)
				require.ErrorContains(t, err, "redirect")
				require.Nil(t, claims)
				require.Equal(t, []string{"POST"}, asked)
				assert.Contains(t, v.Status().Remote.Revocation.LastError, "redirect")
			})
		}
	}
}

// A caller who knows the key does not share a question that was prepared before
// the key came: it would be put on the lane of strangers, and a refusal would not
// be taken for a revocation.
func TestNextQuestionOfAKnownKey(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyInterval = time.Second })
		token := pers.iss.UnpublishedToken(map[string]any{"exp": time.Now().Add(year).Unix()})
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2*time.Second))
		var all sync.WaitGroup
		all.Go(func() { v.Verify(t.Context(), token) })
		time.Sleep(100 * time.Millisecond)
		all.Go(func() {
			_, err := v.VerifyLive(t.Context(), token)
			assert.Error(t, err)
		})
		time.Sleep(900 * time.Millisecond)
		pers.iss.Publish(pers.iss.UnpublishedKey())
		pers.Revoke(token)
		all.Go(func() { v.Verify(t.Context(), pers.iss.UnknownKeyToken()) }) // fetches the key
		time.Sleep(100 * time.Millisecond)
		refuses(t, v, token, persauth.ErrRevoked)
		all.Wait()
		assert.Zero(t, v.Status().DenyListed, "only Revoke is for good")
	})
}
