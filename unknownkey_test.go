package persauth_test

// Tokens with key ids that are not at hand: each may be a stranger's, or the
// first one after a rotation.

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const interval = 30 * time.Second

// Strangers without number, for some hours, cause one fetch per interval,
// nobody with a known key waits, and a rotation in the middle shows in time.
func TestUnknownKeyFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		s.pers.now(slow(2*time.Second, up(s.iss)))
		known := s.token()
		const strangers, duration = floodSize, 3 * time.Hour
		begin := time.Now()

		var flood sync.WaitGroup
		for part := range 10 {
			flood.Go(func() {
				for i := range strangers / 10 {
					_, err := s.v.Verify(t.Context(), s.stranger(part*strangers+i))
					if err == nil || persauth.Code(err) != "unknown_key" {
						t.Errorf("stranger: %v", err)
						return
					}
					time.Sleep(duration / (strangers / 10))
				}
			})
		}
		var next string
		flood.Go(func() {
			for i := 0; time.Since(begin) < duration; i++ {
				s.accepts(known)
				time.Sleep(time.Second)
				if i == 5000 {
					s.iss.Rotate()
					next = s.token()
					s.iss.Retire(s.iss.Keys()[0])
					rotated := time.Now()
					for time.Since(rotated) < interval+2*time.Second {
						if _, err := s.v.Verify(t.Context(), next); err == nil {
							break
						}
						time.Sleep(100 * time.Millisecond)
					}
					assert.LessOrEqual(t, time.Since(rotated), interval+2*time.Second)
					known = next
				}
			}
		})
		flood.Wait()
		s.accepts(next)
		fetches := s.pers.times()[1:]
		assert.LessOrEqual(t, len(fetches), int(time.Since(begin)/interval)+1)
		for i := 1; i < len(fetches); i++ {
			require.GreaterOrEqual(t, fetches[i].Sub(fetches[i-1]), interval)
		}
		assert.Equal(t, len(fetches), s.pers.noCaches())
		assert.Less(t, s.status().CachedTokens, 10, "nothing is remembered of strangers")
	})
}

// A thousand requests with unknown keys at once wait for one fetch; when that is
// over, the interval has begun for all of them.
func TestUnknownKeysCoalesce(t *testing.T) {
	for name, key := range map[string]func(s *service, i int) string{
		"one":  func(s *service, _ int) string { return s.stranger(0) },
		"many": func(s *service, i int) string { return s.stranger(i) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.warm()
				s.pers.now(slow(time.Second, up(s.iss)))
				errs := make(chan error)
				for i := range 1000 {
					go func() {
						_, err := s.v.Verify(t.Context(), key(s, i))
						errs <- err
					}()
				}
				begin := time.Now()
				for range 1000 {
					require.ErrorIs(t, <-errs, persauth.ErrUnknownKey)
				}
				assert.Equal(t, time.Second, time.Since(begin))
				assert.Equal(t, 2, s.pers.requests())
				assert.Equal(t, 1, s.pers.noCaches())
				s.refuses(s.stranger(1001), persauth.ErrUnknownKey)
				assert.Equal(t, 2, s.pers.requests())
			})
		})
	}
}

// The new key of a rotation is found by its first token, at once.
func TestFirstTokenAfterRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.accepts(s.token())
		s.iss.Rotate()
		s.accepts(s.token())
		assert.Equal(t, 1, s.pers.noCaches(), "only this one is not to be answered from a cache")

		// The next one follows soon: it has to wait for its turn, and no longer.
		s.iss.Rotate()
		token := s.token()
		s.refuses(token, persauth.ErrUnknownKey)
		time.Sleep(interval - time.Microsecond)
		s.refuses(token, persauth.ErrUnknownKey)
		time.Sleep(time.Microsecond)
		s.accepts(token)
	})
}

// A key that came while a refresh was under way, after PERS had read its keys:
// the one who waited for it has the set read once more.
func TestRotationDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		old := s.token()
		time.Sleep(softAge)
		s.pers.now(slow(time.Second, replies(200, s.iss.JWKS())))
		s.accepts(old) // starts a refresh that will bring the old set
		s.iss.Rotate()
		token := s.token()
		synctest.Wait()
		s.pers.now(up(s.iss))
		begin := time.Now()
		_, err := s.verify(token)
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(begin))
		assert.Equal(t, 3, s.pers.requests())
	})
}

// A failed refresh gives the permit back: the next stranger after the pause has
// the set read, and does not wait for the interval to pass.
func TestFailedRefreshGivesPermitBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(c *persauth.Config) { c.UnknownKeyInterval = time.Hour })
		s.warm()
		s.pers.now(down)
		s.iss.Rotate()
		token := s.token()
		e := s.refuses(token, persauth.ErrUnavailable)
		assert.Positive(t, e.RetryAfter)
		assert.Less(t, e.RetryAfter, time.Second)
		s.refuses(token, persauth.ErrUnavailable)
		require.Equal(t, 2, s.pers.requests())
		s.pers.now(up(s.iss))
		time.Sleep(e.RetryAfter)
		s.accepts(token)
		assert.Equal(t, 3, s.pers.requests())
	})
}

// Whose context ends gets that as the answer, at once. The others get theirs,
// and the refresh goes on, even when nobody waits for it any more.
func TestCallerGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		s.iss.Rotate()
		token := s.token()
		s.pers.now(slow(4*time.Second, up(s.iss)))
		type answer struct {
			err  error
			took time.Duration
		}
		ask := func(ctx context.Context) chan answer {
			answers := make(chan answer, 1)
			begin := time.Now()
			go func() {
				_, err := s.v.Verify(ctx, token)
				answers <- answer{err, time.Since(begin)}
			}()
			synctest.Wait()
			return answers
		}
		ctx, cancel := context.WithCancel(t.Context())
		first := ask(ctx) // the one that the refresh is for
		short, cancelShort := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancelShort()
		second, third := ask(short), ask(t.Context())
		time.Sleep(time.Second)
		cancel()

		got := <-first
		require.ErrorIs(t, got.err, context.Canceled)
		require.ErrorIs(t, got.err, persauth.ErrUnavailable)
		assert.Equal(t, time.Second, got.took)
		got = <-second
		require.ErrorIs(t, got.err, context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, got.took)
		got = <-third
		require.NoError(t, got.err)
		assert.Equal(t, 4*time.Second, got.took)
		assert.Equal(t, 2, s.pers.requests())

		// Nobody waits for this one.
		s.iss.Rotate()
		token = s.token()
		time.Sleep(interval)
		ctx, cancel = context.WithCancel(t.Context())
		alone := ask(ctx)
		cancel()
		require.ErrorIs(t, (<-alone).err, context.Canceled)
		time.Sleep(4 * time.Second)
		s.accepts(token)
		assert.Equal(t, 3, s.pers.requests())

		// A context that ended before is no reason to refuse what is known.
		_, err := s.v.Verify(ctx, token)
		require.NoError(t, err)
	})
}

// What can be refused without asking PERS is.
func TestNoFetchFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t, func(c *persauth.Config) {
			c.Issuer, c.Audience = "pers", "shop"
			c.Tenants = []string{persauthtest.DefaultTenant}
		})
		s.warm()
		time.Sleep(time.Minute)
		key := s.iss.Keys()[0]
		forger, stranger := newKey(t, key.ID, "ES256"), newKey(t, "stranger", "ES256")
		rsa := newKey(t, key.ID, "RS256")
		claims := func(changes map[string]any) map[string]any {
			all := map[string]any{"iss": "pers", "aud": "shop"}
			for name, value := range changes {
				all[name] = value
			}
			return all
		}
		hour := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).Unix() }
		sign := s.iss.TokenBy
		for name, c := range map[string]struct {
			token string
			want  error
		}{
			"bad signature under a known kid":   {sign(forger, claims(nil)), persauth.ErrSignature},
			"wrong algorithm under a known kid": {sign(rsa, claims(nil)), persauth.ErrAlgorithm},
			"expired":                           {sign(stranger, claims(map[string]any{"exp": hour(-1)})), persauth.ErrExpired},
			"not yet valid":                     {sign(stranger, claims(map[string]any{"nbf": hour(1), "exp": hour(2)})), persauth.ErrNotYetValid},
			"issued in the future":              {sign(stranger, claims(map[string]any{"iat": hour(1), "exp": hour(2)})), persauth.ErrNotYetValid},
			"wrong issuer":                      {sign(stranger, claims(map[string]any{"iss": "other"})), persauth.ErrIssuer},
			"wrong audience":                    {sign(stranger, claims(map[string]any{"aud": "other"})), persauth.ErrAudience},
			"foreign tenant":                    {sign(stranger, claims(map[string]any{"tenantId": "other"})), persauth.ErrTenant},
			"no tenant":                         {sign(stranger, claims(map[string]any{"tenantId": nil})), persauth.ErrClaims},
			"no expiry":                         {sign(stranger, claims(map[string]any{"exp": nil})), persauth.ErrClaims},
			"no claims":                         {stranger.Sign([]byte(`{"alg":"ES256","kid":"stranger"}`), []byte(`["no claims"]`)), persauth.ErrMalformed},
			"algorithm none":                    {stranger.Sign([]byte(`{"alg":"none","kid":"stranger"}`), []byte(`{"sub":"somebody"}`)), persauth.ErrAlgorithm},
			"symmetric":                         {stranger.Sign([]byte(`{"alg":"HS256","kid":"stranger"}`), []byte(`{"sub":"somebody"}`)), persauth.ErrAlgorithm},
			"no token":                          {"a.b.c", persauth.ErrMalformed},
		} {
			s.refuses(c.token, c.want)
			require.Equal(t, 1, s.pers.requests(), name)
		}
		s.refuses(sign(stranger, claims(nil)), persauth.ErrUnknownKey)
		require.Equal(t, 2, s.pers.requests(), "only this one is worth a question")
	})
}

// How long an interval is can be chosen.
func TestUnknownKeyInterval(t *testing.T) {
	for _, chosen := range []time.Duration{time.Second, 10 * time.Minute} {
		t.Run(fmt.Sprint(chosen), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, func(c *persauth.Config) { c.UnknownKeyInterval = chosen })
				s.warm()
				for i := range 3 {
					s.refuses(s.stranger(i), persauth.ErrUnknownKey)
					require.Equal(t, i+2, s.pers.requests())
					time.Sleep(chosen - time.Microsecond)
					s.refuses(s.stranger(i), persauth.ErrUnknownKey)
					require.Equal(t, i+2, s.pers.requests())
					time.Sleep(time.Microsecond)
				}
			})
		})
	}
}
