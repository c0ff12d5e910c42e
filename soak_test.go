package persauth_test

// A fault run in real time: callers, over real sockets, while PERS fails in every
// way, keys rotate, tokens are revoked and services restart. What happens is
// drawn from a seed. soak_model_test.go has what may be answered.

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestSoak runs for PERSAUTH_SOAK, a duration such as "60s"; without it, for 10 s.
// It repeats the draws of an earlier run where PERSAUTH_SEED has its number. It
// goes on past its time until every kind of answer has occurred.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes its time")
	}
	lasts, seed := 10*time.Second, rand.Uint64()
	if text := os.Getenv("PERSAUTH_SOAK"); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	if text := os.Getenv("PERSAUTH_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("PERSAUTH_SEED=%d PERSAUTH_SOAK=%v", seed, lasts)
	before := goleak.IgnoreCurrent()

	s := newSoak(t, seed)
	s.begin()
	s.goOn(lasts, func() bool { return false })
	s.heal(true) // for the last time
	s.goOn(2*time.Minute, func() bool {
		return s.counted("accepted", "accepted remotely", "accepted by keys", "key retired", "revoked", "rejected", "signature", "expired", "not_yet_valid", "unknown_key", "left")
	})
	for start := time.Now(); !s.counted("accepted by grace", "unavailable") && time.Since(start) < 2*time.Minute && !t.Failed(); {
		// Grace is short, and for those that PERS vouched for just now.
		s.heal(true)
		s.forget("accepted")
		s.goOn(time.Minute, func() bool { return s.counted("accepted") })
		s.fail(persauthtest.EndpointAll, persauthtest.Down, true)
		s.goOn(3*time.Second, func() bool { return s.counted("accepted by grace", "unavailable") })
	}
	s.end()

	s.mu.Lock()
	for _, kind := range slices.Sorted(maps.Keys(s.counts)) {
		t.Logf("%9d %s", s.counts[kind], kind)
	}
	s.mu.Unlock()
	require.True(t, s.counted("accepted by grace", "unavailable", "revoked", "key retired"))
	require.Eventually(t, func() bool { return s.connections.Load() == 0 }, time.Minute, 10*time.Millisecond, "connections are left")
	s.server.Close()
	goleak.VerifyNone(t, before)
}

type soak struct {
	t           *testing.T
	iss         *persauthtest.Issuer
	pers        *persauthtest.Server
	server      *httptest.Server
	transport   *http.Transport
	connections atomic.Int64
	current     atomic.Pointer[instance]
	tokens      atomic.Pointer[[]*soakToken]
	stop        chan struct{}
	callers     sync.WaitGroup
	seed        uint64
	offset      atomic.Int64 // how far the services' clock is off

	mu      sync.Mutex
	random  *rand.Rand
	faulty  bool   // PERS has a fault
	lying   bool   // PERS refuses good tokens
	lied    moment // until then it may have
	settled bool   // the test has put PERS in a state, and disturb leaves it
	keys    map[*persauthtest.Key]*soakKey
	counts  map[string]int
	wrongs  int
	// excursions are the times while the services' clock was wrong.
	excursions []excursion
	stood      []excursion // the machine stood still
}

func newSoak(t *testing.T, seed uint64) *soak {
	s := &soak{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), stop: make(chan struct{}),
		keys: make(map[*persauthtest.Key]*soakKey), counts: make(map[string]int)}
	s.iss = persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	s.pers = persauthtest.NewServer(t, s.iss, persauthtest.InMemory()) // the socket is ours
	s.server = httptest.NewUnstartedServer(s.pers)
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.connections.Add(1)
		case http.StateClosed, http.StateHijacked: // those are closed at once
			s.connections.Add(-1)
		}
	}
	s.server.Start()
	t.Cleanup(s.server.Close)
	s.transport = &http.Transport{MaxIdleConnsPerHost: 100}
	s.tokens.Store(new([]*soakToken))
	s.mint(60)
	s.restart()
	return s
}

// restart puts a new instance in the place of the one that runs.
func (s *soak) restart() {
	in := &instance{notes: make(map[*soakToken]*note)}
	with := func(cfg *persauth.Config) {
		cfg.BaseURL, cfg.Now, cfg.Leeway, cfg.Timeout = s.server.URL, s.serviceClock, soakLeeway, soakTimeout
		cfg.HTTPClient = &http.Client{Transport: &witness{s.transport, in}}
		cfg.KeySoftAge, cfg.KeyHardAge, cfg.UnknownKeyInterval = time.Second, soakHard, time.Second
		cfg.RevocationCallsPerHour, cfg.UnknownKeyCallsPerHour = 1e9, 1e9
	}
	in.asking = s.pers.Verifier(with, func(cfg *persauth.Config) {
		cfg.Revocation = persauth.RevocationEvery(soakAge).WithGrace(soakGrace)
	})
	in.trusting = s.pers.Verifier(with, func(cfg *persauth.Config) {
		cfg.Revocation, cfg.UnknownKeyCallsPerHour = persauth.RevocationOff(), persauth.NoCalls
	})
	s.mu.Lock()
	if s.faulty {
		in.troubled.set(soakNow())
	}
	old := s.current.Swap(in)
	s.mu.Unlock()
	if old != nil {
		s.close(old)
	}
}

func (s *soak) close(in *instance) {
	in.closing.set(soakNow())
	in.asking.Close()
	in.trusting.Close()
	if n := in.requests.Load(); n != 0 {
		s.t.Errorf("%d requests are left after Close", n)
	}
}

// begin starts all that goes on at the same time.
func (s *soak) begin() {
	s.callers.Go(s.watchMachine)
	for i := range 6 {
		s.callers.Go(func() { s.call(rand.New(rand.NewPCG(s.seed, uint64(1+i)))) })
	}
	for _, c := range []struct {
		between time.Duration
		what    func()
	}{
		{100 * time.Millisecond, func() { s.mint(2) }},
		{150 * time.Millisecond, s.revoke},
		{1500 * time.Millisecond, s.rotate},
		{3 * time.Second, s.restart},
		{500 * time.Millisecond, s.disturb},
		{1500 * time.Millisecond, s.setClock},
	} {
		s.callers.Go(func() {
			for s.rest(c.between/2 + s.draw(c.between)) {
				c.what()
			}
		})
	}
}

func (s *soak) end() {
	close(s.stop)
	s.callers.Wait()
	s.close(s.current.Load())
	s.transport.CloseIdleConnections()
}

// goOn lets it run for d, or until enough holds.
func (s *soak) goOn(d time.Duration, enough func() bool) {
	for start := time.Now(); time.Since(start) < d && !enough() && s.rest(10*time.Millisecond); {
	}
}

// rest waits, and reports whether the run goes on.
func (s *soak) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return !s.t.Failed()
	case <-s.stop:
		return false
	}
}

func (s *soak) draw(below time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Duration(s.random.Int64N(int64(below)))
}

func (s *soak) forget(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.counts, kind)
}

func (s *soak) counted(kinds ...string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(kinds, func(kind string) bool { return s.counts[kind] == 0 })
}

// call puts tokens to the service until the end.
func (s *soak) call(random *rand.Rand) {
	for s.rest(2 * time.Millisecond) {
		in := s.current.Load()
		v, way := in.asking, []string{"verify", "verify", "verify", "verify", "live", "explain", "trust", "trust"}[random.IntN(8)]
		if way == "trust" {
			v = in.trusting
		}
		asked, status := soakNow(), v.Status()
		for range 4 {
			tokens := *s.tokens.Load()
			token := tokens[random.IntN(len(tokens))]
			n := in.note(token)
			c := soakCall{in: in, way: way, token: token, told: n.told.get() != 0, checked: moment(n.checked.Load())}
			c.holds = token.key != nil && slices.ContainsFunc(status.Keys.Keys, func(k persauth.KeyInfo) bool { return k.KeyID == token.key.id })
			c.loaded = status.Keys.Loaded.Sub(soakBase.Round(0))
			patience := time.Minute
			if random.IntN(50) == 0 {
				patience = time.Duration(random.IntN(int(20 * time.Millisecond)))
			}
			if c.loaded > asked {
				c.loaded = 0 // by a clock that was ahead
			}
			s.judge(&c, v, patience, asked)
		}
	}
}

func (s *soak) judge(c *soakCall, v *persauth.Verifier, patience time.Duration, asked moment) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.start = soakNow()
	switch c.way {
	case "live":
		c.claims, c.err = v.VerifyLive(ctx, c.token.text)
	case "explain":
		report := v.Explain(ctx, c.token.text)
		c.claims, c.err = report.Claims, report.Err
	default:
		c.claims, c.err = v.Verify(ctx, c.token.text)
	}
	c.end, c.left = soakNow(), ctx.Err() != nil
	s.mu.Lock()
	defer s.mu.Unlock()
	c.off, c.lateness = s.clockWasOff(asked, c.end), lateness+s.stoodStill(c.start, c.end)
	c.toldSince = c.told && !s.clockWasOff(c.in.note(c.token).told.get(), c.end)
	if s.clockWasOff(c.checked, c.end) {
		c.checked = 0
	}
	c.learn()
	c.lied = s.lying || s.lied > c.token.minted
	wrong := c.wrong()
	s.counts[c.kindOf()]++
	if wrong != "" && s.wrongs < 5 {
		s.wrongs++
		s.t.Errorf("%s of a %s token under %s, from %v to %v: error %v, wrong: %s (revoked at %v, key retired at %v, forgotten at %v)", c.way, c.token.kind,
			c.token.key.id, c.start, c.end, c.err, wrong, c.token.revoked.done.get(), c.token.key.retired.done.get(), c.token.key.forgotten.done.get())
	}
}

// witness sees every request of an instance, and whether it found an answer.
type witness struct {
	http.RoundTripper
	in *instance
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	w.in.requests.Add(1)
	defer w.in.requests.Add(-1)
	response, err := w.RoundTripper.RoundTrip(r)
	if err != nil || response.StatusCode != http.StatusOK {
		w.in.troubled.set(soakNow())
	}
	if err == nil {
		response.Body = &witnessed{response.Body, w.in}
	}
	return response, err
}

type witnessed struct {
	io.ReadCloser
	in *instance
}

func (b *witnessed) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.in.troubled.set(soakNow())
	}
	return n, err
}
