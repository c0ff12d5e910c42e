package fleet_test

// A store that is away, slow, or refuses: each call fails in time, and works again
// soon after the store does.

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/stretchr/testify/require"
)

// each are the calls that a request may wait for.
func each(t testing.TB, s *fleet.Store, patience time.Duration) map[string]error {
	t.Helper()
	errs := make(map[string]error)
	for name, call := range map[string]func() error{
		"read":    func() error { _, err := s.ReadLog(within(t, patience), ""); return err },
		"publish": func() error { _, err := s.Publish(within(t, patience), []persauth.LogEntry{entry("x")}); return err },
		"lease": func() error {
			_, err := s.Lease(within(t, patience), persauth.LeaseRequest{Purpose: persauth.CallKeys, Want: 1, PerHour: 60, Total: 60})
			return err
		},
		"look": func() error {
			_, err := s.Look(within(t, patience), verdictName("x"), persauth.LookRequest{Hold: time.Second})
			return err
		},
		"claim": func() error {
			_, err := s.Claim(within(t, patience), persauth.UsedProof{Until: time.Now().Add(time.Minute)})
			return err
		},
	} {
		start := time.Now()
		errs[name] = call()
		require.Less(t, time.Since(start), patience+200*time.Millisecond, name)
	}
	return errs
}

func allFail(t testing.TB, s *fleet.Store) {
	t.Helper()
	for name, err := range each(t, s, 150*time.Millisecond) {
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "open-sesame")
	}
}

// allWork waits until they do.
func allWork(t testing.TB, s *fleet.Store, soon time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, err := range each(t, s, 300*time.Millisecond) {
			if err != nil {
				return false
			}
		}
		return true
	}, soon, 20*time.Millisecond)
}

func TestStoreIsDownAtStart(t *testing.T) {
	srv := later(t)
	s := srv.open()
	allFail(t, s)
	srv.run()
	allWork(t, s, 2*time.Second)
}

func TestStoreIsRestartedEmpty(t *testing.T) {
	srv := start(t)
	s := srv.open()
	r := reader{t: t, s: s}
	publish(t, s, "a")
	r.read()
	srv.kill()
	allFail(t, s)
	srv.run()
	allWork(t, s, 2*time.Second)
	require.NotContains(t, r.read(), "a")
	require.True(t, r.whole)
}

func TestStoreIsABlackHole(t *testing.T) {
	srv := start(t)
	s := srv.open()
	allWork(t, s, time.Second)
	srv.freeze()
	allFail(t, s)
	time.Sleep(3 * time.Second) // longer than a connection may be silent
	allFail(t, s)
	srv.thaw()
	allWork(t, s, 3*time.Second)
}

func TestStoreIsSlow(t *testing.T) {
	srv := start(t)
	proxy := slowly(t, srv.address(), 200*time.Millisecond)
	s := open(t, "redis://"+proxy)
	require.Eventually(t, func() bool { _, err := s.ReadLog(within(t, 5*time.Second), ""); return err == nil }, 10*time.Second, time.Millisecond)
	allFail(t, s)
	for name, err := range each(t, s, 2*time.Second) {
		require.NoError(t, err, name)
	}
}

func TestStoreIsAReadOnlyReplica(t *testing.T) {
	primary := start(t)
	replica := start(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(primary.port))
	s := replica.open()
	require.Eventually(t, func() bool { return replica.admin("DBSIZE").Error() == nil }, 5*time.Second, 10*time.Millisecond)
	allFail(t, s)
	replica.do("REPLICAOF", "NO", "ONE")
	allWork(t, s, 2*time.Second)
}

func TestStoreForgetsScripts(t *testing.T) {
	srv := start(t)
	s := srv.open()
	allWork(t, s, time.Second)
	srv.do("SCRIPT", "FLUSH")
	for name, err := range each(t, s, time.Second) {
		require.NoError(t, err, name)
	}
}

func TestStoreRefusesTheUser(t *testing.T) {
	srv := start(t)
	srv.do("ACL", "SETUSER", "weak", "on", ">open-sesame", "~*", "&*", "+ping", "+hello", "+client", "+select")
	srv.do("ACL", "SETUSER", "enough", "on", ">open-sesame", "~persauth:*", "&persauth:*", "+ping", "+hello",
		"+evalsha", "+eval", "+get", "+set", "+del", "+pttl", "+pexpire", "+time", "+publish", "+subscribe", "+unsubscribe",
		"+hget", "+hset", "+hmget", "+hdel", "+hgetall", "+hincrby", "+incr",
		"+zadd", "+zcount", "+zcard", "+zrem", "+zrange", "+zremrangebyscore", "+xadd", "+xrange", "+xrevrange", "+xtrim")
	address := srv.address()
	allFail(t, open(t, "redis://weak:open-sesame@"+address))
	allFail(t, open(t, "redis://weak:wrong@"+address))
	enough := open(t, "redis://enough:open-sesame@"+address)
	allWork(t, enough, time.Second)
	_, err := enough.Inspect(within(t, time.Second))
	require.NoError(t, err)
	require.NoError(t, enough.Leave(within(t, time.Second)))
	require.NoError(t, enough.Pause(within(t, time.Second), time.Second))
}

// Memory that is full stops what writes. What was revoked can still be read.
func TestStoreIsFull(t *testing.T) {
	srv := start(t, "--maxmemory-policy", "noeviction")
	s := srv.open()
	publish(t, s, "a")
	r := reader{t: t, s: srv.open()}
	r.read()
	publish(t, s, "b")
	srv.do("CONFIG", "SET", "maxmemory", "1")
	errs := each(t, s, time.Second)
	require.Error(t, errs["publish"])
	require.Error(t, errs["claim"])
	require.Error(t, errs["lease"])
	require.Equal(t, []string{"b"}, r.read())
	srv.do("CONFIG", "SET", "maxmemory", "0")
	allWork(t, s, time.Second)
}

// A clock that is set forth grants a minute's worth at once, one that is set back
// closes nothing: shown with the stored times moved the other way.
func TestStoreClockJumps(t *testing.T) {
	srv := start(t)
	s := srv.open()
	ask := persauth.LeaseRequest{Purpose: persauth.CallRevocation, Want: 1000, PerHour: 36000, Total: 36000}
	take := func() persauth.Lease {
		lease, err := s.Lease(within(t, time.Second), ask)
		require.NoError(t, err)
		return lease
	}
	require.Equal(t, 600, take().Calls)
	budget := srv.keysLike("*:budget")[0]
	ahead := fmt.Sprint(time.Now().Add(time.Hour).UnixMicro())
	srv.do("HSET", budget, "total", ahead, "share:revocation", ahead)
	lease := take()
	require.LessOrEqual(t, lease.Calls, 1)
	require.LessOrEqual(t, lease.Wait, 200*time.Millisecond, "not an hour")
	srv.do("HSET", budget, "total", "1", "share:revocation", "1")
	require.Equal(t, 600, take().Calls, "no more than at once")
}

func TestInspect(t *testing.T) {
	srv := start(t)
	s := srv.open()
	empty, err := s.Inspect(within(t, time.Second))
	require.NoError(t, err)
	require.Empty(t, empty.Members)
	(&reader{t: t, s: s}).read()
	publish(t, s, "a", "b")
	lease, err := s.Lease(within(t, time.Second), persauth.LeaseRequest{Purpose: persauth.CallKeys, Want: 3, PerHour: 600, Total: 6000})
	require.NoError(t, err)
	require.Equal(t, 3, lease.Calls)
	require.NoError(t, s.Pause(within(t, time.Second), time.Minute))
	got, err := s.Inspect(within(t, time.Second))
	require.NoError(t, err)
	require.Len(t, got.Members, 1)
	require.WithinDuration(t, got.Now, got.Members[0].Seen, time.Second)
	require.Equal(t, 3, got.Granted)
	require.InDelta(t, time.Minute, got.Paused, float64(time.Second))
	require.Equal(t, uint64(2), got.Entries)
	require.Len(t, got.Latest, 2)
	require.Equal(t, "b", string(got.Latest[0].Body))
}

func TestWatch(t *testing.T) {
	srv := start(t)
	watcher, other := srv.open(), srv.open()
	notices := make(chan persauth.FleetNotice, 10)
	done := make(chan error, 1)
	ctx := within(t, time.Minute)
	go func() { done <- watcher.Watch(ctx, func(n persauth.FleetNotice) { notices <- n }) }()
	require.Eventually(t, func() bool {
		n, err := srv.admin("PUBSUB", "NUMPAT").AsInt64()
		channels, err2 := srv.admin("PUBSUB", "CHANNELS").AsStrSlice()
		return err == nil && err2 == nil && n+int64(len(channels)) > 0
	}, 5*time.Second, 10*time.Millisecond)
	srv.do("PUBLISH", func() string { c, _ := srv.admin("PUBSUB", "CHANNELS").AsStrSlice(); return c[0] }(), "forged")
	publish(t, other, "a")
	require.Equal(t, persauth.FleetPublished, (<-notices).Kind)
	share(t, other, verdictName("a"), "x", time.Minute)
	require.Equal(t, persauth.FleetNotice{Kind: persauth.FleetAnswered, Name: verdictName("a")}, <-notices)
	require.NoError(t, other.Pause(within(t, time.Second), time.Second))
	require.Equal(t, persauth.FleetPaused, (<-notices).Kind)
	srv.kill()
	select {
	case err := <-done:
		require.Error(t, err)
	case <-time.After(5 * time.Second):
		t.Fatal("it does not notice that the connection broke")
	}
}
