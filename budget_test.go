package persauth_test

// How often PERS is asked about tokens: pauses, budgets, and what is remembered.

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
)

// PERS may ask for a pause, in seconds or until a time, and the callers hear of
// it. With a 429 it counts for every call, because what is used up is the project
// key's. With any other status it counts for the calls that got it: an overload that
// a stranger's token brings about silences no others.
func TestPauses(t *testing.T) {
	for name, c := range map[string]struct {
		header func(now time.Time) string
		pause  time.Duration // 0: none
	}{
		"seconds":     {func(time.Time) string { return "60" }, time.Minute},
		"date":        {func(now time.Time) string { return now.Add(time.Minute).Format(http.TimeFormat) }, time.Minute},
		"for ever":    {func(time.Time) string { return "2147483647" }, 5 * time.Minute},
		"a far date":  {func(time.Time) string { return "Fri, 31 Dec 9999 23:59:59 GMT" }, 5 * time.Minute},
		"a past date": {func(time.Time) string { return "Fri, 31 Dec 1999 23:59:59 GMT" }, 0},
		"zero":        {func(time.Time) string { return "0" }, 0},
		"negative":    {func(time.Time) string { return "-5" }, 0},
		"too large":   {func(time.Time) string { return "99999999999999999999" }, 5 * time.Minute},
		"words":       {func(time.Time) string { return "a while" }, 0},
	} {
		for _, status := range []int{429, 500, 503} {
			inBubble(t, fmt.Sprint(name, " ", status), func(t *testing.T) {
				pers, asked := newLab(t), 0
				v := pers.warm(verifyBy(pers.Server, func(r *http.Request) (*http.Response, error) {
					if asked++; asked == 1 {
						return responding(status, http.Header{"Retry-After": {c.header(time.Now().UTC())}}, "")(r)
					}
					return pers.Client().Transport.RoundTrip(r)
				}))
				assert.Equal(t, c.pause, refuses(t, v, pers.stranger(), persauth.ErrUnavailable).RetryAfter)
				remote := v.Status().Remote
				assert.Equal(t, status == 429, remote.UnknownKey.RateLimited)
				assert.Contains(t, remote.UnknownKey.LastError, fmt.Sprint("status ", status))
				if c.pause > 0 {
					assert.Equal(t, time.Now().Add(c.pause).UTC(), remote.UnknownKey.PausedUntil)
					assert.Equal(t, status == 429, !remote.Revocation.PausedUntil.IsZero())
					time.Sleep(c.pause - time.Second)
					assert.Equal(t, time.Second, refuses(t, v, pers.stranger(), persauth.ErrUnavailable).RetryAfter)
					if status == 429 {
						assert.Equal(t, time.Second, refuses(t, v, pers.yearly(), persauth.ErrUnavailable).RetryAfter)
						assert.Equal(t, 1, asked)
						assert.EqualValues(t, 1, v.Status().Remote.Revocation.Calls.Withheld)
					} else {
						accepts(t, v, pers.yearly())
						assert.Equal(t, 2, asked)
					}
					time.Sleep(time.Second)
				}
				accepts(t, v, pers.stranger())
				accepts(t, v, pers.yearly())
				assert.Zero(t, v.Status().Remote.UnknownKey.PausedUntil)
				assert.False(t, v.Status().Remote.UnknownKey.RateLimited)
			})
		}
	}
}

// A minute's worth of questions may come at once, and then as many as the hour
// allows.
func TestBudgets(t *testing.T) {
	for name, c := range map[string]struct {
		token           func(lab) string
		perHour         int // 0: the default
		atOnce, anHour  int
		unknownKeyCalls bool
	}{
		"unknown keys":             {lab.stranger, 0, 30, 1800, true},
		"revocation":               {lab.yearly, 0, 120, 7200, false},
		"unknown keys, configured": {lab.stranger, 600, 10, 600, true},
		"revocation, configured":   {lab.yearly, 600, 10, 600, false},
		"less than one a minute":   {lab.stranger, 12, 1, 12, true},
	} {
		t.Run(name, func(t *testing.T) {
			inLab(t, func(t *testing.T, pers lab) {
				v := pers.warm(func(cfg *persauth.Config) {
					if c.unknownKeyCalls {
						cfg.UnknownKeyCallsPerHour = c.perHour
					} else {
						cfg.RevocationCallsPerHour = c.perHour
					}
				})
				for range c.atOnce {
					accepts(t, v, c.token(pers))
				}
				for range 5 {
					wait := refuses(t, v, c.token(pers), persauth.ErrUnavailable).RetryAfter
					assert.Greater(t, wait, time.Hour/time.Duration(c.anHour))
				}
				assert.Equal(t, c.atOnce, pers.asked())
				time.Sleep(time.Minute)
				refill := c.anHour / 60
				for range refill + 5 {
					_, _ = v.Verify(t.Context(), c.token(pers))
				}
				assert.Equal(t, c.atOnce+refill, pers.asked())
				step := time.Hour / time.Duration(c.anHour)
				for range 10 {
					time.Sleep(step)
					accepts(t, v, c.token(pers))
				}
			})
		})
	}
}

// A call that is repeated costs twice.
func TestRetriesComeOutOfTheBudget(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 180 })
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		for range 4 {
			refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		}
		assert.Equal(t, 3, pers.asked())
	})
}

func TestMemoryOfVerdicts(t *testing.T) {
	t.Run("accepted for 5 minutes", func(t *testing.T) {
		inLab(t, func(t *testing.T, pers lab) {
			v := pers.warm()
			token := pers.stranger()
			claims := accepts(t, v, token)
			assert.Equal(t, persauth.VerifiedRemotely, claims.Verification().Method)
			assert.Equal(t, time.Now().UTC(), claims.Verification().CheckedAt)
			time.Sleep(4*time.Minute - time.Second)
			accepts(t, v, token)
			assert.Equal(t, 1, pers.asked())
			pers.Revoke(token)
			time.Sleep(time.Minute + time.Second)
			refuses(t, v, token, persauth.ErrRejected)
			assert.Equal(t, 2, pers.asked())
		})
	})
	t.Run("accepted until it expires", func(t *testing.T) {
		inLab(t, func(t *testing.T, pers lab) {
			v := pers.warm(func(cfg *persauth.Config) { cfg.Leeway = persauth.NoLeeway })
			token := pers.iss.UnpublishedToken(map[string]any{"exp": time.Now().Add(time.Minute).Unix()})
			accepts(t, v, token)
			time.Sleep(time.Minute)
			refuses(t, v, token, persauth.ErrExpired)
			assert.Equal(t, 1, pers.asked())
		})
	})
	t.Run("rejected for 30 seconds", func(t *testing.T) {
		inLab(t, func(t *testing.T, pers lab) {
			v := pers.warm()
			token := pers.stranger()
			pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1))
			for range 3 {
				refuses(t, v, token, persauth.ErrRejected)
			}
			time.Sleep(30*time.Second - time.Millisecond)
			refuses(t, v, token, persauth.ErrRejected)
			assert.Equal(t, 1, pers.asked())
			assert.Equal(t, 1, v.Status().NegativeCache)
			time.Sleep(time.Millisecond)
			accepts(t, v, token)
			assert.Equal(t, 0, v.Status().NegativeCache)
		})
	})
	t.Run("not believed for 5 seconds", func(t *testing.T) {
		inLab(t, func(t *testing.T, pers lab) {
			v := pers.warm()
			token := pers.stranger()
			pers.Fault(persauthtest.EndpointVerify, persauthtest.Contradictory.Times(1))
			for range 3 {
				refuses(t, v, token, persauth.ErrRemoteMismatch)
			}
			assert.Equal(t, 1, pers.asked())
			time.Sleep(5 * time.Second)
			accepts(t, v, token)
		})
	})
	t.Run("no answer is not remembered", func(t *testing.T) {
		inLab(t, func(t *testing.T, pers lab) {
			v := pers.warm()
			token := pers.stranger()
			pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(500).Times(1))
			refuses(t, v, token, persauth.ErrUnavailable)
			accepts(t, v, token)
		})
	})
}

// PERS' clock may differ, and knows no leeway: a token that is in time only by
// the leeway may be refused for its time, and not for good.
func TestRefusedWithinTheLeeway(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationAlways() })
		for _, claim := range []string{"nbf", "iat"} {
			young := pers.iss.Token(map[string]any{claim: time.Now().Add(20 * time.Second).Unix()})
			pers.Fault(persauthtest.EndpointVerify, persauthtest.LyingInvalid.Times(1))
			assert.Equal(t, claim, refuses(t, v, young, persauth.ErrNotYetValid).Check)
			time.Sleep(30 * time.Second)
			accepts(t, v, young)
		}

		old := pers.iss.Token(map[string]any{"exp": time.Now().Add(10 * time.Second).Unix()})
		accepts(t, v, old)
		time.Sleep(20 * time.Second)
		refuses(t, v, old, persauth.ErrExpired)
		assert.Zero(t, v.Status().DenyListed)
	})
}

// A pause ends also when the clock is put back meanwhile.
func TestPauseAndAClockThatIsPutBack(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		pers.Fault(persauthtest.EndpointVerify, persauthtest.TooManyRequests(time.Minute).Times(1))
		refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
		pers.iss.Clock().Advance(-10 * time.Second)
		refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
		pers.iss.Clock().Advance(10*time.Second - time.Hour)
		accepts(t, v, pers.stranger())
	})
}

// … and one that PERS asks for afterwards is kept.
func TestPauseAfterAClockWasPutBack(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		pers.Fault(persauthtest.EndpointVerify, persauthtest.TooManyRequests(time.Minute).Times(2))
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		pers.iss.Clock().Advance(-time.Hour)
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		asked := pers.asked()
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		assert.Equal(t, asked, pers.asked())
	})
}

// A refusal is forgotten in time, too, when the clock is put back meanwhile.
func TestRefusalAndAClockThatIsPutBack(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		token := pers.iss.UnpublishedToken(map[string]any{"iat": time.Now().Add(-2 * time.Hour).Unix()})
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Contradictory.Times(1))
		refuses(t, v, token, persauth.ErrRemoteMismatch)
		pers.iss.Clock().Advance(-time.Hour)
		time.Sleep(time.Minute)
		accepts(t, v, token)
	})
}

// A budget that is used up fills again when the clock is put back meanwhile.
func TestBudgetAndAClockThatIsPutBack(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 60 })
		accepts(t, v, pers.stranger())
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		pers.iss.Clock().Advance(-time.Hour)
		refuses(t, v, pers.stranger(), persauth.ErrUnavailable)
		time.Sleep(time.Minute)
		accepts(t, v, pers.stranger())
	})
}
