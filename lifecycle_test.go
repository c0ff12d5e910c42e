package persauth_test

// From New to Close: what opens a connection and when, what ends it, and what a
// clock that jumps does to it.

import (
	"context"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// New asks nobody, and neither does a token that no key could help.
func TestNewIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.refuses("a.b.c", persauth.ErrMalformed)
		s.refuses(s.iss.ExpiredToken(), persauth.ErrExpired)
		synctest.Wait()
		assert.Zero(t, s.pers.requests())
	})
}

func TestWarm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(slow(time.Second, up(s.iss)))
		s.warm()
		assert.True(t, s.status().Ready)
		s.accepts(s.token())
		s.warm() // nothing is due
		assert.Equal(t, 1, s.pers.requests())
		assert.Zero(t, s.pers.noCaches())

		time.Sleep(softAge)
		s.warm()
		assert.Equal(t, 2, s.pers.requests())
		assert.False(t, s.status().Keys.Stale)

		// It fails, and says so; the keys at hand are good all the same.
		time.Sleep(softAge)
		s.pers.now(down)
		require.ErrorIs(t, s.v.Warm(t.Context()), persauth.ErrUnavailable)
		s.accepts(s.token())
		// It does not wait for the back-off: somebody wants to know now.
		s.pers.now(up(s.iss))
		s.warm()

		// Its context bounds the wait, and not the refresh.
		time.Sleep(softAge)
		s.pers.now(slow(3*time.Second, up(s.iss)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.v.Warm(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.False(t, s.status().Keys.Stale)
	})
}

func TestWarmWithNothingHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(down)
		err := s.v.Warm(t.Context())
		require.ErrorIs(t, err, persauth.ErrUnavailable)
		require.ErrorIs(t, err, errRefused)
		s.discreet("error", err.Error())
	})
}

// Many callers of Warm, and of Verify beside them, share one fetch.
func TestWarmCoalesces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(slow(time.Second, up(s.iss)))
		token := s.token()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { assert.NoError(t, s.v.Warm(t.Context())) })
			all.Go(func() {
				_, err := s.v.Verify(t.Context(), token)
				assert.NoError(t, err)
			})
		}
		all.Wait()
		assert.Equal(t, 1, s.pers.requests())
	})
}

// A seed is to be replaced by what PERS says: Warm does that.
func TestWarmReplacesSeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(s.iss.JWKS()) })
		s.warm()
		assert.Equal(t, "remote", s.status().Keys.Source)
	})
}

// Close ends a refresh that is under way, and whoever waits for it. It says
// nothing about PERS, so it is no failure.
func TestCloseDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.pers.now(hanging)
		errs := make(chan error)
		for range 10 {
			go func() {
				_, err := s.v.Verify(t.Context(), s.token())
				errs <- err
			}()
		}
		go func() { errs <- s.v.Warm(t.Context()) }()
		synctest.Wait()
		begin := time.Now()
		s.v.Close()
		for range 11 {
			require.ErrorIs(t, <-errs, persauth.ErrUnavailable)
		}
		assert.Zero(t, time.Since(begin))
		assert.Zero(t, s.pers.pending())
		status := s.status()
		assert.False(t, status.Keys.Refreshing)
		assert.Empty(t, status.Keys.LastError)
		assert.Zero(t, status.Counters.Keys.Failures)
		assert.Empty(t, s.log.String())
	})
}

// A closed verifier answers from what it holds, and asks nobody.
func TestAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.warm()
		token := s.token()
		s.accepts(token)
		var closing sync.WaitGroup
		for range 5 {
			closing.Go(s.v.Close)
		}
		closing.Wait()
		s.v.Close()
		s.pers.now(noNetwork{t}.RoundTrip)
		s.accepts(token)
		s.accepts(s.token())
		s.refuses(s.iss.ForgedToken(), persauth.ErrSignature)
		e := s.refuses(s.stranger(1), persauth.ErrUnavailable) // nobody can find out any more
		assert.Zero(t, e.RetryAfter)
		require.NoError(t, s.v.Warm(t.Context()))

		time.Sleep(softAge)
		assert.True(t, s.accepts(token).Verification().KeysStale)
		require.ErrorIs(t, s.v.Warm(t.Context()), persauth.ErrUnavailable)
		time.Sleep(hardAge)
		s.refuses(token, persauth.ErrUnavailable)
		assert.Equal(t, 1, s.pers.requests())
	})
}

// Closed before anything was asked for.
func TestCloseAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serve(t)
		s.v.Close()
		s.refuses(s.token(), persauth.ErrUnavailable)
		require.ErrorIs(t, s.v.Warm(t.Context()), persauth.ErrUnavailable)
		assert.Zero(t, s.pers.requests())
	})
}

// Offline, or without a project key, no connection is opened, whatever comes.
func TestNoConnection(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	folder := t.TempDir()
	file := filepath.Join(folder, "jwks.json")
	write(t, file, iss.JWKS())
	for name, cfg := range map[string]persauth.Config{
		"no project key":       {Keys: persauth.StaticKeys(iss.JWKS())},
		"no project key, file": {Keys: persauth.FileKeys(file)},
		"offline":              {Keys: persauth.StaticKeys(iss.JWKS()), ProjectKey: projectKey, Offline: true},
		"offline, file":        {Keys: persauth.FileKeys(file), ProjectKey: projectKey, Offline: true},
		"offline, snapshot": {Keys: persauth.StaticKeys(iss.JWKS()), ProjectKey: projectKey, Offline: true,
			Snapshot: filepath.Join(folder, "snapshot.json")},
		"offline, snapshot and file": {Keys: persauth.FileKeys(file), ProjectKey: projectKey, Offline: true,
			Snapshot: filepath.Join(folder, "snapshot.json")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg.HTTPClient = &http.Client{Transport: noNetwork{t}}
				v, err := persauth.New(cfg)
				require.NoError(t, err)
				defer v.Close()
				require.NoError(t, v.Warm(t.Context()))
				for range 3 {
					claims, err := v.Verify(t.Context(), iss.Token(map[string]any{"iat": nil, "exp": time.Now().AddDate(1, 0, 0).Unix()}))
					require.NoError(t, err)
					assert.False(t, claims.Verification().KeysStale, "these keys have no age")
					_, err = v.Verify(t.Context(), iss.Token(map[string]any{"iat": nil, "exp": 1}))
					require.ErrorIs(t, err, persauth.ErrExpired)
					stranger := newKey(t, "stranger", "ES256")
					_, err = v.Verify(t.Context(), iss.TokenBy(stranger, map[string]any{"iat": nil, "exp": time.Now().AddDate(1, 0, 0).Unix()}))
					require.ErrorIs(t, err, persauth.ErrUnknownKey)
					_ = v.Explain(t.Context(), iss.UnknownKeyToken())
					assert.False(t, v.Status().Keys.Stale)
					assert.True(t, v.Status().Ready)
					time.Sleep(100 * time.Hour)
				}
			})
		})
	}
	assert.NoFileExists(t, filepath.Join(folder, "snapshot.json"), "a snapshot is of PERS' answers alone")
}
