package persauth_test

// A seed from longer ago than keys may be used: it is there for a start without
// PERS, and must not bring back what left long ago in one with PERS.

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// seedOf is a key set with its date, as `persauth jwks fetch` writes it.
func seedOf(t *testing.T, s *service) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	s.restart(func(c *persauth.Config) { c.Snapshot = path })
	s.warm()
	s.restart(func(c *persauth.Config) { c.Snapshot = "" })
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	return body
}

// oldSeed is a service that starts, age after its seed was fetched, and a key of the
// seed that has left since.
func oldSeed(t *testing.T, age time.Duration) (s *service, left *persauthtest.Key) {
	s = serve(t)
	seed := seedOf(t, s)
	s.iss.Rotate()
	left = s.iss.Keys()[0]
	s.iss.Retire(left)
	time.Sleep(age)
	s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(seed) })
	return s, left
}

const longAgo = 200 * 24 * time.Hour

// PERS can be reached: what left is refused from the first request on, and requests
// wait for no longer than PERS takes.
func TestOutdatedSeed(t *testing.T) {
	for name, where := range map[string]func(t *testing.T, seed []byte) persauth.KeySource{
		"bytes": func(_ *testing.T, seed []byte) persauth.KeySource { return persauth.StaticKeys(seed) },
		"file system": func(_ *testing.T, seed []byte) persauth.KeySource {
			return persauth.FSKeys(fstest.MapFS{"keys.json": {Data: seed}}, "keys.json")
		},
		"file": func(t *testing.T, seed []byte) persauth.KeySource {
			path := filepath.Join(t.TempDir(), "keys.json")
			write(t, path, seed)
			return persauth.FileKeys(path)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				seed := seedOf(t, s)
				fetched := time.Now().UTC()
				s.iss.Rotate()
				left := s.iss.Keys()[0]
				s.iss.Retire(left)
				time.Sleep(longAgo)
				s.restart(func(c *persauth.Config) { c.Keys = where(t, seed) })
				assert.Equal(t, fetched, s.status().Keys.Loaded)
				assert.Equal(t, 1, s.log.lines("older than keys may get"))

				s.pers.now(slow(400*time.Millisecond, up(s.iss)))
				before, asked := time.Now(), s.pers.requests()
				var callers sync.WaitGroup
				for _, c := range []struct {
					token string
					want  error
				}{{s.tokenBy(left), persauth.ErrUnknownKey}, {s.tokenBy(left), persauth.ErrUnknownKey}, {s.token(), nil}} {
					callers.Go(func() {
						_, err := s.v.Verify(t.Context(), c.token)
						assert.ErrorIs(t, err, c.want)
						_, err = s.v.InsecureVerifySignatureOnly(t.Context(), c.token)
						assert.ErrorIs(t, err, c.want)
					})
				}
				callers.Wait()
				// The kid that left is asked for once more, as every unknown one is.
				assert.LessOrEqual(t, time.Since(before), 1200*time.Millisecond)
				assert.LessOrEqual(t, s.pers.requests()-asked, 2)
				s.accepts(s.token())
				s.refuses(s.tokenBy(left), persauth.ErrUnknownKey)
			})
		})
	}
}

// PERS is slow: after a second the seed has to do, and nobody waits any more.
func TestOutdatedSeedWhilePERSIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, left := oldSeed(t, longAgo)
		s.pers.now(slow(3*time.Second, up(s.iss)))
		before := time.Now()
		_, err := s.verify(s.tokenBy(left))
		require.NoError(t, err)
		assert.Equal(t, time.Second, time.Since(before))
		assert.True(t, s.accepts(s.tokenBy(left)).Verification().KeysStale)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		s.refuses(s.tokenBy(left), persauth.ErrUnknownKey)
	})
}

// PERS is down: the seed has to do at once, for as long as other keys. This is what a
// seed is for.
func TestOutdatedSeedWhilePERSIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, left := oldSeed(t, longAgo)
		s.pers.now(slow(100*time.Millisecond, down))
		before := time.Now()
		_, err := s.verify(s.tokenBy(left))
		require.NoError(t, err)
		assert.Equal(t, 100*time.Millisecond, time.Since(before))
		s.pers.now(slow(3*time.Second, down))
		for time.Since(before) < hardAge-time.Minute {
			s.accepts(s.tokenBy(left)) // and waits for no other try
			time.Sleep(time.Minute)
		}
		time.Sleep(time.Minute)
		s.refuses(s.tokenBy(left), persauth.ErrUnavailable)
	})
}

// A caller that leaves is not told that its token is good.
func TestOutdatedSeedCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, left := oldSeed(t, longAgo)
		s.pers.now(slow(500*time.Millisecond, up(s.iss)))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		claims, err := s.v.Verify(ctx, s.tokenBy(left))
		require.ErrorIs(t, err, persauth.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Nil(t, claims)
	})
}

// What needs no key is refused at once.
func TestOutdatedSeedIsNotWaitedForInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := oldSeed(t, longAgo)
		s.pers.now(hanging)
		before := time.Now()
		s.refuses("not.a.token", persauth.ErrMalformed)
		s.refuses(s.iss.ExpiredToken(), persauth.ErrExpired)
		assert.Zero(t, time.Since(before))
	})
}

// Which seeds are waited for: those that say that they are older than KeyHardAge,
// and those whose date cannot be believed.
func TestSeedDates(t *testing.T) {
	const fetched = `"fetched":"2000-01-01T00:00:00Z"` // when each bubble of synctest begins
	for _, c := range []struct {
		name  string
		age   time.Duration
		date  string
		waits bool
	}{
		{"as old as keys may get", hardAge, fetched, true},
		{"younger", hardAge - time.Second, fetched, false},
		{"from the future", longAgo, `"fetched":"2100-01-01T00:00:00Z"`, true},
		{"no date", longAgo, "", true},
		{"a date that is none", 0, `"fetched":"yesterday"`, true},
		{"another type", 0, `"fetched":946684800`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := serve(t)
				seed := seedOf(t, s)
				require.Equal(t, 1, strings.Count(string(seed), strings.Replace(fetched, ":", ": ", 1)), "%s", seed)
				seed = []byte(strings.Replace(string(seed), strings.Replace(fetched, ":", ": ", 1)+",", map[bool]string{true: c.date + ","}[c.date != ""], 1))
				time.Sleep(c.age)
				s.pers.now(slow(300*time.Millisecond, up(s.iss)))
				s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(seed) })
				before := time.Now()
				_, err := s.verify(s.token())
				require.NoError(t, err)
				assert.Equal(t, c.waits, time.Since(before) > 0)

				// Without a project key a set has no age.
				before = time.Now()
				v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(seed), Now: s.iss.Clock().Now})
				require.NoError(t, err)
				defer v.Close()
				_, err = v.Verify(t.Context(), s.token())
				require.NoError(t, err)
				assert.Zero(t, time.Since(before))
			})
		})
	}
}
