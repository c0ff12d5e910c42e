package fleet_test

// What somebody does who can read and write all of the store, and lacks only the
// secret.

import (
	"bytes"
	"crypto/sha256"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/stretchr/testify/require"
)

func verdictName(s string) persauth.SharedName {
	return persauth.SharedName{Kind: persauth.SharedVerdict, Digest: sha256.Sum256([]byte(s))}
}

func share(t testing.TB, s *fleet.Store, name persauth.SharedName, body string, keep time.Duration) {
	t.Helper()
	asker, err := s.Look(within(t, time.Second), name, persauth.LookRequest{Hold: time.Second})
	require.NoError(t, err)
	require.NotEmpty(t, asker.Ticket)
	require.NoError(t, s.Share(within(t, time.Second), name, asker.Ticket, keep, []byte(body)))
}

// answers is the body that a store hands out, or "".
func answerOf(t testing.TB, s *fleet.Store, name persauth.SharedName, maxAge time.Duration) string {
	t.Helper()
	got, err := s.Look(within(t, time.Second), name, persauth.LookRequest{Within: maxAge, Hold: 50 * time.Millisecond})
	require.NoError(t, err)
	if got.Body == nil {
		require.NotEmpty(t, got.Ticket, "then PERS is asked")
	}
	return string(got.Body)
}

// answerKeys are the keys of answers.
func answerKeys(srv *server) (keys []string) {
	for _, key := range srv.keysLike("persauth:*") {
		if !strings.Contains(key, "{") {
			keys = append(keys, key)
		}
	}
	return keys
}

func TestForgedAnswers(t *testing.T) {
	for name, attack := range map[string]func(srv *server, a, b string){
		"written by hand": func(srv *server, a, b string) { srv.do("HSET", a, "a", strings.Repeat("x", 100)) },
		"empty":           func(srv *server, a, b string) { srv.do("HSET", a, "a", "") },
		"truncated": func(srv *server, a, b string) {
			value, err := srv.admin("HGET", a, "a").ToString()
			require.NoError(srv.t, err)
			srv.do("HSET", a, "a", value[:len(value)-1])
		},
		"of another token": func(srv *server, a, b string) {
			value, err := srv.admin("HGET", b, "a").ToString()
			require.NoError(srv.t, err)
			srv.do("HSET", a, "a", value)
		},
		"of another fleet": func(srv *server, a, b string) {
			other := srv.open(func(o *fleet.Options) { o.Secret = bytes.Repeat([]byte("x"), 32) })
			share(srv.t, other, verdictName("a"), "forged", time.Minute)
			for _, key := range answerKeys(srv) {
				if key != a && key != b {
					value, err := srv.admin("HGET", key, "a").ToString()
					require.NoError(srv.t, err)
					srv.do("HSET", a, "a", value)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := srv.open()
			share(t, s, verdictName("a"), "of a", time.Minute)
			a := answerKeys(srv)[0]
			share(t, s, verdictName("b"), "of b", time.Minute)
			b := answerKeys(srv)[0]
			if b == a {
				b = answerKeys(srv)[1]
			}
			require.Equal(t, "of a", answerOf(t, s, verdictName("a"), time.Minute))
			attack(srv, a, b)
			require.Empty(t, answerOf(t, s, verdictName("a"), time.Minute))
		})
	}
}

// An answer is as old as it is, whatever the store says about its time.
func TestAnswersMadeYounger(t *testing.T) {
	srv := start(t)
	s := srv.open()
	share(t, s, verdictName("a"), "old", time.Hour)
	key := answerKeys(srv)[0]
	time.Sleep(120 * time.Millisecond)
	srv.do("HSET", key, "t", strconv.FormatInt(time.Now().Add(time.Hour).UnixMicro(), 10))
	require.Empty(t, answerOf(t, s, verdictName("a"), 100*time.Millisecond))
	srv.do("HDEL", key, "h", "e")
	require.Equal(t, "old", answerOf(t, s, verdictName("a"), time.Minute))
}

// An answer is good for as long as its writer said, also when it is put back later.
func TestAnswersPutBack(t *testing.T) {
	srv := start(t)
	s := srv.open()
	share(t, s, verdictName("a"), "old", 100*time.Millisecond)
	before := srv.dump()
	time.Sleep(150 * time.Millisecond)
	srv.restore(before)
	require.Empty(t, answerOf(t, s, verdictName("a"), time.Hour))
}

func TestForgedLog(t *testing.T) {
	id := func(n int) string { return strconv.Itoa(n) + "-1" }
	entryAt := func(srv *server, n int) (p, e string) {
		x, err := srv.admin("XRANGE", srv.keysLike("*:log")[0], id(n), id(n)).AsXRange()
		require.NoError(srv.t, err)
		return x[0].FieldValues["p"], x[0].FieldValues["e"]
	}
	// rewrite replaces the log by these entries, with their own numbers.
	rewrite := func(srv *server, order ...int) {
		log := srv.keysLike("*:log")[0]
		var p, e []string
		for _, n := range order {
			pn, en := entryAt(srv, n)
			p, e = append(p, pn), append(e, en)
		}
		srv.do("DEL", log)
		for i := range order {
			srv.do("XADD", log, id(i+1), "p", p[i], "e", e[i])
		}
	}
	for name, attack := range map[string]func(srv *server){
		"an entry of the attacker's": func(srv *server) {
			p, _ := entryAt(srv, 3)
			srv.do("XADD", srv.keysLike("*:log")[0], id(4), "p", p, "e", "forged")
		},
		"in another order": func(srv *server) { rewrite(srv, 2, 1, 3) },
		"one left out":     func(srv *server) { rewrite(srv, 1, 3) },
		"one twice":        func(srv *server) { rewrite(srv, 1, 2, 2, 3) },
		"cut off":          func(srv *server) { rewrite(srv, 1, 2) },
		"emptied":          func(srv *server) { srv.do("DEL", srv.keysLike("*:log")[0]) },
		"only the last":    func(srv *server) { srv.do("XTRIM", srv.keysLike("*:log")[0], "MINID", id(3)) },
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := srv.open()
			publish(t, s, "a", "b", "c")
			current := reader{t: t, s: srv.open()}
			require.Equal(t, []string{"a", "b", "c"}, current.read())
			attack(srv)

			fresh := reader{t: t, s: srv.open()}
			for _, read := range fresh.read() {
				require.Contains(t, []string{"a", "b", "c"}, read)
			}
			publish(t, s, "d")
			require.Contains(t, fresh.read(), "d", "the log works again")
			require.Contains(t, current.read(), "d")
		})
	}
}

func TestForgedHead(t *testing.T) {
	for name, attack := range map[string]func(srv *server){
		"by hand": func(srv *server) { srv.do("SET", srv.keysLike("*:head")[0], "forged") },
		"of another fleet": func(srv *server) {
			mine := srv.keysLike("*:head")[0]
			publish(srv.t, srv.open(func(o *fleet.Options) { o.Name = "other" }), "x")
			for _, key := range srv.keysLike("*:head") {
				if key != mine {
					srv.do("COPY", key, mine, "REPLACE")
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			srv := start(t)
			s := srv.open()
			publish(t, s, "a")
			attack(srv)
			_, err := s.ReadLog(within(t, time.Second), "")
			require.Error(t, err, "then what is known of revocations gets old")
			_, err = s.Publish(within(t, time.Second), []persauth.LogEntry{entry("b")})
			require.Error(t, err, "and who revokes is told")
		})
	}
}

// A state from before is noticed by all who saw a later one.
func TestOldStatePutBack(t *testing.T) {
	srv := start(t)
	s := srv.open()
	publish(t, s, "a")
	before := srv.dump()
	r := reader{t: t, s: srv.open()}
	r.read()
	for range 3 {
		publish(t, s, "b")
		require.Equal(t, []string{"b"}, r.read())
		srv.restore(before)
		require.Equal(t, []string{"a"}, r.read())
		require.True(t, r.whole)
	}
}

func TestForgedProofsAndPauses(t *testing.T) {
	srv := start(t)
	s := srv.open()
	p := persauth.UsedProof{ID: sha256.Sum256([]byte("p")), Until: time.Now().Add(time.Minute)}
	_, err := s.Claim(within(t, time.Second), p)
	require.NoError(t, err)
	for _, key := range srv.keysLike("persauth:*") {
		if strings.HasSuffix(key, "}") {
			continue
		}
		srv.do("SET", key, "forged")
	}
	first, err := s.Claim(within(t, time.Second), p)
	require.Error(t, err, "not a replay, and not good either")
	require.False(t, first)

	require.NoError(t, s.Pause(within(t, time.Second), time.Second))
	srv.do("SET", srv.keysLike("*:pause")[0], "forged", "PX", "100000")
	lease, err := s.Lease(within(t, time.Second), persauth.LeaseRequest{Purpose: persauth.CallKeys, Want: 1, PerHour: 600, Total: 600})
	require.NoError(t, err)
	require.Equal(t, 1, lease.Calls)
}

// Nothing in the store shows what it is about.
func TestNothingToRead(t *testing.T) {
	srv := start(t)
	s := srv.open(func(o *fleet.Options) { o.Name = "tenant-of-acme" })
	const telling = "subject-alice-4711"
	publish(t, s, telling)
	share(t, s, verdictName(telling), `{"payload":{"sub":"`+telling+`"}}`, time.Minute)
	digest := sha256.Sum256([]byte(telling))
	_, err := s.Claim(within(t, time.Second), persauth.UsedProof{ID: digest, Subject: digest, Until: time.Now().Add(time.Minute)})
	require.NoError(t, err)
	_, err = s.Lease(within(t, time.Second), persauth.LeaseRequest{Purpose: persauth.CallKeys, Want: 1, PerHour: 600, Total: 600})
	require.NoError(t, err)

	all := srv.dump()
	require.GreaterOrEqual(t, len(all), 6)
	for key, value := range all {
		for _, secretText := range []string{telling, "alice", "acme", string(digest[:]), string(secret)} {
			require.NotContains(t, key, secretText)
			require.NotContains(t, value, secretText)
		}
	}
}

func TestTwoTenantsOnOneStore(t *testing.T) {
	srv := start(t)
	a := srv.open()
	b := srv.open(func(o *fleet.Options) { o.Name = "other" })
	publish(t, a, "a")
	share(t, a, verdictName("t"), "for a", time.Minute)
	r := reader{t: t, s: b}
	require.Empty(t, r.read())
	require.Empty(t, answerOf(t, b, verdictName("t"), time.Minute))
	p := persauth.UsedProof{ID: sha256.Sum256([]byte("p")), Until: time.Now().Add(time.Minute)}
	for _, s := range []*fleet.Store{a, b} {
		first, err := s.Claim(within(t, time.Second), p)
		require.NoError(t, err)
		require.True(t, first)
	}
}

func TestChangeOfTheSecret(t *testing.T) {
	srv := start(t)
	next := bytes.Repeat([]byte("n"), 32)
	only := func(o *fleet.Options) {}
	prepared := func(o *fleet.Options) { o.NextSecret = next }
	changed := func(o *fleet.Options) { o.Secret, o.OldSecret, o.NameSecret = next, secret, secret }
	done := func(o *fleet.Options) { o.Secret, o.NameSecret = next, secret }
	steps := []func(*fleet.Options){only, prepared, changed, done}
	for i := range len(steps) - 1 {
		a, b := srv.open(steps[i]), srv.open(steps[i+1])
		ra, rb := reader{t: t, s: a}, reader{t: t, s: b}
		before := ra.read()
		require.Len(t, before, 2*i, "nothing is lost")
		require.ElementsMatch(t, before, rb.read())
		publish(t, a, "from a")
		publish(t, b, "from b")
		require.Subset(t, ra.read(), []string{"from a", "from b"}, "step %d", i)
		require.Subset(t, rb.read(), []string{"from a", "from b"}, "step %d", i)
	}
}
