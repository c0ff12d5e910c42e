package persauth_test

// Tokens that PERS has revoked, and PERS that does not answer: the two are never
// taken for each other.

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A token that PERS revokes is accepted until the last good answer has its
// maximal age, and no longer, however busy it is.
func TestRevokedAtPERS(t *testing.T) {
	const maxAge = time.Minute
	for name, c := range map[string]struct {
		step  time.Duration
		asked int
	}{
		"busy": {time.Second, 2}, "idle": {maxAge - time.Microsecond, 3}, "idler": {maxAge, 2}, "asleep": {time.Hour, 2},
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(maxAge).WithGrace(time.Hour))
			token := d.token(24 * time.Hour)
			d.accepts(token)
			d.pers.Revoke(token)
			start := time.Now()
			for {
				time.Sleep(c.step)
				_, err := d.v.Verify(t.Context(), token)
				if err != nil {
					break
				}
				require.Less(t, time.Since(start), maxAge)
				synctest.Wait()
			}
			assert.Equal(t, c.asked, d.asked())
			d.refusesEverywhere(token, persauth.ErrRevoked)
		})
	}
}

// PERS need not have our leeway. A token that it finds expired is not revoked.
func TestExpiredAtPERS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationAlways())
		token := d.token(time.Minute)
		d.accepts(token)
		time.Sleep(time.Minute)
		for range 3 {
			d.refuses(token, persauth.ErrExpired)
		}
		require.Equal(t, 2, d.asked(), "one answer is enough")
		assert.Zero(t, d.v.Status().DenyListed)
	})
}

// A token whose key PERS alone knows, that is refused after it was accepted, was
// accepted once too often at most, and does not come back.
func TestRejectedAfterAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute))
		token := d.iss.UnpublishedToken(map[string]any{"exp": time.Now().Add(24 * time.Hour).Unix()})
		d.accepts(token)
		d.pers.Revoke(token)
		time.Sleep(48 * time.Second)
		d.atOnce(token)
		require.Equal(t, 2, d.asked())
		d.refuses(token, persauth.ErrRejected)
		require.Equal(t, 2, d.asked())
	})
}

// A refusal of a token whose key nobody here knew says nothing of a revocation,
// once the key has come: PERS is asked again, also where it just is being asked.
func TestRejectedBeforeItsKeyCame(t *testing.T) {
	for name, fault := range map[string]persauthtest.Fault{"remembered": persauthtest.LyingInvalid, "under way": persauthtest.Slow(10 * time.Second)} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(time.Minute), func(cfg *persauth.Config) {
				cfg.UnknownKeyInterval, cfg.Timeout = time.Second, time.Minute
			})
			d.accepts(d.token(0))
			key := d.iss.UnpublishedKey()
			token := d.iss.TokenBy(key, map[string]any{})
			d.pers.Fault(persauthtest.EndpointVerify, fault.Times(1))
			var early sync.WaitGroup
			early.Go(func() { d.refuses(token, persauth.ErrRejected) })
			time.Sleep(2 * time.Second)
			d.iss.Publish(key)
			d.accepts(d.iss.TokenBy(key, map[string]any{})) // this brings the key
			require.Equal(t, 3, d.asked())
			if name == "under way" {
				d.pers.Revoke(token)
				d.refuses(token, persauth.ErrRevoked)
			} else {
				d.accepts(token)
			}
			early.Wait()
			require.Equal(t, 4, d.asked())
		})
	}
}

// Grace begins when the verdict is too old, and ends on time. It shows.
func TestGrace(t *testing.T) {
	const maxAge, grace = time.Minute, 10 * time.Minute
	for name, fault := range map[string]persauthtest.Fault{
		"down": persauthtest.Down, "500": persauthtest.Status(500), "429": persauthtest.TooManyRequests(time.Second), "401": persauthtest.Status(401),
		"garbage": persauthtest.Garbage, "cut off": persauthtest.CutOff, "contradictory": persauthtest.Contradictory, "other subject": persauthtest.OtherSubject,
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(maxAge).WithGrace(grace))
			token := d.token(24 * time.Hour)
			first := d.accepts(token)
			d.pers.Fault(persauthtest.EndpointVerify, fault)
			time.Sleep(maxAge - time.Microsecond)
			require.False(t, d.atOnce(token).Verification().InGrace)
			for _, wait := range []time.Duration{time.Microsecond, time.Minute, grace - time.Minute - time.Microsecond} {
				time.Sleep(wait)
				late := d.atOnce(token).Verification()
				require.True(t, late.InGrace)
				require.Equal(t, first.Verification().CheckedAt, late.CheckedAt)
			}
			time.Sleep(time.Microsecond)
			d.refuses(token, persauth.ErrUnavailable)
			// A 401 for one subject says nothing about the project key.
			assert.Equal(t, name == "401", d.v.Status().Remote.Revocation.Answering)
			assert.Zero(t, d.v.Status().DenyListed)

			// It recovers by itself.
			d.pers.Heal()
			time.Sleep(11 * time.Second) // the breaker's pause
			again := d.accepts(token).Verification()
			assert.False(t, again.InGrace)
			assert.Equal(t, time.Now().UTC(), again.CheckedAt)
			assert.True(t, d.v.Status().Remote.Revocation.Answering)
		})
	}
}

// Who waits for PERS gets grace before it is over, however short it is: the wait
// ends in time. Grace itself lasts no longer than it says.
func TestGraceEndsWhileWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		grace, left time.Duration // of grace, in all and when the call comes
		waits       time.Duration
		want        error
	}{
		"longer than the timeout":   {time.Minute, 20 * time.Second, 5 * time.Second, nil},
		"as long as the timeout":    {5 * time.Second, 5 * time.Second, 4750 * time.Millisecond, nil},
		"shorter than the timeout":  {2 * time.Second, 2 * time.Second, 1750 * time.Millisecond, nil},
		"much shorter":              {80 * time.Millisecond, 80 * time.Millisecond, 70 * time.Millisecond, nil},
		"nearly over":               {time.Minute, 8 * time.Millisecond, 7 * time.Millisecond, nil},
		"over":                      {time.Minute, 0, 5 * time.Second, persauth.ErrUnavailable},
		"over, and short":           {time.Second, -time.Second, 5 * time.Second, persauth.ErrUnavailable},
		"none":                      {0, 0, 5 * time.Second, persauth.ErrUnavailable},
		"longer, answered too late": {10 * time.Second, 6 * time.Second, 5 * time.Second, nil},
	} {
		inBubble(t, name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(c.grace))
			token := d.token(24 * time.Hour)
			d.accepts(token)
			d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
			time.Sleep(time.Minute + c.grace - c.left)
			start := time.Now()
			if c.want == nil {
				assert.True(t, d.accepts(token).Verification().InGrace)
			} else {
				d.refuses(token, c.want)
			}
			assert.Equal(t, c.waits, time.Since(start))
		})
	}
}

// During an outage only the first one waits; the answer that comes in the end
// counts, whatever it is.
func TestRecoveryInGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour))
		good, revoked := d.token(24*time.Hour), d.token(24*time.Hour)
		d.accepts(good)
		d.accepts(revoked)
		d.pers.Revoke(revoked)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
		time.Sleep(time.Minute)
		start := time.Now()
		require.True(t, d.accepts(good).Verification().InGrace)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.True(t, d.atOnce(revoked).Verification().InGrace)
		require.True(t, d.atOnce(good).Verification().InGrace)
		time.Sleep(20 * time.Second)

		d.pers.Heal()
		d.atOnce(revoked) // nobody knows yet that PERS answers again
		d.atOnce(good)
		synctest.Wait()
		assert.False(t, d.atOnce(good).Verification().InGrace)
		d.refuses(revoked, persauth.ErrRevoked)
	})
}

// Grace is for tokens that PERS vouched for, as far as that is remembered.
func TestNoGraceWithoutVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour), func(cfg *persauth.Config) { cfg.CacheTokens = 1 })
		known, never := d.token(24*time.Hour), d.token(24*time.Hour)
		d.accepts(known)
		for range 3 {
			d.accepts(d.token(0))
		}
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		d.refuses(never, persauth.ErrUnavailable)
		d.refuses(known, persauth.ErrUnavailable)
	})
}

// Who leaves gets an error, even where others get grace.
func TestGraceIsNotForThoseWhoLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Hour))
		token := d.token(24 * time.Hour)
		d.accepts(token)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		claims, err := d.v.Verify(ctx, token)
		fails(t, claims, err, persauth.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, d.accepts(token).Verification().InGrace)
	})
}

// Two verifiers know nothing of each other's verdicts.
func TestVerdictsAreEachVerifiersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute))
		other := d.pers.Verifier(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(time.Hour) })
		token := d.token(24 * time.Hour)
		d.accepts(token)
		_, err := other.Verify(t.Context(), token)
		require.NoError(t, err)
		d.pers.Revoke(token)
		time.Sleep(time.Minute)
		d.refuses(token, persauth.ErrRevoked)
		_, err = other.Verify(t.Context(), token)
		require.NoError(t, err)
		time.Sleep(59 * time.Minute)
		claims, err := other.Verify(t.Context(), token)
		fails(t, claims, err, persauth.ErrRevoked)
	})
}

// One odd token, about which PERS only answers with a status, brings no grace to
// others: PERS answers.
func TestOddTokenBringsNoGrace(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) {
			cfg.Revocation = persauth.RevocationEvery(time.Minute).WithGrace(time.Hour)
		})
		token := pers.yearly()
		accepts(t, v, token)
		time.Sleep(2 * time.Minute)
		pers.Revoke(token)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Status(400).Times(1))
		refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
		assert.True(t, v.Status().Remote.Revocation.Answering)
		refuses(t, v, token, persauth.ErrRevoked)
	})
}
