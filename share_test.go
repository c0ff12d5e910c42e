package persauth_test

// Whom the calls of PERS are for: nobody takes those of all others.

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// One caller who is asked about with each request has an eighth of the calls, at
// once and over time; all others are checked as before.
func TestShareOfASubject(t *testing.T) {
	type verify func(*persauth.Verifier, context.Context, string) (*persauth.Claims, error)
	for name, c := range map[string]struct {
		policy persauth.RevocationPolicy
		ask    verify
		token  func(pers lab, sub string) string // nil: one token again and again
	}{
		"always":             {persauth.RevocationAlways(), (*persauth.Verifier).Verify, nil},
		"live":               {persauth.RevocationOff(), (*persauth.Verifier).VerifyLive, nil},
		"always, with grace": {persauth.RevocationAlways().WithGrace(time.Nanosecond), (*persauth.Verifier).Verify, nil},
		"a new token each":   {persauth.RevocationEvery(time.Hour), (*persauth.Verifier).Verify, lab.tokenOf},
		"live, a new token":  {persauth.RevocationOff(), (*persauth.Verifier).VerifyLive, lab.tokenOf},
	} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = c.policy })
			greedy := pers.tokenOf("greedy")
			accepted := func(n int) (accepted int) {
				for range n {
					token := greedy
					if c.token != nil {
						token = c.token(pers, "greedy")
					}
					claims, err := c.ask(v, t.Context(), token)
					if err == nil {
						accepted++
						continue
					}
					require.ErrorIs(t, err, persauth.ErrUnavailable)
					require.NotErrorIs(t, err, persauth.ErrRevoked)
					require.Nil(t, claims)
				}
				return accepted
			}
			assert.Equal(t, 15, accepted(120), "an eighth of 120")
			for range 105 { // the others, of the same tenant and of another
				_, err := c.ask(v, t.Context(), pers.tokenOf(somebody()))
				require.NoError(t, err)
			}
			assert.Zero(t, accepted(1))
			time.Sleep(time.Minute)
			assert.Equal(t, 15, accepted(120), "an eighth of what an hour has")
			twin := pers.iss.Token(map[string]any{"sub": "greedy", "tenantId": "another", "exp": time.Now().Add(year).Unix()})
			_, err := c.ask(v, t.Context(), twin)
			assert.NoError(t, err, "the same name in another tenant is somebody else")
			assert.EqualValues(t, pers.asked(), v.Status().Remote.Revocation.Calls.Asked)
			assert.True(t, v.Status().Remote.Revocation.Answering, "PERS answers")
		})
	}
}

// tokenOf is a new token of a subject, about which PERS is asked.
func (p lab) tokenOf(sub string) string {
	return p.iss.Token(map[string]any{"sub": sub, "exp": p.iss.Clock().Now().Add(year).Unix()})
}

// Who has used up their share brings no grace to others: a token that PERS has
// revoked is found out.
func TestUsedUpShareBringsNoGrace(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) {
			cfg.Revocation = persauth.RevocationEvery(time.Minute).WithGrace(time.Hour)
		})
		revoked := pers.yearly()
		accepts(t, v, revoked)
		pers.Revoke(revoked)
		time.Sleep(time.Minute)
		for range 20 {
			_, _ = v.Verify(t.Context(), pers.tokenOf("greedy"))
		}
		refuses(t, v, pers.tokenOf("greedy"), persauth.ErrUnavailable)
		refuses(t, v, revoked, persauth.ErrRevoked)
	})
}

// Tokens without a "sub" have no subject in common: each stands for itself.
func TestShareWithoutASubject(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(time.Hour) })
		for range 120 {
			accepts(t, v, pers.iss.Token(map[string]any{"sub": nil}))
		}
		assert.Equal(t, 120, pers.asked())
	})
}

// However small a budget is, a subject gets one call a minute of it, where there is
// that much.
func TestSmallestShare(t *testing.T) {
	for name, c := range map[string]struct {
		perHour, instances int
		step               time.Duration
	}{
		"many instances": {7200, 100, time.Minute},
		"a tenth of it":  {600, 1, time.Minute},
		"less than that": {30, 1, 2 * time.Minute},
	} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			v := pers.warm(func(cfg *persauth.Config) { cfg.RevocationCallsPerHour, cfg.Instances = c.perHour, c.instances })
			for range 10 {
				accepts(t, v, pers.tokenOf("one"))
				refuses(t, v, pers.tokenOf("one"), persauth.ErrUnavailable)
				time.Sleep(c.step)
			}
		})
	}
}

// Forged symmetric tokens, which nobody but PERS can tell from good ones, use up
// the calls for their own kind alone.
func TestForgedSymmetricTokens(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(withHS256)
		old := pers.iss.SymmetricToken(map[string]any{"sub": somebody()})
		accepts(t, v, old)
		forge := func() string {
			h, p, signature := segmentsOf(t, pers.iss.SymmetricToken(map[string]any{"sub": somebody()}))
			return h + "." + p + "." + b64(make([]byte, len(signature)*3/4))
		}
		for range 4 * 60 {
			_, err := v.Verify(t.Context(), forge())
			require.Error(t, err)
			time.Sleep(time.Second)
		}
		for {
			if _, err := v.Verify(t.Context(), forge()); persauth.Code(err) == "unavailable" {
				break
			}
		}
		remote := v.Status().Remote
		assert.Positive(t, remote.RemoteAlgorithm.Calls.Withheld)
		assert.Zero(t, remote.UnknownKey.Calls)
		assert.Zero(t, remote.Revocation.Calls)
		refuses(t, v, pers.iss.SymmetricToken(map[string]any{"sub": somebody()}), persauth.ErrUnavailable)
		// All others notice nothing, nor does who was accepted before.
		accepts(t, v, pers.stranger())
		accepts(t, v, pers.yearly())
		time.Sleep(time.Minute)
		accepts(t, v, old)
		assert.Positive(t, v.Status().Remote.Revocation.Calls.Asked)
	})
}

// The breaker of symmetric tokens is their own, too.
func TestBreakerOfSymmetricTokens(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(withHS256)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500).Times(5))
		for range 6 {
			refuses(t, v, pers.iss.SymmetricToken(map[string]any{"sub": somebody()}), persauth.ErrUnavailable)
		}
		assert.Equal(t, "open", v.Status().Remote.RemoteAlgorithm.Breaker)
		accepts(t, v, pers.stranger())
		accepts(t, v, pers.yearly())
	})
}

// Symmetric tokens need no budget for unknown keys.
func TestSymmetricTokensWithoutUnknownKeys(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(withHS256, func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = persauth.NoCalls })
		accepts(t, v, pers.iss.SymmetricToken(map[string]any{}))
		refuses(t, v, pers.stranger(), persauth.ErrUnknownKey)
		assert.Equal(t, 1, pers.asked())
	})
}

// Instances share what PERS allows to the project key: together they make no more
// calls than one, whatever strangers send, for verdicts and for keys.
func TestInstances(t *testing.T) {
	for _, instances := range []int{1, 3, 20} {
		inBubble(t, fmt.Sprint(instances), func(t *testing.T) {
			pers := newLab(t)
			verifiers := make([]*persauth.Verifier, instances)
			for i := range verifiers {
				verifiers[i] = pers.warm(withHS256, func(cfg *persauth.Config) { cfg.Instances = instances })
			}
			before := pers.Count(persauthtest.EndpointAll)
			next := 0 // each gets twice as many of each kind as it may ask about
			for begin := time.Now(); time.Since(begin) < time.Hour/3; time.Sleep(2 * time.Second) {
				for range 6 {
					v := verifiers[next%instances]
					next++
					_, _ = v.Verify(t.Context(), pers.stranger())
					_, _ = v.Verify(t.Context(), pers.yearly())
					_, _ = v.Verify(t.Context(), pers.iss.SymmetricToken(map[string]any{"sub": somebody()}))
				}
			}
			synctest.Wait()
			// The calls of 20 minutes, what may come at once, and the keys.
			assert.LessOrEqual(t, pers.asked(), 9000/3+9000/60+3*instances)
			assert.GreaterOrEqual(t, pers.asked(), 9000/3-9000/60)
			assert.LessOrEqual(t, pers.Count(persauthtest.EndpointKeys), 120/3+4*instances)
			assert.LessOrEqual(t, pers.Count(persauthtest.EndpointAll)-before, 10_000/3)
		})
	}
}

// The project key is public: a stranger can use up the tenant's calls. Whoever has
// a token under a known key must not notice, for as long as the keys, and the
// policy and its grace, allow.
func TestAnHourOfRateLimit(t *testing.T) {
	for name, retryAfter := range map[string]time.Duration{"with Retry-After": 10 * time.Minute, "without": 0} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			auto := pers.warm()
			lenient := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationAuto().WithGrace(2 * time.Hour) })
			off := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationOff() })
			yearly := pers.yearly()
			for _, v := range []*persauth.Verifier{auto, lenient, off} {
				accepts(t, v, yearly)
			}
			pers.Fault(persauthtest.EndpointAll, persauthtest.TooManyRequests(retryAfter))
			before := pers.Count(persauthtest.EndpointAll)
			for begin := time.Now(); time.Since(begin) < time.Hour; time.Sleep(10 * time.Second) {
				short := pers.iss.UserToken("acme")
				now := time.Now()
				for _, v := range []*persauth.Verifier{auto, lenient, off} {
					accepts(t, v, short)
				}
				accepts(t, off, yearly)
				assert.Equal(t, time.Since(begin) >= 5*time.Minute, accepts(t, lenient, yearly).Verification().InGrace)
				if time.Since(begin) >= 5*time.Minute {
					refuses(t, auto, yearly, persauth.ErrUnavailable)
				}
				refuses(t, auto, pers.stranger(), persauth.ErrUnavailable)
				assert.Equal(t, now, time.Now(), "nobody waits")
			}
			status := auto.Status()
			assert.True(t, status.Ready)
			assert.Contains(t, status.Keys.LastError, "429")
			assert.True(t, status.Remote.UnknownKey.RateLimited)
			assert.Contains(t, status.Remote.UnknownKey.LastError, "used up")
			assert.Positive(t, status.Remote.UnknownKey.Calls.RateLimited)
			assert.False(t, status.Remote.UnknownKey.Answering)
			calls := pers.Count(persauthtest.EndpointAll) - before
			t.Logf("%d calls", calls)
			if retryAfter > 0 {
				assert.LessOrEqual(t, calls, 3*2*13, "each asks every 5 min, for keys and for tokens")
			} else {
				assert.LessOrEqual(t, calls, 3*1000)
			}
			pers.Heal()
			time.Sleep(5 * time.Minute)
			for _, v := range []*persauth.Verifier{auto, lenient} {
				accepts(t, v, yearly)
				synctest.Wait() // by grace, and asked about in the background
				assert.False(t, accepts(t, v, yearly).Verification().InGrace)
				accepts(t, v, pers.stranger())
				assert.False(t, v.Status().Remote.UnknownKey.RateLimited)
			}
		})
	}
}
