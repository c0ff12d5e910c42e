package fleet_test

// The protocols of the models, driven through the real code: any order of what
// callers and faults do, in a fleet in memory, and histories of the real store that
// must be linearizable.

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// ledger is what must hold of revocations, whatever happens: MaxLag after Revoke
// returned, no instance accepts the token.
type ledger struct {
	t       *testing.T
	iss     *persauthtest.Issuer
	fleet   *persauthtest.Fleet
	v       []*persauth.Verifier
	tokens  []string
	revoked []time.Time // zero: not
	failed  time.Time   // when the store lost something last
	cut     []bool
}

const machineLag = 10 * time.Second

func newLedger(t *testing.T) *ledger {
	l := &ledger{t: t, iss: persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA")), fleet: persauthtest.NewFleet(t, 3), cut: make([]bool, 3)}
	l.fleet.SetPolicy(persauth.FleetPolicy{MaxLag: machineLag, WhenBehind: persauth.BehindRefuses})
	for i := range 3 {
		l.v = append(l.v, l.iss.Verifier(func(cfg *persauth.Config) { cfg.Fleet = l.fleet.Instance(i) }))
		require.NoError(t, l.v[i].Warm(t.Context()))
	}
	for i := range 3 {
		l.tokens = append(l.tokens, l.iss.Token(map[string]any{"sub": fmt.Sprint(i), "exp": l.iss.Clock().Now().Add(100 * time.Hour).Unix()}))
	}
	l.revoked = make([]time.Time, 3)
	return l
}

// revoke is by the first instance, which is never cut off and so is there to put
// back what gets lost.
func (l *ledger) revoke(i int) {
	if err := l.v[0].Revoke(persauth.Revocation{Token: l.tokens[i]}); err == nil && l.revoked[i].IsZero() {
		l.revoked[i] = time.Now()
	}
}

func (l *ledger) check(t *rapid.T) {
	for i, token := range l.tokens {
		for n, v := range l.v {
			_, err := v.Verify(context.Background(), token)
			switch since := time.Since(l.revoked[i]); {
			case err == nil && !l.revoked[i].IsZero() && since > machineLag:
				t.Fatalf("instance %d accepts a token %v after Revoke returned: %+v", n, since, *v.Status().Fleet)
			case err != nil && !errors.Is(err, persauth.ErrUnavailable) && !errors.Is(err, persauth.ErrRevoked):
				t.Fatalf("instance %d: %v", n, err)
			case errors.Is(err, persauth.ErrRevoked) && l.revoked[i].IsZero():
				t.Fatalf("instance %d refuses a token that nobody revoked", n)
			}
		}
	}
}

func TestRevocationMachine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger(t)
			defer func() {
				l.fleet.Heal()
				for _, v := range l.v {
					v.Close()
				}
			}()
			for range rapid.IntRange(5, 40).Draw(rt, "steps") {
				switch rapid.SampledFrom([]string{"wait", "wait", "wait", "revoke", "cut", "heal", "failover", "flush"}).Draw(rt, "step") {
				case "wait":
					time.Sleep(time.Duration(rapid.IntRange(1, 6000).Draw(rt, "ms")) * time.Millisecond)
				case "revoke":
					l.revoke(rapid.IntRange(0, 2).Draw(rt, "token"))
				case "cut":
					l.fleet.Partition(rapid.IntRange(1, 2).Draw(rt, "instance"))
				case "heal":
					l.fleet.Heal(rapid.IntRange(1, 2).Draw(rt, "instance"))
				case "failover": // one loss at a time, as the page says
					if time.Since(l.failed) > 4*time.Second {
						l.failed = time.Now()
						l.fleet.Failover(time.Duration(rapid.IntRange(1, 5000).Draw(rt, "lost ms")) * time.Millisecond)
					}
				case "flush":
					if time.Since(l.failed) > 4*time.Second {
						l.failed = time.Now()
						l.fleet.Flush()
					}
				}
				l.check(rt)
			}
		})
	})
}

// The first claims a proof, all others are refused, through a store that freezes and
// that scripts are dropped from: the history must be that of one place that is
// asked by one caller after the other.
func TestClaimsAreLinearizable(t *testing.T) {
	type claim struct{ id int }
	const unknown = -1 // the call failed: it may have claimed or not
	model := porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byID := make(map[int][]porcupine.Operation)
			for _, op := range history {
				byID[op.Input.(claim).id] = append(byID[op.Input.(claim).id], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byID {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return 0 },
		Step: func(state, _, output any) (bool, any) {
			switch output.(int) {
			case 1:
				return state.(int) == 0, 1
			case 0:
				return state.(int) == 1, 1
			}
			return true, 1 // a failed call that claimed; one that did not is left out of the history
		},
	}
	srv := start(t)
	var stores []*fleet.Store
	for range 6 {
		stores = append(stores, srv.open())
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	begin := time.Now()
	var callers sync.WaitGroup
	for c, s := range stores {
		callers.Go(func() {
			for id := 0; id < 300; id++ {
				ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
				called := time.Since(begin).Nanoseconds()
				first, err := s.Claim(ctx, persauth.UsedProof{ID: sha256.Sum256(fmt.Append(nil, id)), Until: time.Now().Add(time.Minute)})
				cancel()
				returned, out := time.Since(begin).Nanoseconds(), 0
				switch {
				case err != nil:
					out, returned = unknown, int64(1)<<62 // it may take effect later
				case first:
					out = 1
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: c, Input: claim{id}, Call: called, Output: out, Return: returned})
				mu.Unlock()
			}
		})
	}
	for range 4 {
		time.Sleep(20 * time.Millisecond)
		srv.signal(syscall.SIGSTOP)
		time.Sleep(150 * time.Millisecond)
		srv.signal(syscall.SIGCONT)
		_ = srv.admin("SCRIPT", "FLUSH")
	}
	callers.Wait()
	// A failed call that came to nothing can be put at the end, where a claim
	// changes nothing: so each may stay in the history.
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model, history, 20*time.Second))

	// The check can fail: two firsts.
	for i, op := range history {
		if op.Output == 0 {
			history[i].Output = 1
			break
		}
	}
	require.Equal(t, porcupine.Illegal, porcupine.CheckOperationsTimeout(model, history, 20*time.Second))
}
