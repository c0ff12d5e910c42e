package fleet_test

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/stretchr/testify/require"
)

func entry(name string, changes ...func(*persauth.LogEntry)) persauth.LogEntry {
	e := persauth.LogEntry{Key: sha256.Sum256([]byte(name)), Until: time.Now().Add(time.Hour), Body: []byte(name)}
	for _, change := range changes {
		change(&e)
	}
	return e
}

// reader is a place in the log.
type reader struct {
	t     testing.TB
	s     *fleet.Store
	at    persauth.LogPosition
	whole bool // the last page was the whole log
}

func (r *reader) read() (names []string) {
	r.t.Helper()
	page, err := r.s.ReadLog(within(r.t, 5*time.Second), r.at)
	require.NoError(r.t, err)
	r.at, r.whole = page.Position, page.Whole
	for _, e := range page.Entries {
		names = append(names, string(e.Body))
	}
	return names
}

func publish(t testing.TB, s *fleet.Store, names ...string) {
	t.Helper()
	for _, name := range names {
		_, err := s.Publish(within(t, 5*time.Second), []persauth.LogEntry{entry(name)})
		require.NoError(t, err)
	}
}

func TestOptions(t *testing.T) {
	good := fleet.Options{URL: "redis://127.0.0.1:1", Secret: secret}
	for name, c := range map[string]struct {
		change func(*fleet.Options)
		good   bool
	}{
		"as it should be":       {func(o *fleet.Options) {}, true},
		"no secret":             {func(o *fleet.Options) { o.Secret = nil }, false},
		"a short secret":        {func(o *fleet.Options) { o.Secret = secret[:31] }, false},
		"a short other secret":  {func(o *fleet.Options) { o.OldSecret = []byte("x") }, false},
		"two changes at once":   {func(o *fleet.Options) { o.OldSecret, o.NextSecret = secret, secret }, false},
		"a short name secret":   {func(o *fleet.Options) { o.NameSecret = []byte("x") }, false},
		"no address":            {func(o *fleet.Options) { o.URL = "" }, false},
		"an address of no kind": {func(o *fleet.Options) { o.URL = "127.0.0.1:6379" }, false},
		"another kind":          {func(o *fleet.Options) { o.URL = "http://127.0.0.1:6379" }, false},
		"cluster and sentinel":  {func(o *fleet.Options) { o.URL, o.Cluster = "redis://127.0.0.1:1?master_set=m", true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			s, err := fleet.Open(o)
			if c.good {
				require.NoError(t, err)
				s.Close()
				return
			}
			require.Error(t, err)
			require.Nil(t, s)
			require.NotContains(t, err.Error(), string(secret[:31]))
		})
	}
}

func TestLogIsReadInOrder(t *testing.T) {
	srv := start(t)
	writer, r := srv.open(), reader{t: t, s: srv.open()}
	require.Empty(t, r.read())
	require.True(t, r.whole)
	publish(t, writer, "a", "b")
	require.Equal(t, []string{"a", "b"}, r.read())
	require.False(t, r.whole)
	require.Empty(t, r.read())
	publish(t, writer, "c")
	require.Equal(t, []string{"c"}, r.read())
	fresh := reader{t: t, s: srv.open()}
	require.Equal(t, []string{"a", "b", "c"}, fresh.read())
	require.True(t, fresh.whole)
}

func TestLogWithManyWriters(t *testing.T) {
	srv := start(t)
	var writers sync.WaitGroup
	for w := range 8 {
		s := srv.open()
		writers.Go(func() {
			for i := range 20 {
				for { // contention may exhaust the tries of one call
					if _, err := s.Publish(within(t, 5*time.Second), []persauth.LogEntry{entry(fmt.Sprint(w, "-", i))}); err == nil {
						break
					}
				}
			}
		})
	}
	writers.Wait()
	r := reader{t: t, s: srv.open()}
	names := r.read()
	require.Len(t, names, 160)
	slices.Sort(names)
	require.Len(t, slices.Compact(names), 160)
}

func TestLogLongerThanAPage(t *testing.T) {
	srv := start(t)
	s := srv.open()
	var all []persauth.LogEntry
	for i := range 2500 {
		all = append(all, entry(fmt.Sprint(i)))
	}
	_, err := s.Publish(within(t, 5*time.Second), all)
	require.NoError(t, err)
	r := reader{t: t, s: srv.open()}
	require.Len(t, r.read(), 2500)
	require.Empty(t, r.read())
}

func TestLogIsTrimmed(t *testing.T) {
	srv := start(t)
	s := srv.open()
	ended := func(e *persauth.LogEntry) { e.Until = time.Now().Add(-2 * time.Minute) }
	for i := range 20 {
		_, err := s.Publish(within(t, time.Second), []persauth.LogEntry{entry(fmt.Sprint(i), ended)})
		require.NoError(t, err)
	}
	old := reader{t: t, s: srv.open()}
	old.read()
	publish(t, s, "stays")
	n, err := srv.admin("XLEN", srv.keysLike("*:log")[0]).AsInt64()
	require.NoError(t, err)
	require.LessOrEqual(t, n, int64(9))
	require.Equal(t, []string{"stays"}, old.read(), "who has read what was trimmed goes on")
	require.False(t, old.whole)
	r := reader{t: t, s: srv.open()}
	require.Contains(t, r.read(), "stays")
}

func TestLogIsCompacted(t *testing.T) {
	srv := start(t)
	s := srv.open()
	r := reader{t: t, s: srv.open()}
	r.read()
	for i := range 600 {
		_, err := s.Publish(within(t, time.Second), []persauth.LogEntry{entry("same", func(e *persauth.LogEntry) { e.Body = []byte(fmt.Sprint(i)) })})
		require.NoError(t, err)
	}
	n, err := srv.admin("XLEN", srv.keysLike("*:log")[0]).AsInt64()
	require.NoError(t, err)
	require.Less(t, n, int64(200))
	names := r.read()
	require.True(t, r.whole)
	require.Equal(t, "599", names[len(names)-1])
}

func TestGaps(t *testing.T) {
	for name, c := range map[string]struct {
		lose  func(srv *server, s *fleet.Store)
		after []string // what the log has then
	}{
		"flushed":             {func(srv *server, s *fleet.Store) { srv.do("FLUSHALL") }, nil},
		"flushed and written": {func(srv *server, s *fleet.Store) { srv.do("FLUSHALL"); publish(srv.t, s, "x") }, []string{"x"}},
		"the head evicted":    {func(srv *server, s *fleet.Store) { srv.do("DEL", srv.keysLike("*:head")[0]) }, nil},
		"the log evicted":     {func(srv *server, s *fleet.Store) { srv.do("DEL", srv.keysLike("*:log")[0]) }, nil},
		"one entry deleted":   {func(srv *server, s *fleet.Store) { srv.do("XDEL", srv.keysLike("*:log")[0], "2-1") }, []string{"a", "c"}},
		"the last entry, hidden": {func(srv *server, s *fleet.Store) {
			publish(srv.t, s, "d")
			srv.do("XDEL", srv.keysLike("*:log")[0], "4-1")
		}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := srv.open()
			publish(t, s, "a", "b", "c")
			r := reader{t: t, s: srv.open()}
			require.Equal(t, []string{"a", "b", "c"}, r.read())
			c.lose(srv, s)
			fresh := reader{t: t, s: srv.open()}
			fresh.read() // whichever instance comes first
			names := r.read()
			require.True(t, r.whole, "the reader is told that it missed something")
			require.ElementsMatch(t, c.after, names)
			publish(t, s, "new")
			require.Equal(t, []string{"new"}, r.read())
			require.Contains(t, fresh.read(), "new")
		})
	}
}

// After a failover the new primary lacks the last writes.
func TestFailoverWithLoss(t *testing.T) {
	for name, between := range map[string][]string{"shorter": nil, "as long": {"x"}, "longer": {"x", "y"}} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := srv.open()
			publish(t, s, "a", "b")
			r := reader{t: t, s: srv.open()}
			r.read()
			before := srv.dump()
			publish(t, s, "lost")
			require.Equal(t, []string{"lost"}, r.read())
			srv.restore(before)
			publish(t, s, between...)
			names := r.read()
			require.True(t, r.whole)
			require.ElementsMatch(t, append([]string{"a", "b"}, between...), names)
		})
	}
}

func TestMembers(t *testing.T) {
	srv := start(t)
	a, b := srv.open(), srv.open()
	_, err := a.ReadLog(within(t, time.Second), "")
	require.NoError(t, err)
	page, err := b.ReadLog(within(t, time.Second), "")
	require.NoError(t, err)
	require.Equal(t, 2, page.Members)
	require.NoError(t, a.Leave(within(t, time.Second)))
	page, err = b.ReadLog(within(t, time.Second), "")
	require.NoError(t, err)
	require.Equal(t, 1, page.Members)
}

func TestLeasesNeverExceedTheBudget(t *testing.T) {
	srv := start(t)
	ask := persauth.LeaseRequest{Purpose: persauth.CallRevocation, Want: 7, PerHour: 36000, Total: 72000}
	var got atomic.Int64
	var takers sync.WaitGroup
	begin := time.Now()
	for range 50 {
		s := srv.open()
		takers.Go(func() {
			for time.Since(begin) < time.Second {
				lease, err := s.Lease(within(t, 5*time.Second), ask)
				if err != nil {
					t.Error(err)
					return
				}
				got.Add(int64(lease.Calls))
				if lease.Calls == 0 && lease.Wait <= 0 {
					t.Error("no calls, and no wait")
				}
			}
		})
	}
	takers.Wait()
	most := 600 + 10*time.Since(begin).Seconds() + 1 // a minute's worth, and ten a second
	require.LessOrEqual(t, float64(got.Load()), most)
	require.GreaterOrEqual(t, got.Load(), int64(600))
}

func TestSharesOfTheBudget(t *testing.T) {
	srv := start(t)
	s := srv.open()
	take := func(p persauth.CallPurpose, want, perHour, total int) int {
		lease, err := s.Lease(within(t, time.Second), persauth.LeaseRequest{Purpose: p, Want: want, PerHour: perHour, Total: total})
		require.NoError(t, err)
		return lease.Calls
	}
	require.Equal(t, 10, take(persauth.CallUnknownKey, 100, 600, 1800), "its share")
	require.Zero(t, take(persauth.CallUnknownKey, 100, 600, 1800))
	require.Equal(t, 20, take(persauth.CallRevocation, 100, 6000, 1800), "what is left of the whole")
	require.Zero(t, take(persauth.CallKeys, 1, 600, 1800))
}

// Half of the instances are cut off from the store and use their own shares, so
// those that are not get the other half.
func TestBudgetWithoutThoseThatAreCutOff(t *testing.T) {
	srv := start(t)
	a, b := srv.open(), srv.open()
	for _, s := range []*fleet.Store{a, b} {
		_, err := s.ReadLog(within(t, time.Second), "")
		require.NoError(t, err)
	}
	members := srv.keysLike("*:members")[0]
	ids, err := srv.admin("ZRANGE", members, "0", "-1").AsStrSlice()
	require.NoError(t, err)
	srv.do("ZADD", members, fmt.Sprint(time.Now().Add(-time.Minute).UnixMilli()), ids[0])
	ask := persauth.LeaseRequest{Purpose: persauth.CallRevocation, Want: 100, PerHour: 36000, Total: 36000}
	for {
		lease, err := a.Lease(within(t, time.Second), ask)
		require.NoError(t, err)
		if lease.Calls == 0 {
			require.InDelta(t, 200*time.Millisecond, lease.Wait, float64(20*time.Millisecond), "a call each 100 ms for both, 200 ms for one")
			break
		}
	}
}

func TestPause(t *testing.T) {
	srv := start(t)
	a, b := srv.open(), srv.open()
	ask := persauth.LeaseRequest{Purpose: persauth.CallRevocation, Want: 1, PerHour: 3600, Total: 9000}
	require.NoError(t, a.Pause(within(t, time.Second), time.Minute))
	require.NoError(t, a.Pause(within(t, time.Second), time.Second), "a shorter one does not end it")
	lease, err := b.Lease(within(t, time.Second), ask)
	require.NoError(t, err)
	require.True(t, lease.Paused)
	require.Zero(t, lease.Calls)
	require.InDelta(t, time.Minute, lease.Wait, float64(time.Second))
}

func TestOneAsksForAll(t *testing.T) {
	srv := start(t)
	name := persauth.SharedName{Kind: persauth.SharedVerdict, Digest: sha256.Sum256([]byte("t"))}
	ask := persauth.LookRequest{Within: time.Minute, Hold: 5 * time.Second}
	a, b := srv.open(), srv.open()
	first, err := a.Look(within(t, time.Second), name, ask)
	require.NoError(t, err)
	require.NotEmpty(t, first.Ticket)
	second, err := b.Look(within(t, time.Second), name, ask)
	require.NoError(t, err)
	require.Empty(t, second.Ticket)
	require.Positive(t, second.Wait)

	require.NoError(t, a.Share(within(t, time.Second), name, first.Ticket, time.Minute, []byte("good")))
	second, err = b.Look(within(t, time.Second), name, ask)
	require.NoError(t, err)
	require.Equal(t, "good", string(second.Body))
	require.Less(t, second.Age, 5*time.Second)

	time.Sleep(20 * time.Millisecond)
	third, err := b.Look(within(t, time.Second), name, persauth.LookRequest{Within: 10 * time.Millisecond, Hold: time.Second})
	require.NoError(t, err)
	require.NotEmpty(t, third.Ticket, "too old")
	require.NoError(t, b.Share(within(t, time.Second), name, third.Ticket, 0, nil))
	again, err := a.Look(within(t, time.Second), name, persauth.LookRequest{Within: time.Millisecond, Hold: time.Second})
	require.NoError(t, err)
	require.NotEmpty(t, again.Ticket, "the one who asked has given up")
}

func TestTheNewerAnswerStays(t *testing.T) {
	srv := start(t)
	name := persauth.SharedName{Kind: persauth.SharedVerdict}
	s := srv.open()
	older, err := s.Look(within(t, time.Second), name, persauth.LookRequest{Within: 0, Hold: 30 * time.Millisecond})
	require.NoError(t, err)
	time.Sleep(50 * time.Millisecond)
	newer, err := s.Look(within(t, time.Second), name, persauth.LookRequest{Within: 0, Hold: time.Second})
	require.NoError(t, err)
	require.NotEmpty(t, newer.Ticket, "the first one has taken too long")
	require.NoError(t, s.Share(within(t, time.Second), name, newer.Ticket, time.Minute, []byte("newer")))
	require.NoError(t, s.Share(within(t, time.Second), name, older.Ticket, time.Minute, []byte("older")))
	got, err := s.Look(within(t, time.Second), name, persauth.LookRequest{Within: time.Minute, Hold: time.Second})
	require.NoError(t, err)
	require.Equal(t, "newer", string(got.Body))
}

func TestClaim(t *testing.T) {
	srv := start(t)
	stores := []*fleet.Store{srv.open(), srv.open(), srv.open()}
	p := persauth.UsedProof{ID: sha256.Sum256([]byte("p")), Subject: sha256.Sum256([]byte("s")), Until: time.Now().Add(time.Minute)}
	var firsts atomic.Int64
	var callers sync.WaitGroup
	for i := range 60 {
		callers.Go(func() {
			first, err := stores[i%3].Claim(within(t, 5*time.Second), p)
			if err != nil {
				t.Error(err)
			}
			if first {
				firsts.Add(1)
			}
		})
	}
	callers.Wait()
	require.Equal(t, int64(1), firsts.Load())

	past := persauth.UsedProof{ID: sha256.Sum256([]byte("past")), Until: time.Now().Add(-time.Hour)}
	first, err := stores[0].Claim(within(t, time.Second), past)
	require.NoError(t, err)
	require.True(t, first)
	first, err = stores[1].Claim(within(t, time.Second), past)
	require.NoError(t, err)
	require.False(t, first, "kept for a second at least, also by a server whose clock is ahead")
}

func TestOneSubjectCannotFillTheStore(t *testing.T) {
	srv := start(t)
	s := srv.open()
	greedy, other := sha256.Sum256([]byte("greedy")), sha256.Sum256([]byte("other"))
	refused := 0
	for i := range 6010 {
		if _, err := s.Claim(within(t, 5*time.Second), persauth.UsedProof{ID: sha256.Sum256(fmt.Append(nil, i)), Subject: greedy, Until: time.Now().Add(time.Minute)}); err != nil {
			refused++
		}
	}
	require.Equal(t, 10, refused)
	require.Len(t, srv.keysLike("persauth:*"), 6001)
	first, err := s.Claim(within(t, time.Second), persauth.UsedProof{ID: sha256.Sum256([]byte("x")), Subject: other, Until: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	require.True(t, first)
}
