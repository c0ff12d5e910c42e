package persauthclient_test

// The fault table of the client: what a caller sees of each failure, while the
// token lives, when it has expired, and when the failure is over.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An hour of requests, one a second: all are served, and PERS is asked about five
// times, by requests that do not wait for it.
func TestQuietHour(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		s := p.signedIn(t)
		v := p.iss.Verifier()
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Slow(5*time.Second))
		tokens := map[string]bool{}
		for range 3600 {
			began := time.Now()
			token, err := s.AccessToken(t.Context())
			require.NoError(t, err)
			assert.Zero(t, time.Since(began), "nobody waits while a token lives")
			_, err = v.Verify(t.Context(), token)
			require.NoError(t, err)
			tokens[token] = true
			time.Sleep(time.Second)
		}
		assert.InDelta(t, 5, p.Count(persauthtest.EndpointRefresh), 1)
		assert.InDelta(t, len(tokens), p.Count(persauthtest.EndpointRefresh), 1)
	})
}

// Between requests nothing runs, and after a long pause the first request waits
// for one refresh. Of a thousand at once all wait for the same one.
func TestThousandCallers(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		s := p.signedIn(t)
		time.Sleep(time.Hour)
		require.Zero(t, p.Count(persauthtest.EndpointRefresh))
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Slow(3*time.Second))
		var callers sync.WaitGroup
		var served, left atomic.Int32
		for i := range 1000 {
			callers.Go(func() {
				ctx := t.Context()
				if i%10 == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				switch _, err := s.AccessToken(ctx); {
				case err == nil:
					served.Add(1)
				case i%10 == 0 && errors.Is(err, context.DeadlineExceeded) && errors.Is(err, persauthclient.ErrUnavailable):
					left.Add(1)
				}
			})
		}
		callers.Wait()
		assert.EqualValues(t, 900, served.Load())
		assert.EqualValues(t, 100, left.Load(), "each waits on its own context")
		assert.Equal(t, 1, p.Count(persauthtest.EndpointRefresh))
	})
}

// The fault table. In each row PERS fails from before the token is due until five
// minutes after it has expired, while there is a request every second.
func TestRefreshFaults(t *testing.T) {
	const unavailable, answer, signIn = "unavailable", "answer", "sign in"
	errs := map[string]error{unavailable: persauthclient.ErrUnavailable, answer: persauthclient.ErrAnswer, signIn: persauthclient.ErrSignIn}
	for name, c := range map[string]struct {
		fault   persauthtest.Fault
		options []persauthtest.ServerOption
		bindTo  string
		expired string        // what a request without a token gets
		calls   int           // of PERS at most, while it fails
		healed  time.Duration // until requests are served again; negative: never
	}{
		"down":                    {fault: persauthtest.Down, expired: unavailable, calls: 80, healed: 7 * time.Second},
		"hanging":                 {fault: persauthtest.Hanging, expired: unavailable, calls: 6, healed: 3 * time.Minute},
		"slow":                    {fault: persauthtest.Slow(time.Minute), expired: "", calls: 2, healed: time.Second},
		"429 for a minute":        {fault: persauthtest.TooManyRequests(time.Minute), expired: unavailable, calls: 10, healed: time.Minute + 2*time.Second},
		"429":                     {fault: persauthtest.TooManyRequests(0), expired: unavailable, calls: 80, healed: 7 * time.Second},
		"500":                     {fault: persauthtest.Status(500), expired: unavailable, calls: 80, healed: 7 * time.Second},
		"403":                     {fault: persauthtest.Status(403), expired: unavailable, calls: 80, healed: 7 * time.Second},
		"redirect":                {fault: persauthtest.RedirectTo("https://evil.example"), expired: unavailable, calls: 80, healed: 7 * time.Second},
		"huge":                    {fault: persauthtest.Huge, expired: unavailable, calls: 80, healed: 7 * time.Second},
		"cut off":                 {fault: persauthtest.CutOff, expired: unavailable, calls: 80, healed: 7 * time.Second},
		"garbage":                 {fault: persauthtest.Garbage, expired: answer, calls: 80, healed: 7 * time.Second},
		"not tokens":              {fault: persauthtest.NotTokens, expired: answer, calls: 80, healed: 7 * time.Second},
		"stale tokens":            {fault: persauthtest.StaleTokens, expired: answer, calls: 80, healed: 7 * time.Second},
		"foreign tokens":          {fault: persauthtest.ForeignTokens, expired: answer, calls: 80, healed: 7 * time.Second},
		"tokens of somebody else": {fault: persauthtest.OtherTokens(map[string]any{"sub": "eve"}), expired: answer, calls: 80, healed: 7 * time.Second},
		"unbound tokens":          {fault: persauthtest.UnboundTokens, bindTo: "ES256", expired: answer, calls: 80, healed: 7 * time.Second},
		"lost answer, with grace": {fault: persauthtest.LostAnswer, options: []persauthtest.ServerOption{persauthtest.WithReuseGrace(time.Hour)}, expired: unavailable, calls: 80, healed: 7 * time.Second},
		"lost answer":             {fault: persauthtest.LostAnswer.Times(1), expired: signIn, calls: 2, healed: -1},
		"refused":                 {fault: persauthtest.Status(401), expired: signIn, calls: 1, healed: -1},
		"the same refresh token":  {fault: persauthtest.SameRefreshToken, expired: "", calls: 2, healed: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				v := p.iss.Verifier()
				s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.BindTo = c.bindTo })
				before, err := s.AccessToken(t.Context())
				require.NoError(t, err)
				p.Fault(persauthtest.EndpointRefresh, c.fault)
				began := time.Now()
				every(time.Second, 15*time.Minute-time.Second, func() {
					asked := time.Now()
					token, err := s.AccessToken(t.Context())
					require.NoError(t, err, "no good request fails while the token lives")
					require.LessOrEqual(t, time.Since(asked), time.Second)
					if c.bindTo == "" {
						_, err = v.Verify(t.Context(), token)
						require.NoError(t, err)
					}
				})
				sleepUntil(began.Add(15*time.Minute + time.Second))
				every(time.Second, 5*time.Minute, func() {
					asked := time.Now()
					token, err := s.AccessToken(t.Context())
					require.LessOrEqual(t, time.Since(asked), 10*time.Second)
					if c.expired == "" {
						require.NoError(t, err)
						require.NotEqual(t, before, token)
						return
					}
					require.ErrorIs(t, err, errs[c.expired], "%v", err)
					if c.expired == unavailable {
						require.Positive(t, errorOf(t, err).RetryAfter)
					}
					silent(t, err.Error(), before, p.ProjectKey(), "eyJ")
				})
				assert.LessOrEqual(t, p.Count(persauthtest.EndpointRefresh), c.calls)
				assert.Equal(t, c.expired == "", s.Status().LastError == "")

				p.Heal()
				healed := time.Now()
				for {
					token, err := s.AccessToken(t.Context())
					if err == nil {
						assert.NotEqual(t, before, token)
						break
					}
					if time.Since(healed) > 10*time.Minute {
						require.Negative(t, c.healed, "the refresh token is lost: %v", err)
						break
					}
					time.Sleep(time.Second)
				}
				if c.healed >= 0 {
					assert.LessOrEqual(t, time.Since(healed), c.healed)
					assert.Empty(t, s.Status().LastError)
					calls := p.Count(persauthtest.EndpointRefresh)
					time.Sleep(14 * time.Minute)
					_, err := s.AccessToken(t.Context())
					require.NoError(t, err)
					synctest.Wait()
					assert.Equal(t, calls+1, p.Count(persauthtest.EndpointRefresh), "the session goes on")
				}
			}, c.options...)
		})
	}
}

// every does something now and then, for so long.
func every(step, long time.Duration, do func()) {
	for end := time.Now().Add(long); time.Now().Before(end); {
		next := time.Now().Add(step)
		do()
		sleepUntil(next)
	}
}

func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }

// A refresh token that is of no use ends the session, and PERS is not asked again:
// the user has to sign in, and then all goes on.
func TestSessionEnds(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, p pers, refreshToken string){
		"expired": func(*testing.T, pers, string) { time.Sleep(25 * time.Hour) },
		"revoked": func(t *testing.T, p pers, refreshToken string) {
			p.Revoke(refreshToken)
			time.Sleep(16 * time.Minute)
		},
		"used by a thief": func(t *testing.T, p pers, refreshToken string) {
			_, err := p.client().Refresh(t.Context(), refreshToken)
			require.NoError(t, err)
			time.Sleep(16 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				store := new(persauthclient.MemoryStore)
				s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
				end(t, p, refreshTokenIn(t, store))
				calls := p.Count(persauthtest.EndpointRefresh)
				for range 100 {
					_, err := s.AccessToken(t.Context())
					require.ErrorIs(t, err, persauthclient.ErrSignIn)
					assert.Contains(t, err.Error(), "sign in again")
					time.Sleep(3 * time.Second)
				}
				assert.Equal(t, calls+1, p.Count(persauthtest.EndpointRefresh), "once is enough to know")

				// Another process signs in.
				p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store = store })
				p.good(t, s)
				require.NoError(t, s.SignOut(t.Context()))
				_, err := s.AccessToken(t.Context())
				require.ErrorIs(t, err, persauthclient.ErrSignIn)
				require.NoError(t, s.SignIn(t.Context(), persauthclient.Request{AuthToken: "x"}))
				p.good(t, s)
			})
		})
	}
}

// A program that can sign in by itself does, once, and not again and again while
// that fails.
func TestSignInBySelf(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		store := new(persauthclient.MemoryStore)
		asked := 0
		var fails error
		s := p.source(t, func(cfg *persauthclient.Config) {
			cfg.Store = store
			cfg.SignIn = func(context.Context) (persauthclient.Request, error) {
				asked++
				return persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthBusiness, Business: "b"}, fails
			}
		})
		p.good(t, s)
		p.good(t, s)
		assert.Equal(t, 1, asked)
		time.Sleep(25 * time.Hour)
		p.good(t, s)
		assert.Equal(t, 2, asked, "the refresh token had expired")

		time.Sleep(25 * time.Hour)
		fails = errors.New("the provider is away")
		for range 100 {
			_, err := s.AccessToken(t.Context())
			require.ErrorIs(t, err, fails)
			require.ErrorIs(t, err, persauthclient.ErrUnavailable)
			time.Sleep(100 * time.Millisecond)
		}
		assert.LessOrEqual(t, asked, 2+6)
		fails = nil
		time.Sleep(6 * time.Second)
		p.good(t, s)
	})
}

// A clock that steps costs a refresh, and no request.
func TestClockSteps(t *testing.T) {
	for name, step := range map[string]time.Duration{"a day ahead": 24 * time.Hour, "a day back": -24 * time.Hour,
		"a minute back": -time.Minute, "ten minutes ahead": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				// Its own clock; PERS' is right.
				var clock persauthtest.Clock
				s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Client.Now = clock.Now })
				v := p.iss.Verifier()
				hour := func() {
					every(5*time.Second, time.Hour, func() {
						token, err := s.AccessToken(t.Context())
						require.NoError(t, err)
						_, err = v.Verify(t.Context(), token)
						require.NoError(t, err)
					})
				}
				hour()
				clock.Advance(step)
				hour()
				clock.Advance(-step)
				hour()
				assert.LessOrEqual(t, p.Count(persauthtest.EndpointRefresh), 3*6+2)
			})
		})
	}
	// Clocks that always differ: each refresh counts from when its answer came.
	for name, skew := range map[string]time.Duration{"an hour ahead": time.Hour, "an hour behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				var clock persauthtest.Clock
				clock.Advance(skew)
				s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Client.Now = clock.Now })
				v := p.iss.Verifier()
				every(5*time.Second, time.Hour, func() {
					token, err := s.AccessToken(t.Context())
					require.NoError(t, err)
					_, err = v.Verify(t.Context(), token)
					require.NoError(t, err)
				})
				assert.InDelta(t, 5, p.Count(persauthtest.EndpointRefresh), 1)
			})
		})
	}
}

// A caller who leaves, or a source that is closed, does not lose the answer.
func TestCancellation(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		store := new(persauthclient.MemoryStore)
		keep := func(cfg *persauthclient.Config) { cfg.Store = store }
		s := p.signedIn(t, keep)
		time.Sleep(16 * time.Minute)
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Slow(time.Minute))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := s.AccessToken(ctx)
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = s.AccessToken(t.Context())
		require.ErrorIs(t, err, persauthclient.ErrUnavailable)
		began := time.Now()
		s.Close()
		assert.Equal(t, 49*time.Second, time.Since(began), "it waits for the answer")
		p.good(t, s)
		time.Sleep(16 * time.Minute)
		_, err = s.AccessToken(t.Context())
		require.ErrorIs(t, err, persauthclient.ErrUnavailable, "closed")
		assert.ErrorIs(t, s.SignIn(t.Context(), persauthclient.Request{AuthToken: "x"}), persauthclient.ErrUnavailable)
		assert.Equal(t, 1, p.Count(persauthtest.EndpointRefresh))

		p.Heal()
		p.good(t, p.source(t, keep)) // the next run of the program
		assert.Equal(t, 2, p.Count(persauthtest.EndpointRefresh))
		assert.Equal(t, 1, p.Count(persauthtest.EndpointToken))
	})
}

// A service that refuses every token makes one refresh in 30 s, for all callers.
func TestRenewIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		s := p.signedIn(t)
		var refused atomic.Int32
		var callers sync.WaitGroup
		for range 100 {
			callers.Go(func() {
				for range 60 {
					authorization, _, err := s.Authorize(t.Context(), "GET", target, "")
					if assert.NoError(t, err) && s.Renew(t.Context(), authorization) != nil {
						refused.Add(1)
					}
					time.Sleep(time.Second)
				}
			})
		}
		callers.Wait()
		assert.LessOrEqual(t, p.Count(persauthtest.EndpointRefresh), 3)
		assert.Positive(t, refused.Load())
		p.Fault(persauthtest.EndpointRefresh, persauthtest.Down)
		time.Sleep(time.Minute)
		authorization, _, err := s.Authorize(t.Context(), "GET", target, "")
		require.NoError(t, err)
		assert.ErrorIs(t, s.Renew(t.Context(), authorization), persauthclient.ErrUnavailable)
		again, _, err := s.Authorize(t.Context(), "GET", target, "")
		require.NoError(t, err)
		assert.Equal(t, authorization, again, "another service may still take it")
	})
}

// An access token that outlives its refresh token is refreshed before that expires.
func TestLongAccessToken(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		p.Fault(persauthtest.EndpointToken, persauthtest.OtherTokens(map[string]any{"exp": time.Now().AddDate(1, 0, 0).Unix()}))
		s := p.signedIn(t)
		every(time.Hour, 17*time.Hour, func() { p.good(t, s) })
		assert.Zero(t, p.Count(persauthtest.EndpointRefresh))
		every(time.Hour, 6*time.Hour, func() { p.good(t, s) })
		assert.Positive(t, p.Count(persauthtest.EndpointRefresh))
	})
}

// With Run a session outlives days without a request.
func TestRun(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		s := p.signedIn(t)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(72 * time.Hour)
		calls := p.Count(persauthtest.EndpointRefresh)
		assert.InDelta(t, 72*5, calls, 40)
		p.good(t, s)
		assert.Equal(t, calls, p.Count(persauthtest.EndpointRefresh), "a request finds a fresh one")
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A verifier sees each token before anybody uses it.
func TestVerifierChecks(t *testing.T) {
	request := persauthclient.Request{AuthToken: "x", AuthType: persauth.AuthBusiness, Business: "b", Tenant: "acme"}
	for name, c := range map[string]struct {
		change func(*persauthclient.Config)
		fault  persauthtest.Fault
		want   error
	}{
		"good":           {change: func(*persauthclient.Config) {}},
		"tenant":         {func(cfg *persauthclient.Config) { cfg.Tenant = "other" }, persauthtest.Fault{}, persauthclient.ErrAnswer},
		"business":       {func(cfg *persauthclient.Config) { cfg.Business = "other" }, persauthtest.Fault{}, persauthclient.ErrAnswer},
		"type":           {func(cfg *persauthclient.Config) { cfg.AuthType = persauth.AuthUser }, persauthtest.Fault{}, persauthclient.ErrAnswer},
		"tenant of PERS": {func(cfg *persauthclient.Config) { cfg.Tenant = "acme" }, persauthtest.ForeignTokens, persauthclient.ErrAnswer},
		"unbound":        {func(cfg *persauthclient.Config) { cfg.BindTo = "ES256" }, persauthtest.UnboundTokens, persauthclient.ErrAnswer},
		"not PERS' key": {func(*persauthclient.Config) {},
			persauthtest.Answer(200, fmt.Sprintf(`{"accessToken":%q}`, persauthtest.NewIssuer(t).UserToken("acme"))), persauthclient.ErrAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p pers) {
				store := new(persauthclient.MemoryStore)
				s := p.source(t, func(cfg *persauthclient.Config) {
					cfg.Verifier, cfg.Store = p.Verifier(), store
					c.change(cfg)
				})
				p.Fault(persauthtest.EndpointToken, c.fault)
				err := s.SignIn(t.Context(), request)
				require.ErrorIs(t, err, c.want)
				kept, storeErr := store.Load(t.Context())
				require.NoError(t, storeErr)
				_, tokenErr := s.AccessToken(t.Context())
				if c.want == nil {
					require.NoError(t, tokenErr)
					return
				}
				assert.Nil(t, kept, "nothing of it is kept")
				assert.ErrorIs(t, tokenErr, persauthclient.ErrSignIn)
			})
		})
	}
	t.Run("the keys are away", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p pers) {
			store := new(persauthclient.MemoryStore)
			v := p.Verifier()
			s := p.signedIn(t, func(cfg *persauthclient.Config) { cfg.Store, cfg.Verifier = store, v })
			before := p.good(t, s)
			p.iss.Retire(p.iss.Rotate()) // signs, and nobody can check it
			p.Fault(persauthtest.EndpointVerify, persauthtest.Down)
			time.Sleep(14 * time.Minute)
			for range 10 {
				token, err := s.AccessToken(t.Context())
				require.NoError(t, err)
				assert.Equal(t, before, token, "the new one is not used before it is checked")
				time.Sleep(time.Second)
			}
			calls := p.Count(persauthtest.EndpointRefresh)
			p.Heal()
			time.Sleep(3 * time.Minute)
			after, err := s.AccessToken(t.Context())
			require.NoError(t, err)
			assert.NotEqual(t, before, after)
			assert.Equal(t, calls, p.Count(persauthtest.EndpointRefresh), "the same one, which can be checked now")
		})
	})
	t.Run("revoked while it was kept", func(t *testing.T) {
		inBubble(t, func(t *testing.T, p pers) {
			store := new(persauthclient.MemoryStore)
			keep := func(cfg *persauthclient.Config) { cfg.Store = store }
			before := p.good(t, p.signedIn(t, keep))
			v := p.Verifier()
			require.NoError(t, v.Revoke(persauth.Revocation{Token: before}))
			s := p.source(t, keep, func(cfg *persauthclient.Config) { cfg.Verifier = v })
			_, err := s.AccessToken(t.Context())
			require.ErrorIs(t, err, persauth.ErrRevoked)
			time.Sleep(5 * time.Second)
			after, err := s.AccessToken(t.Context())
			require.NoError(t, err, "another one is better than none")
			assert.NotEqual(t, before, after)
		})
	})
}

func TestSourceConfig(t *testing.T) {
	inBubble(t, func(t *testing.T, p pers) {
		key, err := persauthclient.GenerateKey("ES256")
		require.NoError(t, err)
		for want, cfg := range map[string]persauthclient.Config{
			"Client is missing": {},
			"ProjectKey":        {Client: new(persauthclient.Client)},
			"https":             {Client: p.client(func(c *persauthclient.Client) { c.BaseURL = "http://pers.test" })},
			"BindTo is neither": {Client: p.client(), BindTo: "RS256"},
			"both BindTo":       {Client: p.client(func(c *persauthclient.Client) { c.Key = key }), BindTo: "ES256"},
			"need a Verifier":   {Client: p.client(), Tenant: "acme"},
			"Timeout":           {Client: p.client(), Timeout: -1},
		} {
			s, err := persauthclient.NewTokenSource(cfg)
			require.Error(t, err, want)
			assert.Nil(t, s)
			assert.Contains(t, err.Error(), want)
		}
	})
}
