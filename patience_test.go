package persauth_test

// How long one caller waits for PERS, for keys and for a verdict together; and
// what a process that stood still makes of the calls that were under way.

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever of PERS hangs, or is slow, nobody waits for longer than the timeout.
func TestTimeoutBoundsAllThatACallerWaits(t *testing.T) {
	const timeout = 4 * time.Second
	slow := func(d time.Duration) persauthtest.Fault { return persauthtest.Slow(d) }
	for name, c := range map[string]struct {
		keys, verify persauthtest.Fault
		cold         bool // no keys are held yet
		want         error
		takes        time.Duration
	}{
		"both hang":                       {persauthtest.Hanging, persauthtest.Hanging, false, persauth.ErrUnavailable, timeout},
		"both hang, cold":                 {persauthtest.Hanging, persauthtest.Hanging, true, persauth.ErrUnavailable, timeout},
		"keys hang":                       {persauthtest.Hanging, persauthtest.Fault{}, false, nil, timeout / 2},
		"verify hangs":                    {persauthtest.Fault{}, persauthtest.Hanging, false, persauth.ErrUnavailable, timeout},
		"both slow":                       {slow(time.Second), slow(time.Second), false, nil, 2 * time.Second},
		"both slow, cold":                 {slow(time.Second), slow(time.Second), true, nil, 3 * time.Second}, // the first set, one past all caches, the verdict
		"keys too slow to wait for":       {slow(3 * time.Second), slow(time.Second), false, nil, timeout/2 + time.Second},
		"both too slow":                   {slow(3 * time.Second), slow(3 * time.Second), false, persauth.ErrUnavailable, timeout},
		"verify slow, cold":               {slow(3 * time.Second), slow(2 * time.Second), true, persauth.ErrUnavailable, timeout},
		"keys hang, verify is slow":       {persauthtest.Hanging, slow(time.Second), false, nil, timeout/2 + time.Second},
		"keys hang, verify is too slow":   {persauthtest.Hanging, slow(3 * time.Second), false, persauth.ErrUnavailable, timeout},
		"keys are down, verify hangs":     {persauthtest.Down, persauthtest.Hanging, false, persauth.ErrUnavailable, timeout},
		"keys are down, verify is slow":   {persauthtest.Down, slow(3 * time.Second), false, nil, 3 * time.Second},
		"keys are slow, verify is down":   {slow(time.Second), persauthtest.Down, false, persauth.ErrUnavailable, time.Second},
		"keys hang, and verify is down":   {persauthtest.Hanging, persauthtest.Down, false, persauth.ErrUnavailable, timeout / 2},
		"keys are down, cold, and no end": {persauthtest.Hanging, persauthtest.Fault{}, true, persauth.ErrUnavailable, timeout},
	} {
		for way, verify := range map[string]func(*persauth.Verifier, context.Context, string) (*persauth.Claims, error){
			"": (*persauth.Verifier).Verify, ", live": (*persauth.Verifier).VerifyLive,
		} {
			inBubble(t, name+way, func(t *testing.T) {
				pers := newLab(t)
				v := pers.Verifier(func(cfg *persauth.Config) { cfg.Timeout = timeout })
				if !c.cold {
					require.NoError(t, v.Warm(t.Context()))
				}
				pers.Fault(persauthtest.EndpointKeys, c.keys)
				pers.Fault(persauthtest.EndpointVerify, c.verify)
				for round := range 3 {
					var callers sync.WaitGroup
					start, token := time.Now(), pers.stranger()
					for range map[string]int{"": 10, ", live": 1}[way] { // live ones do not share a call that is under way
						callers.Go(func() {
							claims, err := verify(v, t.Context(), token)
							assert.LessOrEqual(t, time.Since(start), timeout)
							if round == 0 {
								assert.ErrorIs(t, err, c.want)
								assert.Equal(t, c.want == nil, claims != nil)
								assert.Equal(t, c.takes, time.Since(start))
							}
						})
					}
					callers.Wait()
					synctest.Wait()
				}
			})
		}
	}
}

// Who waited for keys, and so comes late to the question about the token, takes an
// answer that was asked for meanwhile: many who wait together ask once.
func TestAnswerOfThoseWhoCameBefore(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Timeout = 8 * time.Second })
		token := pers.stranger()
		pers.Fault(persauthtest.EndpointKeys, persauthtest.Hanging)
		var callers sync.WaitGroup
		for range 4 { // they ask after 4, 5, 6 and 7 seconds
			callers.Go(func() { accepts(t, v, token) })
			time.Sleep(time.Second)
		}
		callers.Wait()
		assert.Equal(t, 1, pers.asked())
		start := time.Now()
		_, err := v.VerifyLive(t.Context(), token)
		require.NoError(t, err)
		assert.Equal(t, 2, pers.asked())
		assert.LessOrEqual(t, time.Since(start), 4*time.Second)
	})
}

// A known key whose verdict is due twice over: the one who comes late waits for the
// call that is under way and for the next, and not for longer than the timeout.
func TestTimeoutBoundsTheNextCallToo(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm()
		token := pers.yearly()
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(4*time.Second))
		go func() { _, _ = v.Verify(t.Context(), token) }()
		time.Sleep(time.Second)
		start := time.Now()
		claims, err := v.VerifyLive(t.Context(), token)
		fails(t, claims, err, persauth.ErrUnavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, 2, pers.asked(), "the next call goes on")
	})
}

// A transport that does not know when to stop holds nobody up, either.
func TestTimeoutBoundsADeafTransport(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		release := make(chan struct{})
		v := pers.warm(verifyBy(pers.Server, func(r *http.Request) (*http.Response, error) {
			<-release
			return pers.Client().Transport.RoundTrip(r)
		}))
		start := time.Now()
		refuses(t, v, pers.yearly(), persauth.ErrUnavailable)
		assert.LessOrEqual(t, time.Since(start), 5*time.Second+100*time.Millisecond)
		close(release)
	})
}

// A key set that comes too late to wait for it decides all the same, where PERS
// gives no verdict before the time is over.
func TestKeySetThatComesLate(t *testing.T) {
	for name, c := range map[string]struct {
		token func(lab) string
		want  error
	}{
		"good":    {func(pers lab) string { return pers.iss.UserToken("acme") }, nil},
		"forged":  {func(pers lab) string { return pers.iss.ForgedToken() }, persauth.ErrUnavailable},
		"unknown": {func(pers lab) string { return pers.iss.UnknownKeyToken() }, persauth.ErrUnavailable},
		"foreign": {func(pers lab) string { return pers.iss.ForeignToken() }, persauth.ErrTenant},
	} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			v := pers.warm(func(cfg *persauth.Config) { cfg.Tenants = []string{"acme", persauthtest.DefaultTenant} })
			pers.iss.Rotate()
			token := c.token(pers)
			pers.Fault(persauthtest.EndpointKeys, persauthtest.Slow(4*time.Second))
			pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
			start := time.Now()
			if c.want != nil {
				refuses(t, v, token, c.want)
				return
			}
			assert.Equal(t, persauth.VerifiedLocally, accepts(t, v, token).Verification().Method)
			assert.Equal(t, 5*time.Second, time.Since(start))
		})
	}
}

// freezer is a transport whose process stands still while a request is under way:
// clocks go on meanwhile, and the connection is gone after.
type freezer struct {
	http.RoundTripper
	mu     sync.Mutex
	frozen chan struct{} // nil: it runs; closed at the thaw
}

func (f *freezer) freeze() (thaw func()) {
	frozen := make(chan struct{})
	f.mu.Lock()
	f.frozen = frozen
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		f.frozen = nil
		f.mu.Unlock()
		close(frozen)
	}
}

func (f *freezer) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	frozen := f.frozen
	f.mu.Unlock()
	if frozen != nil && r.Method == http.MethodPost {
		// While a process stands still, its timers do not fire, either.
		<-frozen
		return nil, context.DeadlineExceeded
	}
	return f.RoundTripper.RoundTrip(r)
}

// Renewals that were under way while the process was frozen say nothing about
// PERS: the first request after the thaw is answered by it, at once.
func TestFrozenProcess(t *testing.T) {
	for name, policy := range map[string]persauth.RevocationPolicy{
		"no grace": persauth.RevocationEvery(10 * time.Minute), "grace": persauth.RevocationEvery(10 * time.Minute).WithGrace(100 * time.Hour),
	} {
		inBubble(t, name, func(t *testing.T) {
			pers := newLab(t)
			f := &freezer{RoundTripper: pers.Client().Transport}
			v := pers.warm(func(cfg *persauth.Config) {
				cfg.HTTPClient, cfg.Revocation = &http.Client{Transport: f}, policy
			})
			var tokens []string
			for range 12 {
				tokens = append(tokens, pers.yearly())
				accepts(t, v, tokens[len(tokens)-1])
			}
			time.Sleep(9 * time.Minute)
			thaw := f.freeze()
			for _, token := range tokens {
				accepts(t, v, token) // each renewed in the background
			}
			synctest.Wait()
			require.Equal(t, 12, pers.asked())
			time.Sleep(time.Hour)
			thaw()
			revoked := tokens[3]
			pers.Revoke(revoked)
			start := time.Now()
			for _, token := range tokens {
				if token == revoked {
					refuses(t, v, token, persauth.ErrRevoked)
					continue
				}
				assert.False(t, accepts(t, v, token).Verification().InGrace)
			}
			assert.Zero(t, time.Since(start), "it waited")
			remote := v.Status().Remote.Revocation
			assert.Equal(t, "closed", remote.Breaker)
			assert.True(t, remote.Answering)
			assert.Zero(t, remote.Calls.Failures)
			assert.Equal(t, 24, pers.asked())
		})
	}
}

// A call that is still under way after the thaw, because the clock of its timeout
// stood still, too, is given up for a new one.
func TestFrozenClock(t *testing.T) {
	inLab(t, func(t *testing.T, pers lab) {
		v := pers.warm(func(cfg *persauth.Config) { cfg.Revocation = persauth.RevocationEvery(10 * time.Minute) })
		token := pers.yearly()
		accepts(t, v, token)
		time.Sleep(9 * time.Minute)
		pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging)
		accepts(t, v, token)
		synctest.Wait()
		require.Equal(t, 2, pers.asked())
		pers.Heal()
		pers.iss.Clock().Advance(time.Hour) // the wall clock is set after the thaw
		start := time.Now()
		accepts(t, v, token)
		assert.Zero(t, time.Since(start))
		assert.Equal(t, 3, pers.asked())
		assert.Zero(t, v.Status().Remote.Revocation.Calls.Failures)
	})
}
