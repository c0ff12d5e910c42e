package fleet_test

// The table of docs/fleet.md: what callers of a service see while its store fails,
// how soon that is noticed, and how soon all is well again. Against real servers,
// with verifiers that do all a service does.

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

const serviceURL = "https://api.example.com/orders"

// service is some verifiers, each with a store of its own, and their callers.
type service struct {
	t      testing.TB
	iss    *persauthtest.Issuer
	pers   *persauthtest.Server
	stores []*fleet.Store
	v      []*persauth.Verifier
	client *persauthtest.DPoPClient
	bound  string
}

// quickly is a policy under which faults are noticed soon.
var quickly = persauth.FleetPolicy{MaxLag: time.Second}

func newService(t testing.TB, n int, url string, changes ...func(*fleet.Options)) *service {
	t.Helper()
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	s := &service{t: t, iss: iss, pers: persauthtest.NewServer(t, iss, persauthtest.InMemory())}
	for range n {
		store := open(t, url, append([]func(*fleet.Options){func(o *fleet.Options) { o.Policy = quickly }}, changes...)...)
		s.stores = append(s.stores, store)
		s.v = append(s.v, s.pers.Verifier(func(cfg *persauth.Config) {
			cfg.Fleet, cfg.DPoP.Origin = store, "https://api.example.com"
		}))
	}
	s.client = iss.DPoPClient("ES256")
	s.bound = iss.BoundToken(s.client, map[string]any{"sub": "bound"})
	return s
}

var subjects int

func (s *service) token() string {
	subjects++
	return s.iss.Token(map[string]any{"sub": fmt.Sprint("subject-", subjects)})
}

// callers are what one instance answers to each kind of caller.
type callers struct{ remembered, new, bound error }

func (s *service) callers(i int, remembered string) (c callers) {
	_, c.remembered = s.v[i].Verify(within(s.t, 5*time.Second), remembered)
	_, c.new = s.v[i].Verify(within(s.t, 5*time.Second), s.token())
	c.bound = s.claim(i, s.client.Proof(http.MethodGet, serviceURL, s.bound))
	return c
}

// claim is a request with a bound token and a proof.
func (s *service) claim(i int, proof string) error {
	r := httptest.NewRequestWithContext(within(s.t, 5*time.Second), http.MethodGet, serviceURL, nil)
	r.Header.Set("Authorization", "DPoP "+s.bound)
	r.Header.Set("DPoP", proof)
	_, err := s.v[i].VerifyRequest(r)
	return err
}

// ready waits until all instances know the store, and know that they do.
func (s *service) ready() {
	s.t.Helper()
	for i := range s.v {
		require.NoError(s.t, s.v[i].Warm(within(s.t, 5*time.Second)))
		require.Eventually(s.t, func() bool {
			status := s.v[i].Status().Fleet
			return status.Reachable && !status.RevocationsSeenUntil.IsZero() && !status.Behind
		}, 5*time.Second, 10*time.Millisecond)
	}
}

// until returns how long it took until something held.
func until(t testing.TB, most time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	require.Eventually(t, holds, most, 10*time.Millisecond, what)
	return time.Since(start)
}

// A store that is gone: what is remembered and what is new is accepted, what is
// bound gets 503, and what is revoked meanwhile is told to the others later.
func TestStoreFailures(t *testing.T) {
	for _, c := range []struct {
		name          string
		args          []string
		fail, recover func(srv *server)
	}{
		{"refused", nil, (*server).kill, (*server).run},
		{"black hole", nil, (*server).freeze, (*server).thaw},
		{"read-only replica", nil,
			func(srv *server) { srv.do("REPLICAOF", "127.0.0.1", "1") },
			func(srv *server) { srv.do("REPLICAOF", "NO", "ONE") }},
		{"wrong password", nil,
			func(srv *server) { srv.do("CONFIG", "SET", "requirepass", "new"); srv.dropClients("new") },
			func(srv *server) { srv.withPassword("new", "CONFIG", "SET", "requirepass", "") }},
		{"no permission", nil,
			func(srv *server) { srv.do("ACL", "SETUSER", "default", "-evalsha", "-eval", "-subscribe") },
			func(srv *server) { srv.do("ACL", "SETUSER", "default", "+@all") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := start(t, c.args...)
			s := newService(t, 2, srv.url())
			remembered := s.token()
			s.ready()
			require.Equal(t, callers{}, s.callers(0, remembered))
			require.Equal(t, callers{}, s.callers(1, remembered))

			c.fail(srv)
			noticed := until(t, 5*time.Second, "it is noticed", func() bool { return !s.v[0].Status().Fleet.Reachable })
			begin := time.Now()
			during := s.callers(0, remembered)
			require.Less(t, time.Since(begin), time.Second)
			require.NoError(t, during.remembered)
			require.NoError(t, during.new)
			require.ErrorIs(t, during.bound, persauth.ErrUnavailable)
			revoked := s.token()
			require.ErrorIs(t, s.v[0].Revoke(persauth.Revocation{Token: revoked}), persauth.ErrUnavailable)
			time.Sleep(time.Second) // past MaxLag PERS is asked
			require.True(t, s.v[0].Status().Fleet.Behind)
			_, err := s.v[0].Verify(within(t, 5*time.Second), remembered)
			require.NoError(t, err)

			c.recover(srv)
			well := until(t, 6*time.Second, "it is well again", func() bool {
				return s.callers(0, remembered) == callers{} && !s.v[0].Status().Fleet.Behind
			})
			told := until(t, 5*time.Second, "the others are told", func() bool {
				_, err := s.v[1].Verify(within(t, 5*time.Second), revoked)
				return errors.Is(err, persauth.ErrRevoked)
			})
			t.Logf("noticed after %v, well after %v, what was revoked meanwhile told %v later", noticed.Round(10*time.Millisecond), well.Round(10*time.Millisecond), told.Round(10*time.Millisecond))
		})
	}
}

// A store that forgets: no caller sees it, and what was revoked stays revoked, also
// for an instance that comes later.
func TestStoreForgets(t *testing.T) {
	for name, forget := range map[string]func(srv *server){
		"FLUSHALL":                    func(srv *server) { srv.do("FLUSHALL") },
		"killed, and restarted empty": func(srv *server) { srv.kill(); srv.run() },
		"evicted": func(srv *server) {
			srv.do("CONFIG", "SET", "maxmemory-policy", "allkeys-random")
			srv.do("CONFIG", "SET", "maxmemory", "1")
			_ = srv.admin("SET", "x", "y") // evicts all there is
			srv.do("CONFIG", "SET", "maxmemory", "0")
		},
		"scripts": func(srv *server) { srv.do("SCRIPT", "FLUSH") },
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := newService(t, 2, srv.url())
			remembered, revoked := s.token(), s.token()
			s.ready()
			require.Equal(t, callers{}, s.callers(0, remembered))
			require.NoError(t, s.v[0].Revoke(persauth.Revocation{Token: revoked}))
			told := until(t, 2*time.Second, "the others are told", func() bool {
				_, err := s.v[1].Verify(within(t, 5*time.Second), revoked)
				return errors.Is(err, persauth.ErrRevoked)
			})
			forget(srv)
			for range 10 {
				c := s.callers(1, remembered)
				require.NoError(t, c.remembered)
				require.NoError(t, c.new)
				_, err := s.v[1].Verify(within(t, 5*time.Second), revoked)
				require.ErrorIs(t, err, persauth.ErrRevoked)
			}
			well := until(t, 5*time.Second, "it is well again", func() bool { return s.callers(1, remembered) == callers{} })
			back := until(t, 5*time.Second, "it is put back", func() bool {
				page, err := s.stores[1].ReadLog(within(t, time.Second), "")
				return err == nil && len(page.Entries) == 1
			})
			t.Logf("told after %v; bound tokens well after %v, the log after %v", told.Round(time.Millisecond), well.Round(time.Millisecond), back.Round(time.Millisecond))
		})
	}
}

// 200 ms more for each round trip: only what waits for the store is slower.
func TestStoreIsSlowForAService(t *testing.T) {
	srv := start(t)
	proxy := slowly(t, srv.address(), 200*time.Millisecond)
	s := newService(t, 2, "redis://"+proxy, func(o *fleet.Options) {
		o.Policy = persauth.FleetPolicy{MaxLag: 4 * time.Second, Patience: time.Second}
	})
	s.ready()
	remembered := s.token()
	_, err := s.v[0].Verify(within(t, 5*time.Second), remembered)
	require.NoError(t, err)
	begin := time.Now()
	for range 100 {
		_, err := s.v[0].Verify(within(t, 5*time.Second), remembered)
		require.NoError(t, err)
		_, err = s.v[0].Verify(within(t, 5*time.Second), s.token())
		require.NoError(t, err)
	}
	require.Less(t, time.Since(begin), 200*time.Millisecond)
	require.NoError(t, s.claim(0, s.client.Proof(http.MethodGet, serviceURL, s.bound))) // which also loads the script
	begin = time.Now()
	require.NoError(t, s.claim(0, s.client.Proof(http.MethodGet, serviceURL, s.bound)))
	require.Less(t, time.Since(begin), 400*time.Millisecond, "one round trip")
}

// A failover by Sentinel, in which the last writes are lost.
func TestSentinelFailover(t *testing.T) {
	primary := start(t)
	replica := start(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	sentinel := later(t)
	conf := filepath.Join(sentinel.dir, "sentinel.conf")
	require.NoError(t, os.WriteFile(conf, fmt.Appendf(nil, "port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %d 1\n"+
		"sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 2000\n", sentinel.port, sentinel.dir, primary.port), 0o600))
	sentinel.runWith(conf, "--sentinel")
	require.Eventually(t, func() bool {
		replicas, err := sentinel.admin("SENTINEL", "REPLICAS", "main").ToArray()
		return err == nil && len(replicas) == 1
	}, 20*time.Second, 50*time.Millisecond, "sentinel finds the replica")

	s := newService(t, 2, "redis://"+sentinel.address()+"?master_set=main")
	s.ready()
	kept, lost, remembered := s.token(), s.token(), s.token()
	require.Equal(t, callers{}, s.callers(1, remembered))
	require.NoError(t, s.v[0].Revoke(persauth.Revocation{Token: kept}))
	require.Eventually(t, func() bool { return len(replica.keysLike("*:log")) == 1 }, 5*time.Second, 10*time.Millisecond)
	proof := s.client.Proof(http.MethodGet, serviceURL, s.bound)

	// What is written from here on does not get to the replica.
	primary.do("CONFIG", "SET", "requirepass", "new")
	primary.withPassword("new", "CLIENT", "KILL", "TYPE", "replica")
	require.NoError(t, s.v[0].Revoke(persauth.Revocation{Token: lost}))
	require.NoError(t, s.claim(0, proof))
	primary.kill()
	defer func() {
		if t.Failed() {
			t.Log(sentinel.log.String())
			t.Log(s.v[1].Status().Fleet)
		}
	}()

	well := until(t, 30*time.Second, "it is well again", func() bool {
		time.Sleep(200 * time.Millisecond)
		c := s.callers(1, remembered)
		require.NoError(t, c.remembered)
		require.NoError(t, c.new)
		return c.bound == nil && !s.v[1].Status().Fleet.Behind
	})
	for _, token := range []string{kept, lost} {
		until(t, 5*time.Second, "it is refused", func() bool {
			_, err := s.v[1].Verify(within(t, 5*time.Second), token)
			return errors.Is(err, persauth.ErrRevoked)
		})
	}
	// The price of a failover with loss, as the page says: a proof may be taken a
	// second time.
	require.NoError(t, s.claim(1, proof))
	t.Logf("well after %v", well.Round(10*time.Millisecond))
}
