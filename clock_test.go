package persauth_test

// A clock that jumps: machines wake up, and are put right.

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const year = 365 * 24 * time.Hour

// jump sets the clock of the service on, or back.
func (s *service) jump(d time.Duration) { s.iss.Clock().Advance(d) }

// The machine slept for a year: the keys are too old, and are fetched.
func TestClockJumpsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		s.jump(year)
		s.accepts(s.token())
		assert.Equal(t, 2, s.pers.requests())
		assert.False(t, s.status().Keys.Stale)
	})
}

// The clock was a year ahead, and is put right: what it said must not keep the
// keys fresh for a year.
func TestClockPutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.jump(year)
		s.warm()
		s.jump(-year)
		old := s.iss.Keys()[0]
		token := s.token()
		s.iss.Rotate()
		s.iss.Retire(old)
		s.pers.now(slow(time.Second, up(s.iss)))
		s.accepts(token)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 2, s.pers.requests())
		s.accepts(s.token())
		require.Equal(t, 2, s.pers.requests())
		s.refuses(token, persauth.ErrUnknownKey)
	})
}

// … nor make them good for longer, with PERS down: by the clock they have another
// year.
func TestClockPutBackWhilePERSIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.jump(year)
		s.warm()
		s.jump(-year)
		s.pers.now(down)
		token := s.token()
		for begin := time.Now(); time.Since(begin) < hardAge; time.Sleep(time.Minute) {
			s.accepts(token)
		}
		s.refuses(token, persauth.ErrUnavailable)
		assert.False(t, s.status().Ready)
		s.pers.now(up(s.iss))
		time.Sleep(5 * time.Second)
		s.accepts(token)
	})
}

// The machine starts in another year, and its clock is put right while the keys are
// fetched: they are not as old as it was.
func TestClockPutRightDuringRefresh(t *testing.T) {
	for _, off := range []time.Duration{-30 * year, year} {
		synctest.Test(t, func(t *testing.T) {
			s := serve(t)
			token := s.token()
			s.pers.now(slow(time.Second, up(s.iss)))
			s.jump(off)
			warmed := make(chan error, 1)
			go func() { warmed <- s.v.Warm(t.Context()) }()
			synctest.Wait()
			asked := time.Now().UTC()
			time.Sleep(500 * time.Millisecond)
			s.jump(-off)
			require.NoError(t, <-warmed)
			assert.Equal(t, asked, s.status().Keys.Loaded)
			assert.Equal(t, asked.Add(hardAge), s.status().Keys.ExpiresAt)
			s.accepts(token)
			synctest.Wait()
			assert.Equal(t, 1, s.pers.requests())
		})
	}
}

// … nor keep an unknown key from being asked for,
func TestClockPutBackUnknownKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.jump(year)
		s.warm()
		s.refuses(s.iss.UnknownKeyToken(), persauth.ErrUnknownKey)
		require.Equal(t, 2, s.pers.requests())
		s.jump(-year)
		s.accepts(s.token())
		synctest.Wait()
		require.Equal(t, 3, s.pers.requests())
		s.iss.Rotate()
		s.accepts(s.token())
		require.Equal(t, 4, s.pers.requests())
	})
}

// … nor keep the next try after a failure for a year, with nothing held.
func TestClockPutBackDuringBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(down)
		s.jump(year)
		s.refuses(s.token(), persauth.ErrUnavailable)
		s.jump(-year)
		s.pers.now(up(s.iss))
		s.accepts(s.token())
	})
}

// A clock that goes to and fro a little causes nothing.
func TestClockSlew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		s.refuses(s.stranger(1), persauth.ErrUnknownKey)
		token := s.token()
		for range 100 {
			s.jump(-time.Second)
			s.accepts(token)
			s.refuses(s.stranger(1), persauth.ErrUnknownKey)
			s.jump(time.Second)
		}
		synctest.Wait()
		assert.Equal(t, 2, s.pers.requests())
		assert.False(t, s.status().Keys.Stale)
	})
}

// A clock far from the present, before 1970 even, is a clock like any other.
func TestClockOfAnotherAge(t *testing.T) {
	for _, now := range []time.Time{
		time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), time.Unix(0, 0), time.Unix(-60, 0), time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		t.Run(now.Format(time.RFC3339), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				s.iss.Clock().Set(now)
				token := s.iss.Token(map[string]any{"iat": nil, "exp": int64(253402300799)})
				s.accepts(token)
				s.jump(softAge)
				s.accepts(token)
				synctest.Wait()
				assert.Equal(t, 2, s.pers.requests())
				s.pers.now(down)
				s.jump(hardAge)
				s.refuses(token, persauth.ErrUnavailable)
				s.refuses(token, persauth.ErrUnavailable)
				assert.Equal(t, 3, s.pers.requests())
				s.jump(5 * time.Second)
				s.pers.now(up(s.iss))
				s.accepts(token)
			})
		})
	}
}

// A remembered token is good for as long as it is in time, and not a moment more.
func TestRememberedTokenInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		now := time.Now()
		token := s.iss.Token(map[string]any{"nbf": now.Unix(), "exp": now.Add(10 * time.Minute).Unix()})
		s.accepts(token)
		assert.Equal(t, 1, s.status().CachedTokens)
		s.jump(-30 * time.Second)
		s.accepts(token)
		s.jump(-time.Microsecond)
		s.refuses(token, persauth.ErrNotYetValid)
		s.jump(30*time.Second + time.Microsecond)
		s.accepts(token)
		s.jump(10*time.Minute + 30*time.Second - time.Microsecond)
		s.accepts(token)
		s.jump(time.Microsecond)
		s.refuses(token, persauth.ErrExpired)
		assert.Zero(t, s.status().CachedTokens)
		s.refuses(token, persauth.ErrExpired)
		assert.Zero(t, s.status().CachedTokens)
	})
}
