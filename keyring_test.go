package persauth_test

// What happens to requests while PERS is down, slow, or back again. All of it
// in virtual time.

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	softAge = 15 * time.Minute
	hardAge = 24 * time.Hour
)

// Nothing is held and PERS is down: nobody can tell. Each request may lead to
// the next try, but tries are spaced, and soon after PERS is back all is well.
func TestDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(down)
		token := s.token()
		require.False(t, s.status().Ready)
		require.Zero(t, s.status().Keys.LastAttempt)

		const outage = 10 * time.Minute
		for begin := time.Now(); time.Since(begin) < outage; time.Sleep(100 * time.Millisecond) {
			e := s.refuses(token, persauth.ErrUnavailable)
			require.ErrorIs(t, e, errRefused)
			require.Positive(t, e.RetryAfter)
			require.LessOrEqual(t, e.RetryAfter, 5*time.Second)
		}
		tries := s.pers.times()
		assert.Greater(t, len(tries), int(outage/(6*time.Second)))
		assert.Less(t, len(tries), int(outage/(2*time.Second)))
		for i := 1; i < len(tries); i++ {
			pause := tries[i].Sub(tries[i-1])
			require.GreaterOrEqual(t, pause, 250*time.Millisecond)
			require.LessOrEqual(t, pause, 5100*time.Millisecond)
		}
		s.refuses(token, persauth.ErrUnavailable) // the last pause may be over by now
		status := s.status()
		assert.False(t, status.Ready)
		assert.Contains(t, status.Keys.LastError, "connection refused")
		assert.Equal(t, status.Counters.Keys.Refreshes, status.Counters.Keys.Failures)
		assert.True(t, status.Keys.NextAttempt.After(time.Now()))

		s.pers.now(up(s.iss))
		for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
			if _, err := s.verify(token); err == nil {
				break
			}
			require.Less(t, time.Since(begin), 6*time.Second)
		}
		status = s.status()
		assert.True(t, status.Ready)
		assert.Empty(t, status.Keys.LastError)
		assert.Zero(t, status.Keys.NextAttempt)
		assert.Equal(t, "remote", status.Keys.Source)
		// The log heard of the beginning and of the end.
		synctest.Wait()
		assert.Equal(t, 1, s.log.lines("cannot be refreshed"))
		assert.Equal(t, 1, s.log.lines("refreshed again"))
	})
}

// A service without a logger, whose keys cannot be had at all, says so once: otherwise
// nobody would know why every token is refused.
func TestNoKeysAndNoLogger(t *testing.T) {
	for name, c := range map[string]struct {
		logger *slog.Logger
		seed   bool
		want   int
	}{
		"no logger":           {nil, false, 1},
		"no logger, and keys": {nil, true, 0}, // for now
		"a logger":            {slog.New(slog.DiscardHandler), false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				said := &logText{}
				before := slog.Default()
				slog.SetDefault(slog.New(slog.NewJSONHandler(said, nil)))
				defer slog.SetDefault(before)
				s := serve(t, func(cfg *persauth.Config) { cfg.Logger = c.logger })
				if c.seed {
					s.restart(func(cfg *persauth.Config) { cfg.Keys = persauth.StaticKeys(s.iss.JWKS()) })
				}
				token := s.token()
				for range 3 {
					s.pers.now(down)
					for range 20 {
						_, err := s.verify(token)
						require.Equal(t, c.seed, err == nil)
						time.Sleep(time.Second)
					}
					if c.seed {
						break
					}
					s.pers.now(up(s.iss))
					time.Sleep(5 * time.Second)
					s.accepts(token)
					s.jump(hardAge)
				}
				synctest.Wait()
				assert.Equal(t, c.want, said.lines("there are no keys"), "%s", said)
				assert.Equal(t, c.want, said.lines("connection refused"))
				s.discreet("default log", said.String())
				if c.seed {
					s.jump(hardAge)
					s.refuses(token, persauth.ErrUnavailable)
					time.Sleep(5 * time.Second)
					s.refuses(token, persauth.ErrUnavailable)
					assert.Equal(t, 1, said.lines("there are no keys"), "the keys got too old")
				}
			})
		})
	}
}

// A request that comes while nothing is held waits for the keys, whatever it
// takes up to the timeout, and many such requests wait for one answer.
func TestColdStartWaitsForOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(slow(2*time.Second, up(s.iss)))
		token := s.token()
		errs := make(chan error)
		for range 1000 {
			go func() {
				_, err := s.v.Verify(t.Context(), token)
				errs <- err
			}()
		}
		begin := time.Now()
		for range 1000 {
			require.NoError(t, <-errs)
		}
		assert.Equal(t, 2*time.Second, time.Since(begin))
		assert.Equal(t, 1, s.pers.requests())
	})
}

// PERS takes the connection and says nothing: the wait ends with the timeout.
func TestHangingAtStart(t *testing.T) {
	for name, answer := range map[string]func(*service) reply{
		"no headers": func(*service) reply { return hanging },
		"half a body": func(s *service) reply {
			return stalling(s.iss.JWKS())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t, func(c *persauth.Config) { c.Timeout = 3 * time.Second })
				s.pers.now(answer(s))
				begin := time.Now()
				s.refuses(s.token(), persauth.ErrUnavailable)
				assert.Equal(t, 3*time.Second, time.Since(begin))
				s.refuses(s.token(), persauth.ErrUnavailable)
				assert.Equal(t, 3*time.Second, time.Since(begin), "there is a pause before the next try")
				assert.Zero(t, s.pers.pending())
			})
		})
	}
}

// Keys get too old during an outage: however long the pauses have become, once PERS
// is back it takes no more than five seconds.
func TestHardAgeCutsThePauseShort(t *testing.T) {
	for run := range 20 {
		synctest.Test(t, func(t *testing.T) {
			const hard = 20 * time.Minute
			s := serve(t, func(c *persauth.Config) { c.KeySoftAge, c.KeyHardAge = time.Minute, hard })
			s.warm()
			token := s.token()
			s.pers.now(down)
			end := time.Now().Add(hard)
			for time.Now().Before(end.Add(-time.Duration(run) * 300 * time.Millisecond)) {
				s.accepts(token)
				time.Sleep(100 * time.Millisecond)
			}
			s.pers.now(up(s.iss))
			time.Sleep(time.Until(end))
			for ; ; time.Sleep(50 * time.Millisecond) {
				_, err := s.verify(token)
				synctest.Wait()
				if err == nil {
					break
				}
				require.ErrorIs(t, err, persauth.ErrUnavailable)
				require.Less(t, time.Since(end), 5*time.Second)
			}
		})
	}
}

// With keys that came with the service nobody waits for PERS, and nobody takes
// them for more than they are.
func TestDownAtStartWithSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(s.iss.JWKS()) })
		s.pers.now(slow(time.Second, down))
		token := s.token()
		for range 100 {
			claims := s.accepts(token)
			require.True(t, claims.Verification().KeysStale)
			time.Sleep(time.Minute)
		}
		status := s.status()
		assert.True(t, status.Ready)
		assert.True(t, status.Keys.Stale)
		assert.Equal(t, "seed", status.Keys.Source)
		assert.NotEmpty(t, status.Keys.LastError)
		assert.Greater(t, s.pers.requests(), 90)

		// PERS is back: the next request but one is served from its keys.
		s.pers.now(up(s.iss))
		s.accepts(token)
		synctest.Wait()
		assert.False(t, s.accepts(token).Verification().KeysStale)
		assert.Equal(t, "remote", s.status().Keys.Source)
		assert.False(t, s.status().Keys.Stale)
	})
}

// A seed does not outlive the hard age either: it may hold keys that are gone.
func TestSeedEndsAtHardAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(down)
		s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(s.iss.JWKS()) })
		token := s.token()
		s.accepts(token)
		time.Sleep(hardAge - time.Microsecond)
		s.accepts(token)
		time.Sleep(time.Microsecond)
		s.refuses(token, persauth.ErrUnavailable)
		assert.False(t, s.status().Ready)
	})
}

// A refresh that fails changes nothing until the hard age, and from exactly then
// on nobody can tell, not about remembered tokens either.
func TestDownAtRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		loaded := time.Now()
		token := s.token()
		assert.False(t, s.accepts(token).Verification().KeysStale)
		s.pers.now(slow(time.Second, down))

		time.Sleep(softAge - time.Microsecond)
		assert.False(t, s.accepts(token).Verification().KeysStale)
		assert.Equal(t, 1, s.pers.requests())
		time.Sleep(time.Microsecond)
		assert.True(t, s.accepts(token).Verification().KeysStale, "remembered before, and stale now")
		assert.True(t, s.accepts(s.token()).Verification().KeysStale)
		status := s.status()
		assert.True(t, status.Keys.Stale)
		assert.True(t, status.Keys.Refreshing)
		assert.True(t, status.Ready)
		assert.Equal(t, loaded.Add(softAge).UTC(), status.Keys.StaleAt)
		assert.Equal(t, loaded.Add(hardAge).UTC(), status.Keys.ExpiresAt)
		time.Sleep(5 * time.Second)
		assert.Contains(t, s.status().Keys.LastError, "connection refused")

		for time.Since(loaded) < hardAge-time.Minute {
			s.accepts(token)
			time.Sleep(10 * time.Second)
		}
		time.Sleep(time.Until(loaded.Add(hardAge - time.Microsecond)))
		s.accepts(token)
		s.accepts(s.token())
		time.Sleep(time.Microsecond)
		e := s.refuses(token, persauth.ErrUnavailable)
		assert.ErrorIs(t, e, errRefused)
		assert.Positive(t, e.RetryAfter)
		assert.False(t, s.status().Ready)

		s.pers.now(up(s.iss))
		recovery := time.Now()
		for {
			if _, err := s.verify(token); err == nil {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		assert.Less(t, time.Since(recovery), 35*time.Second)
		assert.False(t, s.accepts(token).Verification().KeysStale)
	})
}

// The keys get too old in the very moment in which a token with another key is
// looked at: its caller waits for the new ones.
func TestKeysEndWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		var ticking atomic.Bool
		s.restart(func(c *persauth.Config) {
			c.Now = func() time.Time {
				if ticking.Load() {
					s.jump(time.Microsecond)
				}
				return s.iss.Clock().Now()
			}
		})
		s.warm()
		s.iss.Rotate()
		token := s.token()
		s.pers.now(slow(time.Second, up(s.iss)))
		time.Sleep(hardAge - 2*time.Microsecond)
		ticking.Store(true)
		_, err := s.verify(token)
		require.NoError(t, err)
	})
}

// While keys are held and PERS is down, tries are spaced by up to half a minute,
// however many requests come.
func TestBackoffWhileKeysAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		token := s.token()
		s.pers.now(down)
		time.Sleep(softAge)
		begin := time.Now()
		for time.Since(begin) < time.Hour {
			for range 10 {
				s.accepts(token)
			}
			time.Sleep(500 * time.Millisecond)
		}
		tries := s.pers.times()[1:]
		assert.Greater(t, len(tries), 100)
		assert.Less(t, len(tries), 300)
		last := tries[len(tries)-1].Sub(tries[len(tries)-2])
		assert.GreaterOrEqual(t, last, 15*time.Second)
		assert.LessOrEqual(t, last, 31*time.Second)
	})
}

// PERS takes its time. Who has a key does not notice: not at the soft age, and
// not while others wait for an unknown key.
func TestSlowEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		token := s.token()
		s.pers.now(slow(4*time.Second, up(s.iss)))
		time.Sleep(softAge)
		for range 30 {
			s.accepts(token)
			s.accepts(s.token())
			time.Sleep(100 * time.Millisecond)
		}
		assert.Equal(t, 2, s.pers.requests())
		time.Sleep(2 * time.Second)
		assert.False(t, s.accepts(token).Verification().KeysStale)

		s.pers.now(hanging)
		ctx, cancel := context.WithCancel(t.Context())
		answered := make(chan error)
		for i := range 100 {
			go func() {
				_, err := s.v.Verify(ctx, s.stranger(i))
				answered <- err
			}()
		}
		synctest.Wait()
		require.Equal(t, 1, s.pers.pending())
		s.accepts(token)
		s.accepts(s.token())
		cancel()
		for range 100 {
			require.ErrorIs(t, <-answered, context.Canceled)
		}
		time.Sleep(time.Minute)
	})
}
