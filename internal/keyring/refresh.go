package keyring

// One refresh of the keys: how it is done, what comes of it, how long the pause
// is after one that failed, and what the log hears.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
)

// refresh is one reading of the origin, which any number of callers wait for.
type refresh struct {
	begun time.Time
	done  chan struct{} // closed at the end
}

const (
	firstBackoff = 500 * time.Millisecond
	// emptyBackoff is the longest pause while no usable keys are held: then every
	// request fails, and recovery must not take long. PERS may ask for a longer one.
	emptyBackoff = 5 * time.Second
)

// start begins a refresh. unknown says that it is for a key id that is not at
// hand: that takes the permit for it, and asks past all caches. The caller holds
// mu. nil: the keyring is closed.
func (k *Ring) start(now clock.Instant, unknown bool) *refresh {
	if k.closed {
		return nil
	}
	r := &refresh{begun: time.Now(), done: make(chan struct{})}
	permit := k.unknownNext
	if unknown {
		k.unknownNext = now.Add(k.times.Unknown)
	}
	k.inFlight = r
	k.lastAttempt = now
	k.quiet.Store(int64(clock.Never))
	k.running.Go(func() {
		// Detached from the caller: its end must not end the refresh of all.
		ctx, cancel := context.WithTimeout(k.context, k.times.Timeout)
		defer cancel()
		before := k.current.Load()
		set, err := k.load(ctx, r, before, now, unknown)
		k.finish(r, before, set, err, permit)
	})
	return r
}

// finish puts in place what came of a refresh, and tells those who care: first
// the waiting requests, then the log and the snapshot, which may be slow.
func (k *Ring) finish(r *refresh, before, set *Set, err error, permit clock.Instant) {
	now := clock.Of(k.now())
	k.mu.Lock()
	k.inFlight = nil
	failedBefore, quiet := k.failed, clock.None
	if err == nil {
		k.counts.Refreshes++
		k.failed, k.lastError = 0, nil
		k.install(set)
	} else if !k.closed { // what Close ended says nothing about PERS
		k.counts.Refreshes++
		k.counts.Failures++
		k.failed++
		k.lastError = err
		k.unknownNext = permit // the permit is given back
		quiet = k.nextTry(err, before, now)
	}
	if k.closed {
		quiet = clock.Never
	}
	k.quiet.Store(int64(quiet))
	number, closed := k.counts.Refreshes, k.closed
	k.mu.Unlock()
	close(r.done)
	if err != nil && closed {
		return
	}
	k.report(before, set, err, failedBefore)
	if err == nil && k.snapshot != nil && set.Source == Remote {
		k.snapshot.save(set, number, k.log)
	}
}

// load reads the origin and makes a set of what it gives. Nothing that fails
// here touches the keys that are held.
func (k *Ring) load(ctx context.Context, r *refresh, before *Set, began clock.Instant, fresh bool) (*Set, error) {
	got, err := k.origin.Read(ctx, fresh)
	if err != nil {
		return nil, err
	}
	var index *jose.KeySet
	if before != nil && slices.Equal(before.Body, got.Body) {
		index = before.KeySet
	} else if index, err = jose.ParseKeySet(got.Body); err != nil {
		return nil, err
	}
	// A clock that was set in the meantime, as it is soon after a machine starts,
	// tells better when that was.
	if later := clock.Of(k.now()).Add(-time.Since(r.begun)); later > began.Add(clock.Slack) || later < began.Add(-clock.Slack) {
		began = later
	}
	set := k.times.set(index, k.origin.Name(), began.Add(-got.Age), got.FreshFor)
	set.worn = clock.Instant(r.begun.Sub(k.begun).Microseconds()).Add(k.times.Hard - got.Age)
	return set, nil
}

// nextTry returns when a refresh may start after one that failed: after a back-off,
// and not before PERS has said. A back-off that began while keys are held is cut
// short when they get too old. The caller holds mu.
func (k *Ring) nextTry(err error, held *Set, now clock.Instant) clock.Instant {
	next := now.Add(k.backoff(min(k.times.MaxBackoff, emptyBackoff)))
	if k.Usable(held, now) {
		next = max(next, min(now.Add(k.backoff(k.times.MaxBackoff)), k.end(held, now)))
	}
	var asked interface{ PauseFor() time.Duration }
	if errors.As(err, &asked) {
		next = max(next, now.Add(asked.PauseFor()))
	}
	return next
}

// backoff doubles with each failure up to longest, and is shortened at random so
// that many instances do not come back together. The caller holds mu.
func (k *Ring) backoff(longest time.Duration) time.Duration {
	pause := min(firstBackoff<<min(k.failed-1, 10), longest)
	return pause/2 + rand.N(pause/2+1)
}

// report tells the log about a change of state, and of nothing else.
func (k *Ring) report(before, after *Set, err error, failedBefore int) {
	if err != nil {
		held := k.Usable(before, clock.Of(k.now()))
		if failedBefore == 0 {
			k.log.Warn("persauth: keys cannot be refreshed", "error", err, "held", held)
		}
		if !held && k.unheardOf {
			k.unheard.Do(func() {
				slog.Error("persauth: there are no keys, and none can be fetched: all tokens are refused (Config.Logger hears of more)", "error", err)
			})
		}
		return
	}
	if failedBefore > 0 {
		k.log.Info("persauth: keys are refreshed again", "failures", failedBefore)
	}
	added, removed := difference(before, after)
	if len(added)+len(removed) > 0 {
		k.log.Info("persauth: keys changed", "added", strings.Join(added, " "), "removed", strings.Join(removed, " "))
		for _, info := range after.Skipped {
			k.log.Warn("persauth: a key cannot be used", "kid", redact.Quote(info.KeyID), "position", info.Position, "problem", info.Problem)
		}
	}
}

// difference names the keys that came and went, by kid and thumbprint.
func difference(before, after *Set) (added, removed []string) {
	names := func(s *Set) (all []string) {
		if s != nil {
			for _, key := range s.Keys {
				all = append(all, fmt.Sprintf("%s(%s)", redact.Quote(key.KeyID), key.Thumbprint))
			}
		}
		return all
	}
	old, new := names(before), names(after)
	without := func(list, other []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(name string) bool { return slices.Contains(other, name) })
	}
	return without(new, old), without(old, new)
}
