package persauth_test

// When PERS is asked about a token again, who waits for it, and what its word is
// worth. Time is virtual.

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

// Which tokens PERS is asked about, and how often.
func TestRevocationPolicies(t *testing.T) {
	const year, no = 365 * 24 * time.Hour, time.Duration(-1)
	for _, c := range []struct {
		name   string
		policy persauth.RevocationPolicy
		life   time.Duration // 0: a year, and no iat
		every  time.Duration
	}{
		{"auto, a quarter", persauth.RevocationAuto(), 15 * time.Minute, no},
		{"auto, an hour", persauth.RevocationAuto(), time.Hour, no},
		{"auto, longer", persauth.RevocationAuto(), time.Hour + time.Second, 5 * time.Minute},
		{"auto, a year", persauth.RevocationAuto(), year, 5 * time.Minute},
		{"auto, no iat", persauth.RevocationAuto(), 0, 5 * time.Minute},
		{"off, a year", persauth.RevocationOff(), year, no},
		{"off, no iat", persauth.RevocationOff(), 0, no},
		{"every, a quarter", persauth.RevocationEvery(100 * time.Second), 15 * time.Minute, 100 * time.Second},
		{"every, a year", persauth.RevocationEvery(time.Hour), year, time.Hour},
		{"always, a quarter", persauth.RevocationAlways(), 15 * time.Minute, 0},
		{"next to always", persauth.RevocationEvery(time.Nanosecond), 15 * time.Minute, 0},
		{"shortest", persauth.RevocationEvery(time.Microsecond), 15 * time.Minute, time.Microsecond},
	} {
		inBubble(t, c.name, func(t *testing.T) {
			d := openDesk(t, c.policy)
			token := d.token(c.life)
			if c.life == 0 {
				token = d.iss.Token(map[string]any{"iat": nil, "exp": time.Now().Add(year).Unix()})
			}
			first := d.accepts(token)
			if c.every == no {
				assert.Zero(t, first.Verification().CheckedAt)
				for range 5 {
					time.Sleep(2 * time.Minute)
					d.atOnce(token)
				}
				require.Zero(t, d.asked())
				return
			}
			require.Equal(t, 1, d.asked())
			assert.Equal(t, time.Now().UTC(), first.Verification().CheckedAt)
			if c.every > time.Millisecond {
				d.atOnce(token)
			}
			time.Sleep(c.every)
			require.Equal(t, 1, d.asked(), "nothing happens by itself, nor before it is due")
			again := d.accepts(token)
			require.Equal(t, 2, d.asked())
			assert.Equal(t, time.Now().UTC(), again.Verification().CheckedAt)
		})
	}
}

// Always: a question for each call; those who call at one time share it. Who
// comes while it is under way may not have the answer to it, which may be older
// than the call, and shares the next.
func TestRevocationAlways(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationAlways())
		token := d.token(0)
		for i := range 5 {
			d.accepts(token)
			require.Equal(t, 1+i, d.asked())
		}
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2*time.Second))
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() { d.accepts(token) })
		}
		time.Sleep(time.Second)
		for range 100 {
			callers.Go(func() {
				start := time.Now()
				claims := d.accepts(token)
				assert.Equal(t, 3*time.Second, time.Since(start))
				assert.False(t, claims.Verification().CheckedAt.Before(start))
			})
		}
		callers.Wait()
		require.Equal(t, 7, d.asked())
	})
}

// From 80 % of the age on one question renews the verdict, and nobody waits for
// it; at the end of it all wait for one answer.
func TestRenewal(t *testing.T) {
	const maxAge = 100 * time.Second
	for _, c := range []struct {
		name  string
		after time.Duration
		waits time.Duration
		asked int
	}{
		{"early", 80*time.Second - time.Microsecond, 0, 1},
		{"in the background", 80 * time.Second, 0, 2},
		{"late in the background", maxAge - time.Microsecond, 0, 2},
		{"at the end", maxAge, 2 * time.Second, 2},
		{"long after", maxAge + time.Hour, 2 * time.Second, 2},
	} {
		inBubble(t, c.name, func(t *testing.T) {
			d := openDesk(t, persauth.RevocationEvery(maxAge))
			token := d.token(24 * time.Hour)
			first := d.accepts(token)
			d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(2*time.Second))
			time.Sleep(c.after)
			start := time.Now()
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					claims := d.accepts(token)
					assert.Equal(t, c.waits, time.Since(start))
					assert.Equal(t, c.waits == 0, first.Verification() == claims.Verification())
				})
			}
			callers.Wait()
			assert.Equal(t, c.asked, d.asked())
			time.Sleep(2*time.Second - time.Since(start))
			synctest.Wait()
			if claims := d.atOnce(token); c.asked == 2 {
				assert.Equal(t, start.UTC(), claims.Verification().CheckedAt, "it dates from the question")
			} else {
				assert.Equal(t, first.Verification(), claims.Verification())
			}
		})
	}
}

// A verdict is as old as its question: an answer that took long is good for less.
func TestVerdictDatesFromItsQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(10*time.Second))
		token := d.token(0)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(4*time.Second))
		start := time.Now()
		claims := d.accepts(token)
		require.Equal(t, 4*time.Second, time.Since(start))
		assert.Equal(t, start.UTC(), claims.Verification().CheckedAt)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		time.Sleep(6*time.Second - time.Microsecond)
		d.atOnce(token)
		time.Sleep(time.Microsecond)
		d.refuses(token, persauth.ErrUnavailable)
	})
}

// Callers who have less patience than PERS needs get their answer in the end.
func TestAnswerForTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute))
		good, revoked := d.token(0), d.token(0)
		d.accepts(revoked)
		d.pers.Revoke(revoked)
		time.Sleep(time.Minute)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(4*time.Second))
		for _, token := range []string{good, revoked} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			start := time.Now()
			claims, err := d.v.Verify(ctx, token)
			fails(t, claims, err, persauth.ErrUnavailable)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, time.Second, time.Since(start))
			cancel()
		}
		time.Sleep(4 * time.Second)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		d.atOnce(good)
		d.refuses(revoked, persauth.ErrRevoked)
		require.Equal(t, 3, d.asked())
	})
}

// Nothing runs where nothing is asked: the bubble would not end otherwise, for
// nobody closes this verifier.
func TestNoTrafficNoRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute).WithGrace(time.Minute))
		v, err := persauth.New(d.pers.Config(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(time.Minute) }))
		require.NoError(t, err)
		_, err = v.Verify(t.Context(), d.token(24*time.Hour))
		require.NoError(t, err)
		time.Sleep(10 * time.Hour)
		require.Equal(t, 1, d.asked())
	})
}

// Renewals have a budget. What it does not allow is tried again at the next
// request, and costs nobody anything before the verdict is too old.
func TestRenewalIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(time.Minute), func(cfg *persauth.Config) { cfg.RevocationCallsPerHour = 600 })
		tokens := make([]string, 10) // a minute's worth
		for i := range tokens {
			tokens[i] = d.token(24 * time.Hour)
			d.accepts(tokens[i])
		}
		d.refuses(d.token(0), persauth.ErrUnavailable)
		require.Equal(t, 10, d.asked())
		for second := range 12 {
			time.Sleep(time.Second)
			if second == 0 {
				time.Sleep(47 * time.Second)
			}
			for _, token := range tokens {
				for range 3 {
					d.atOnce(token)
				}
			}
			require.LessOrEqual(t, d.asked(), 10+8+second/6)
		}
		require.GreaterOrEqual(t, d.asked(), 18)
		assert.Positive(t, d.v.Status().Remote.Revocation.Calls.Withheld)
	})
}

// A clock that was put back does not make a verdict last.
func TestVerdictFromTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := openDesk(t, persauth.RevocationEvery(10*time.Minute).WithGrace(time.Hour))
		token := d.iss.Token(map[string]any{"iat": nil, "exp": time.Now().Add(24 * time.Hour).Unix()})
		d.accepts(token)
		d.iss.Clock().Advance(-time.Second) // clocks do that all the time
		d.accepts(token)
		require.Equal(t, 1, d.asked())
		d.iss.Clock().Advance(-time.Hour)
		d.pers.Fault(persauthtest.EndpointVerify, persauthtest.Down)
		d.refuses(token, persauth.ErrUnavailable)
		d.pers.Revoke(token)
		d.pers.Heal()
		d.refuses(token, persauth.ErrRevoked)
	})
}

// What cannot be, or nobody can mean, is refused when the verifier is made.
func TestRevocationContradictions(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	every, always := persauth.RevocationEvery(time.Minute), persauth.RevocationAlways()
	for i, c := range []struct {
		policy                    persauth.RevocationPolicy
		keys, projectKey, offline bool
		good                      bool
	}{
		{persauth.RevocationAuto(), true, false, false, true},
		{persauth.RevocationAuto(), true, true, true, true},
		{persauth.RevocationOff(), true, false, false, true},
		{every, false, true, false, true},
		{every, true, true, false, true},
		{every, true, false, false, false},
		{every, true, true, true, false},
		{always, true, false, false, false},
		{always, true, true, true, false},
		{every.WithGrace(time.Minute), false, true, false, true},
		{every.WithGrace(-time.Minute), false, true, false, false},
		{persauth.RevocationEvery(-time.Minute), false, true, false, false},
		{persauth.RevocationAuto().WithGrace(-1), false, true, false, false},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			v, err := persauth.New(pers.Config(func(cfg *persauth.Config) {
				cfg.Revocation, cfg.Offline = c.policy, c.offline
				if c.keys {
					cfg.Keys = persauth.StaticKeys(iss.JWKS())
				}
				if !c.projectKey {
					cfg.ProjectKey = ""
				}
			}))
			if c.good {
				require.NoError(t, err)
				v.Close()
			} else {
				require.Error(t, err)
				require.Nil(t, v)
			}
		})
	}
}
