package persauth_test

// Several instances that share a fleet in memory: what one learns or does counts
// for all, and what each does when the store is away. The store on Valkey or Redis
// has its tests in fleet/.

import (
	"crypto/sha256"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// convoy is n verifiers that share a fleet and a fake PERS.
type convoy struct {
	t     *testing.T
	iss   *persauthtest.Issuer
	pers  *persauthtest.Server
	fleet *persauthtest.Fleet
	v     []*persauth.Verifier
}

func newConvoy(t *testing.T, n int, policy persauth.FleetPolicy, changes ...func(*persauth.Config)) *convoy {
	t.Helper()
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	c := &convoy{t: t, iss: iss, pers: persauthtest.NewServer(t, iss, persauthtest.InMemory()), fleet: persauthtest.NewFleet(t, n)}
	c.fleet.SetPolicy(policy)
	for i := range n {
		c.v = append(c.v, c.verifier(i, changes...))
	}
	return c
}

func (c *convoy) verifier(i int, changes ...func(*persauth.Config)) *persauth.Verifier {
	return c.pers.Verifier(append([]func(*persauth.Config){func(cfg *persauth.Config) { cfg.Fleet = c.fleet.Instance(i) }}, changes...)...)
}

func (c *convoy) token() string { return c.iss.Token(map[string]any{"sub": somebody()}) }

// long is a token that RevocationAuto asks about.
func (c *convoy) long() string {
	return c.iss.Token(map[string]any{"sub": somebody(), "exp": c.iss.Clock().Now().Add(48 * time.Hour).Unix()})
}

// accepts wants the token accepted by instances, or by all.
func (c *convoy) accepts(token string, instances ...int) {
	c.t.Helper()
	for _, i := range c.or(instances) {
		_, err := c.v[i].Verify(c.t.Context(), token)
		require.NoError(c.t, err, "instance %d", i)
	}
}

func (c *convoy) refuses(token string, want error, instances ...int) {
	c.t.Helper()
	for _, i := range c.or(instances) {
		claims, err := c.v[i].Verify(c.t.Context(), token)
		require.ErrorIs(c.t, err, want, "instance %d", i)
		require.Nil(c.t, claims)
	}
}

func (c *convoy) or(instances []int) []int {
	if len(instances) == 0 {
		for i := range c.v {
			instances = append(instances, i)
		}
	}
	return instances
}

// settle lets all instances learn what there is to learn.
func settle() { time.Sleep(5 * time.Second) }

func TestFleetRevocations(t *testing.T) {
	for name, c := range map[string]struct {
		claims map[string]any
		by     func(c *convoy, token string) persauth.Revocation
	}{
		"token":    {nil, func(_ *convoy, token string) persauth.Revocation { return persauth.Revocation{Token: token} }},
		"id":       {map[string]any{"jti": "j"}, func(*convoy, string) persauth.Revocation { return persauth.Revocation{ID: "j"} }},
		"subject":  {map[string]any{"sub": "alice"}, func(*convoy, string) persauth.Revocation { return persauth.Revocation{Subject: "alice"} }},
		"session":  {map[string]any{"sid": "s"}, func(*convoy, string) persauth.Revocation { return persauth.Revocation{Session: "s"} }},
		"business": {map[string]any{"businessId": "b"}, func(*convoy, string) persauth.Revocation { return persauth.Revocation{Business: "b"} }},
		"tenant": {nil, func(*convoy, string) persauth.Revocation {
			return persauth.Revocation{Tenant: persauthtest.DefaultTenant}
		}},
		"key": {nil, func(c *convoy, _ string) persauth.Revocation {
			return persauth.Revocation{KeyID: c.iss.Keys()[0].ID}
		}},
		"issued before": {map[string]any{"sub": "alice"}, func(c *convoy, _ string) persauth.Revocation {
			return persauth.Revocation{Subject: "alice", IssuedBefore: c.iss.Clock().Now().Add(time.Second)}
		}},
	} {
		inBubble(t, name, func(t *testing.T) {
			f := newConvoy(t, 3, persauth.FleetPolicy{})
			token := f.iss.Token(c.claims)
			f.accepts(token)
			settle()
			r := c.by(f, token)
			require.NoError(t, f.v[0].Revoke(r))
			f.refuses(token, persauth.ErrRevoked, 0)
			time.Sleep(100 * time.Millisecond)
			f.refuses(token, persauth.ErrRevoked)

			late := f.pers.Verifier(func(cfg *persauth.Config) { cfg.Fleet = f.fleet.Instance(0) })
			require.NoError(t, late.Warm(t.Context()))
			_, err := late.Verify(t.Context(), token)
			require.ErrorIs(t, err, persauth.ErrRevoked, "an instance that starts later")

			require.NoError(t, f.v[2].Unrevoke(r))
			time.Sleep(100 * time.Millisecond)
			f.accepts(token)
			require.NoError(t, f.v[1].Revoke(r))
			time.Sleep(100 * time.Millisecond)
			f.refuses(token, persauth.ErrRevoked)
		})
	}
	inBubble(t, "taken back whatever the time", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.iss.Token(map[string]any{"sub": "alice"})
		f.accepts(token)
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Subject: "alice", IssuedBefore: time.Now().Add(time.Minute)}))
		settle()
		require.NoError(t, f.v[1].Unrevoke(persauth.Revocation{Subject: "alice"}))
		settle()
		f.accepts(token)
		late := f.verifier(0)
		require.NoError(t, late.Warm(t.Context()))
		_, err := late.Verify(t.Context(), token)
		require.NoError(t, err)
	})
}

// A narrower revocation that a wider one covered counts again when that is taken back.
func TestFleetNarrowerRevocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		older := f.iss.Token(map[string]any{"sub": "alice"})
		time.Sleep(time.Minute)
		newer := f.iss.Token(map[string]any{"sub": "alice"})
		f.accepts(older)
		f.accepts(newer)
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Subject: "alice", IssuedBefore: time.Now().Add(-time.Second)}))
		settle()
		f.refuses(older, persauth.ErrRevoked)
		f.accepts(newer)
		wider := persauth.Revocation{Subject: "alice", IssuedBefore: time.Now().Add(time.Hour)}
		require.NoError(t, f.v[1].Revoke(wider))
		settle()
		f.refuses(newer, persauth.ErrRevoked)
		require.NoError(t, f.v[0].Unrevoke(wider))
		settle()
		f.refuses(older, persauth.ErrRevoked)
		f.accepts(newer)
	})
}

// What was revoked while an instance was cut off is refused there, or nothing is
// accepted there, from MaxLag on.
func TestFleetBehind(t *testing.T) {
	inBubble(t, "refuses", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{WhenBehind: persauth.BehindRefuses})
		token, revoked := f.token(), f.token()
		f.accepts(token)
		f.accepts(revoked)
		settle()
		f.fleet.Partition(1)
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Token: revoked}))
		time.Sleep(10 * time.Second)
		f.refuses(revoked, persauth.ErrUnavailable, 1)
		f.refuses(token, persauth.ErrUnavailable, 1)
		f.refuses(f.token(), persauth.ErrUnavailable, 1)
		f.refuses(f.iss.ForgedToken(), persauth.ErrSignature, 1)
		status := f.v[1].Status().Fleet
		require.True(t, status.Behind)
		require.False(t, status.Reachable)
		require.GreaterOrEqual(t, status.LagSeconds, 10.0)
		f.accepts(token, 0)
		f.fleet.Heal()
		settle()
		f.refuses(revoked, persauth.ErrRevoked)
		f.accepts(token)
		require.False(t, f.v[1].Status().Fleet.Behind)
	})
	inBubble(t, "asks PERS", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.token()
		f.accepts(token)
		settle()
		require.Zero(t, f.pers.Count(persauthtest.EndpointVerify))
		f.fleet.Partition(1)
		time.Sleep(10 * time.Second)
		f.accepts(token, 1)
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointVerify))
		f.accepts(token, 1)
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointVerify), "not for each request")
		f.pers.Revoke(token)
		time.Sleep(6 * time.Minute)
		f.refuses(token, persauth.ErrRevoked, 1)
		f.fleet.Heal()
		settle()
	})
	inBubble(t, "accepts", func(t *testing.T) {
		f := newConvoy(t, 1, persauth.FleetPolicy{WhenBehind: persauth.InsecureBehindAccepts})
		token := f.token()
		f.accepts(token)
		f.fleet.SetDown(true)
		time.Sleep(10 * time.Minute)
		f.accepts(token)
		f.accepts(f.token())
		require.Zero(t, f.pers.Count(persauthtest.EndpointVerify))
		require.GreaterOrEqual(t, f.v[0].Status().Fleet.LagSeconds, 500.0)
	})
	inBubble(t, "has nobody to ask", func(t *testing.T) {
		f := newConvoy(t, 1, persauth.FleetPolicy{})
		v := f.iss.Verifier(func(cfg *persauth.Config) { cfg.Fleet = f.fleet.Instance(0) })
		token := f.token()
		_, err := v.Verify(t.Context(), token)
		require.NoError(t, err)
		f.fleet.SetDown(true)
		time.Sleep(10 * time.Second)
		_, err = v.Verify(t.Context(), token)
		require.ErrorIs(t, err, persauth.ErrUnavailable)
	})
}

func TestFleetStoreIsDownAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{WhenBehind: persauth.BehindRefuses})
		f.fleet.SetDown(true)
		require.NoError(t, f.v[0].Warm(t.Context()))
		start := time.Now()
		f.accepts(f.token())
		require.Zero(t, time.Since(start), "nobody waits")
		require.Zero(t, f.v[0].Status().Fleet.Members)
		f.fleet.SetDown(false)
		settle()
		require.Equal(t, 2, f.v[0].Status().Fleet.Members)
		require.WithinDuration(t, time.Now(), f.v[0].Status().Fleet.RevocationsSeenUntil, 2*time.Second)
	})
}

// Whoever revokes is told when the others do not know it, and they learn of it as
// soon as they can.
func TestFleetRevokeWithoutTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.token()
		f.accepts(token)
		settle()
		f.fleet.SetDown(true)
		err := f.v[0].Revoke(persauth.Revocation{Token: token})
		require.ErrorIs(t, err, persauth.ErrUnavailable)
		require.NotContains(t, err.Error(), token)
		require.Equal(t, 1, f.v[0].Status().Fleet.Unpublished)
		f.refuses(token, persauth.ErrRevoked, 0)
		f.accepts(token, 1)
		f.fleet.SetDown(false)
		settle()
		require.Zero(t, f.v[0].Status().Fleet.Unpublished)
		f.refuses(token, persauth.ErrRevoked)
	})
}

// What the store loses, those put back who know it: also for instances that come
// later.
func TestFleetPutsBackWhatTheStoreLost(t *testing.T) {
	for name, lose := range map[string]func(f *convoy){
		"restarted empty":       func(f *convoy) { f.fleet.Flush() },
		"failover with loss":    func(f *convoy) { f.fleet.Failover(time.Minute) },
		"empty, then partition": func(f *convoy) { f.fleet.Flush(); f.fleet.Partition(1); settle(); f.fleet.Heal() },
	} {
		inBubble(t, name, func(t *testing.T) {
			f := newConvoy(t, 3, persauth.FleetPolicy{})
			token := f.token()
			f.accepts(token)
			settle()
			require.NoError(t, f.v[0].Revoke(persauth.Revocation{Token: token}))
			settle()
			lose(f)
			f.refuses(token, persauth.ErrRevoked)
			settle()
			late := f.verifier(0)
			require.NoError(t, late.Warm(t.Context()))
			_, err := late.Verify(t.Context(), token)
			require.ErrorIs(t, err, persauth.ErrRevoked)
		})
	}
	inBubble(t, "before anybody read it", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.token()
		f.accepts(token)
		settle()
		f.fleet.Partition(1)
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Token: token}))
		f.fleet.Failover(time.Second)
		f.fleet.Heal()
		time.Sleep(10 * time.Second)
		f.refuses(token, persauth.ErrRevoked)
	})
}

func TestFleetAsksPERSOnceForAll(t *testing.T) {
	inBubble(t, "a token that may be revoked", func(t *testing.T) {
		f := newConvoy(t, 5, persauth.FleetPolicy{})
		token := f.long()
		f.pers.Fault(persauthtest.EndpointVerify, persauthtest.Slow(300*time.Millisecond))
		results := make(chan error)
		for i := range f.v {
			go func() { _, err := f.v[i].Verify(t.Context(), token); results <- err }()
		}
		for range f.v {
			require.NoError(t, <-results)
		}
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointVerify))
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointKeys))
	})
	inBubble(t, "an unknown key", func(t *testing.T) {
		f := newConvoy(t, 3, persauth.FleetPolicy{})
		token := f.iss.UnpublishedToken(map[string]any{"sub": "alice"})
		f.accepts(token)
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointVerify))
	})
	inBubble(t, "a refusal", func(t *testing.T) {
		f := newConvoy(t, 3, persauth.FleetPolicy{})
		token := f.long()
		f.pers.Revoke(token)
		f.refuses(token, persauth.ErrRevoked)
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointVerify))
	})
	inBubble(t, "the one who asks finds no answer", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		f.accepts(f.token())
		token := f.long()
		f.pers.Fault(persauthtest.EndpointVerify, persauthtest.Hanging.Times(1))
		go func() { _, _ = f.v[0].Verify(t.Context(), token) }()
		time.Sleep(10 * time.Millisecond)
		start := time.Now()
		f.accepts(token, 1)
		require.LessOrEqual(t, time.Since(start), 3*time.Second)
		time.Sleep(10 * time.Second)
	})
	inBubble(t, "an older answer does not take the place of a refusal", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.long()
		f.accepts(token, 0)
		f.pers.Revoke(token)
		_, err := f.v[1].VerifyLive(t.Context(), token)
		require.ErrorIs(t, err, persauth.ErrRevoked)
		time.Sleep(31 * time.Second)
		f.refuses(token, persauth.ErrRevoked, 1)
	})
	inBubble(t, "asked live", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.long()
		f.accepts(token)
		_, err := f.v[1].VerifyLive(t.Context(), token)
		require.NoError(t, err)
		require.Equal(t, 2, f.pers.Count(persauthtest.EndpointVerify), "what is asked for now is asked now")
	})
}

func TestFleetKeysAreFetchedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 10, persauth.FleetPolicy{})
		f.accepts(f.token())
		require.Equal(t, 1, f.pers.Count(persauthtest.EndpointKeys))
		time.Sleep(time.Minute)
		f.iss.Rotate()
		f.accepts(f.token())
		require.LessOrEqual(t, f.pers.Count(persauthtest.EndpointKeys), 3)
		require.Zero(t, f.pers.Count(persauthtest.EndpointVerify), "the new key was found")
		for range 12 {
			time.Sleep(time.Hour / 12)
			f.accepts(f.token())
		}
		require.LessOrEqual(t, f.pers.Count(persauthtest.EndpointKeys), 12)
	})
}

// A key that left does not come back by an older set that somebody shared.
func TestFleetKeyThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{}, func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = persauth.NoCalls })
		old := f.iss.Keys()[0]
		token := f.iss.Token(map[string]any{"exp": f.iss.Clock().Now().Add(50 * time.Minute).Unix()})
		f.accepts(token)
		f.iss.Rotate()
		f.iss.Forget(old)
		time.Sleep(16 * time.Minute)
		for range 3 { // the first one starts the refresh
			_, _ = f.v[0].Verify(t.Context(), token)
			_, _ = f.v[1].Verify(t.Context(), token)
			settle()
		}
		f.refuses(token, persauth.ErrUnknownKey)
		time.Sleep(time.Minute)
		f.refuses(token, persauth.ErrUnknownKey)
	})
}

func TestFleetBudget(t *testing.T) {
	calls := func(f *convoy) int { return f.pers.Count(persauthtest.EndpointVerify) }
	// flood has strangers with unknown keys come to every instance for an hour.
	flood := func(f *convoy, d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
			for _, v := range f.v {
				for range 2 {
					_, _ = v.Verify(f.t.Context(), f.iss.UnpublishedToken(map[string]any{"sub": somebody()}))
				}
			}
		}
	}
	few := func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 600 }
	inBubble(t, "shared", func(t *testing.T) {
		f := newConvoy(t, 4, persauth.FleetPolicy{}, few)
		flood(f, 20*time.Minute)
		require.LessOrEqual(t, calls(f), 200+10)
		require.GreaterOrEqual(t, calls(f), 190)
		require.LessOrEqual(t, f.pers.Count(persauthtest.EndpointKeys), 400/3+6)
		f.accepts(f.long(), 0)
	})
	inBubble(t, "alone", func(t *testing.T) {
		f := newConvoy(t, 4, persauth.FleetPolicy{}, few)
		f.accepts(f.token())
		settle()
		f.fleet.SetDown(true)
		before := calls(f)
		flood(f, 20*time.Minute)
		require.LessOrEqual(t, calls(f)-before, 200+10)
		require.GreaterOrEqual(t, calls(f)-before, 100)
	})
	inBubble(t, "half of them alone", func(t *testing.T) {
		f := newConvoy(t, 4, persauth.FleetPolicy{}, few)
		f.accepts(f.token())
		settle()
		f.fleet.Partition(0, 1)
		before := calls(f)
		flood(f, 20*time.Minute)
		require.LessOrEqual(t, calls(f)-before, 200+10+6, "until it is noticed, those who are left have all")
	})
}

// One instance is told to pause, and none calls.
func TestFleetPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 3, persauth.FleetPolicy{})
		f.accepts(f.long())
		f.pers.Fault(persauthtest.EndpointVerify, persauthtest.TooManyRequests(time.Minute).Times(1))
		f.refuses(f.long(), persauth.ErrUnavailable, 0)
		time.Sleep(time.Second)
		before := f.pers.Count(persauthtest.EndpointVerify)
		f.refuses(f.long(), persauth.ErrUnavailable)
		require.Equal(t, before, f.pers.Count(persauthtest.EndpointVerify))
		time.Sleep(time.Minute)
		f.accepts(f.long())
	})
}

func TestFleetProofs(t *testing.T) {
	bound := func(f *convoy) (token string, present func(i int, proof string) error, proof func() string) {
		client := f.iss.DPoPClient("ES256")
		token = f.iss.BoundToken(client, map[string]any{"sub": "alice"})
		const url = "https://api.example.com/x"
		return token, func(i int, proof string) error {
				r := httptest.NewRequest("GET", url, nil)
				r.Header.Set("Authorization", "DPoP "+token)
				r.Header.Set("DPoP", proof)
				_, err := f.v[i].VerifyRequest(r)
				return err
			}, func() string {
				return client.Proof("GET", url, token)
			}
	}
	origin := func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://api.example.com" }
	inBubble(t, "once between all", func(t *testing.T) {
		f := newConvoy(t, 3, persauth.FleetPolicy{}, origin)
		_, present, proof := bound(f)
		p := proof()
		require.NoError(t, present(0, p))
		for i := range f.v {
			require.ErrorIs(t, present(i, p), persauth.ErrReplay)
		}
		require.NoError(t, present(1, proof()))
	})
	inBubble(t, "the store is away", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{}, origin)
		_, present, proof := bound(f)
		require.NoError(t, present(0, proof()))
		f.fleet.Partition(0)
		start := time.Now()
		require.ErrorIs(t, present(0, proof()), persauth.ErrUnavailable)
		require.LessOrEqual(t, time.Since(start), 250*time.Millisecond)
		require.NoError(t, present(1, proof()))
	})
	inBubble(t, "the store is away, and the memory counts", func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{LocalProofs: true}, origin)
		_, present, proof := bound(f)
		require.NoError(t, present(0, proof()))
		f.fleet.SetDown(true)
		settle()
		p := proof()
		require.NoError(t, present(0, p))
		require.ErrorIs(t, present(0, p), persauth.ErrReplay)
		f.fleet.SetDown(false)
		settle()
		require.ErrorIs(t, present(0, p), persauth.ErrReplay, "the store does not know it, and the instance does")
	})
}

func TestFleetPolicyIsChecked(t *testing.T) {
	fleet := persauthtest.NewFleet(t, 1)
	for name, p := range map[string]persauth.FleetPolicy{
		"MaxLag":       {MaxLag: time.Millisecond},
		"a long one":   {MaxLag: time.Hour},
		"WhenBehind":   {WhenBehind: 7},
		"too many":     {CallsPerHour: 10_000},
		"too few":      {CallsPerHour: 1},
		"Instances":    {Instances: -1},
		"patience":     {Patience: time.Minute},
		"less of that": {Patience: -1},
	} {
		t.Run(name, func(t *testing.T) {
			fleet.SetPolicy(p)
			_, err := persauth.New(persauth.Config{ProjectKey: persauthtest.NewServer(t, persauthtest.NewIssuer(t)).ProjectKey(), Fleet: fleet.Instance(0)})
			require.ErrorContains(t, err, "Fleet")
		})
	}
}

// A remembered token costs no more, and nothing is waited for.
func TestFleetRememberedToken(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	fleet := persauthtest.NewFleet(t, 1)
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.Fleet = fleet.Instance(0) })
	token := iss.Token(nil)
	_, err := v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NoError(t, v.Warm(t.Context()))
	fleet.SetDelay(time.Hour)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}))
	fleet.SetDelay(0)
}

func TestFleetEntriesAreRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 1, persauth.FleetPolicy{})
		token := f.token()
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Token: token}))
		require.NoError(t, f.v[0].Revoke(persauth.Revocation{Subject: "alice", Tenant: "acme"}))
		require.NoError(t, f.v[0].Unrevoke(persauth.Revocation{Subject: "alice", Tenant: "acme"}))
		page, err := f.fleet.Instance(0).ReadLog(t.Context(), "")
		require.NoError(t, err)
		require.Len(t, page.Entries, 3)
		names, err := page.Entries[0].Names()
		require.NoError(t, err)
		require.Equal(t, persauth.FleetNames{Revoked: true, Token: true}, names)
		require.NotContains(t, string(page.Entries[0].Body), token[:20])
		names, err = page.Entries[2].Names()
		require.NoError(t, err)
		require.Equal(t, persauth.FleetNames{Subject: "alice", Tenant: "acme"}, names)
		_, err = persauth.LogEntry{Key: sha256.Sum256(nil), Body: []byte("{")}.Names()
		require.Error(t, err)
	})
}

// An operator's program revokes without verifying anything.
func TestRevokeInFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newConvoy(t, 2, persauth.FleetPolicy{})
		token := f.iss.Token(map[string]any{"sub": "alice"})
		f.accepts(token)
		settle()
		for _, r := range []persauth.Revocation{{Token: token}, {Subject: "alice"}, {Subject: "alice", IssuedBefore: time.Now().Add(time.Second)}} {
			require.NoError(t, persauth.RevokeInFleet(t.Context(), f.fleet.Instance(0), r))
			time.Sleep(100 * time.Millisecond)
			f.refuses(token, persauth.ErrRevoked)
			require.NoError(t, persauth.UnrevokeInFleet(t.Context(), f.fleet.Instance(1), r))
			time.Sleep(100 * time.Millisecond)
			f.accepts(token)
		}
		require.Error(t, persauth.RevokeInFleet(t.Context(), f.fleet.Instance(0), persauth.Revocation{}))
		page, err := f.fleet.Instance(0).ReadLog(t.Context(), "")
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(15*time.Minute), page.Entries[0].Until, time.Minute, "no longer than the token lives")
		f.fleet.SetDown(true)
		require.ErrorIs(t, persauth.RevokeInFleet(t.Context(), f.fleet.Instance(0), persauth.Revocation{Subject: "bob"}), persauth.ErrUnavailable)
	})
}
