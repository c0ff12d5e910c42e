package keyring

// Keys over time: how old they may get, when they are read again,
// and who waits for that. Requests read an immutable set behind an atomic
// pointer; one refresh at a time replaces it as a whole.

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

// Origin is a place that keys can be read from again.
type Origin interface {
	// read returns the key set as it is now. fresh asks for an answer that no
	// cache on the way gives. It holds to ctx as far as its medium can.
	Read(ctx context.Context, fresh bool) (Reading, error)
	// name is the source that Status shows.
	Name() string
}

// Reading is what an origin gave.
type Reading struct {
	Body     []byte
	FreshFor time.Duration // what the origin says; 0: it does not
	Age      time.Duration // how long ago the origin was asked
}

// Remote is the name of the origin that is PERS. Only its keys have an age.
const Remote = "remote"

// clockTolerance is how far in the future the date of a key set may be.
const clockTolerance = 10 * time.Minute

// Counts count refreshes.
type Counts struct{ Refreshes, Failures uint64 }

// Ring holds the keys of one tenant.
type Ring struct {
	origin    Origin    // nil: the keys are fixed
	snapshot  *Snapshot // nil: none is kept
	times     Times
	now       func() time.Time
	log       *slog.Logger
	unheardOf bool      // nobody set a logger
	unheard   sync.Once // the one line that is logged all the same

	current atomic.Pointer[Set]
	// quiet is when the next refresh may start, or never. Nobody needs to take
	// the lock to find that out, but starting one does.
	quiet atomic.Int64

	stop    context.CancelFunc // ends a refresh that is under way
	context context.Context
	running sync.WaitGroup
	begun   time.Time

	mu          sync.Mutex // guards what follows; never held across I/O
	closed      bool
	inFlight    *refresh
	unknownNext clock.Instant // when an unknown key id may cause a refresh again
	failed      int           // refreshes since the last one that succeeded
	counts      Counts
	lastError   error
	lastAttempt clock.Instant // None: none yet
}

// Settings are what a keyring is made of.
type Settings struct {
	Origin   Origin    // nil: the keys are fixed
	Snapshot *Snapshot // nil: none is kept
	Times    Times
	Now      func() time.Time
	Log      *slog.Logger
	Unheard  bool // Log reaches nobody: keys that cannot be had at all are told to slog.Default
}

func New(s Settings) *Ring {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Ring{origin: s.Origin, snapshot: s.Snapshot, times: s.Times, now: s.Now, log: s.Log, unheardOf: s.Unheard,
		context: ctx, stop: cancel, begun: time.Now(), unknownNext: clock.None, lastAttempt: clock.None}
	k.quiet.Store(int64(clock.None))
	return k
}

// Held returns the keys that are held, or nil where none can be used. Where
// they are due it starts a refresh, and does not wait for it; only a look at a
// file is waited for, by the one request that takes it.
func (k *Ring) Held(now clock.Instant) *Set {
	set := k.current.Load()
	if !set.usable(now) {
		return nil
	}
	if k.origin == nil || !set.overdue(now) {
		return set
	}
	if now >= k.end(set, now) {
		return nil
	}
	if k.resting(now) {
		return set
	}
	if r := k.ask(set, now); r != nil && k.times.Patience > 0 {
		select {
		case <-r.done:
		case <-time.After(k.times.Patience):
		}
		return k.current.Load()
	}
	return set
}

// Usable reports whether a set, which may be nil, may be used.
func (k *Ring) Usable(set *Set, now clock.Instant) bool {
	return set.usable(now) && (!set.overdue(now) || now < k.end(set, now))
}

// end returns when a set gets too old: at its hard age by the clock, or by the time
// that has passed where that is earlier. A clock that was put back does not make keys
// younger.
func (k *Ring) end(set *Set, now clock.Instant) clock.Instant {
	if set.Hard == clock.Never {
		return clock.Never
	}
	return min(set.Hard, now+set.worn-k.elapsed())
}

// elapsed is how long the keyring is there, in microseconds.
func (k *Ring) elapsed() clock.Instant { return clock.Instant(time.Since(k.begun).Microseconds()) }

// seedPatience is how long tokens wait for the first refresh in place of a seed that
// is outdated.
const seedPatience = time.Second

// Settle returns the keys to verify with in place of set, which may be nil: others
// than set only where that is an outdated seed and PERS answers soon after the start.
// It must be called after held, which starts the refresh. The error says that ctx
// ended.
func (k *Ring) Settle(ctx context.Context, set *Set) (*Set, error) {
	if set == nil || !set.Outdated {
		return set, nil
	}
	k.mu.Lock()
	r, first := k.inFlight, k.counts.Refreshes == 0
	k.mu.Unlock()
	if r != nil && first {
		timer := time.NewTimer(time.Until(r.begun.Add(seedPatience)))
		defer timer.Stop()
		select {
		case <-r.done:
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return k.current.Load(), nil
}

// resting reports whether no refresh may start now: one is under way, the last
// one failed a moment ago, or the keyring is closed.
func (k *Ring) resting(now clock.Instant) bool {
	quiet := clock.Instant(k.quiet.Load())
	return quiet == clock.Never || quiet.Ahead(now, longestPause)
}

// ask starts the refresh that set is due for, unless somebody else was faster.
func (k *Ring) ask(set *Set, now clock.Instant) *refresh {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.Load() != set || k.resting(now) {
		return nil
	}
	return k.start(now, false)
}

// Renew is for a caller who finds no key in seen, which may be nil.
// It returns the keys after the next refresh if one is to be had now, and the
// keys that are held otherwise. The error says why there are no others: the
// last refresh failed, or because ctx ended. It may come beside a set.
func (k *Ring) Renew(ctx context.Context, seen *Set) (*Set, error) {
	if r := k.join(seen, clock.Of(k.now())); r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	now := clock.Of(k.now())
	set := k.current.Load()
	if !k.Usable(set, now) {
		set = nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if set == nil || k.failed > 0 || k.closed && k.origin != nil {
		return set, k.unavailable(now)
	}
	return set, nil
}

// join returns the refresh to wait for: the one under way, or a new one where
// one is permitted. nil: there is nothing to wait for.
func (k *Ring) join(seen *Set, now clock.Instant) *refresh {
	k.mu.Lock()
	defer k.mu.Unlock()
	current := k.current.Load()
	if !k.Usable(current, now) {
		current = nil
	}
	if current != nil && current != seen {
		return nil // it was replaced while the caller looked
	}
	if k.inFlight != nil {
		return k.inFlight
	}
	if k.origin == nil || k.resting(now) {
		return nil
	}
	if current == nil {
		return k.start(now, false)
	}
	if k.unknownNext.Ahead(now, k.times.Unknown) {
		return nil
	}
	return k.start(now, true)
}

// The bounds of what an origin says of how long its answer is good for.
const (
	minFresh = time.Minute
	maxFresh = 24 * time.Hour
)

// longestPause is the longest pause between refreshes: an origin can ask for no
// longer one.
const longestPause = 5 * time.Minute

// install makes set the current one. What was verified by keys that stay is
// still good; what was verified by those that left is void. The caller holds mu,
// or is the only one to know the keyring.
func (k *Ring) install(set *Set) {
	before := k.current.Load()
	if before == nil || before.KeySet == set.KeySet {
		k.current.Store(set)
		return
	}
	leave := set.CarryOver(before.KeySet)
	k.current.Store(set)
	leave() // after that, so that a reader who finds a key retired finds the next set
}

// Unavailable says that the keys which are held do not help, and why there are no
// others.
type Unavailable struct {
	Got        string
	RetryAfter time.Duration // 0: not known
	Cause      error         // why the last refresh failed, or nil
}

func (e *Unavailable) Error() string { return "the current key set: " + e.Got }
func (e *Unavailable) Unwrap() error { return e.Cause }

// unavailable is the error for a caller whom the keys that are held do not help. The
// caller holds mu.
func (k *Ring) unavailable(now clock.Instant) error {
	e := &Unavailable{Cause: k.lastError}
	switch {
	case k.closed:
		e.Got = "a verifier that is closed"
	case k.lastError == nil:
		e.Got = "none yet"
	default:
		e.Got = "a refresh that failed"
	}
	if quiet := clock.Instant(k.quiet.Load()); quiet != clock.Never && k.resting(now) {
		e.RetryAfter = time.Duration(quiet-now) * time.Microsecond
	}
	return e
}

// Failure returns why the last refresh failed, or nil.
func (k *Ring) Failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastError
}

// Warm reads the origin now, unless the keys that are held came from it and are not
// due for a refresh yet.
func (k *Ring) Warm(ctx context.Context) error {
	now := clock.Of(k.now())
	set := k.current.Load()
	if k.Usable(set, now) && (k.origin == nil || !set.overdue(now)) {
		return nil
	}
	k.mu.Lock()
	r := k.inFlight
	if r == nil && k.origin != nil {
		r = k.start(now, false)
	}
	k.mu.Unlock()
	if r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now = clock.Of(k.now()); k.failed > 0 || k.closed || !k.Usable(k.current.Load(), now) {
		return k.unavailable(now)
	}
	return nil
}

// Close ends a refresh that is under way and lets no other start.
func (k *Ring) Close() {
	k.mu.Lock()
	k.closed = true
	k.quiet.Store(int64(clock.Never))
	k.mu.Unlock()
	k.stop()
	k.running.Wait()
}

// State is the state of a keyring at one moment.
type State struct {
	Set           *Set // nil: none
	Refreshing    bool
	LastAttempt   clock.Instant // clock.None: none yet
	LastError     error         // of the last refresh; nil: it succeeded
	NextAttempt   clock.Instant // after one that failed
	SnapshotError error
	Counts        Counts
}

// State returns the state of the keyring.
func (k *Ring) State() State {
	s := State{Set: k.current.Load(), NextAttempt: clock.Never}
	if k.snapshot != nil {
		s.SnapshotError = k.snapshot.Problem()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Refreshing, s.LastAttempt, s.LastError, s.Counts = k.inFlight != nil, k.lastAttempt, k.lastError, k.counts
	if k.lastError != nil {
		s.NextAttempt = clock.Instant(k.quiet.Load())
	}
	return s
}

// Latest returns the keys that are held, also where they are past their age, or nil.
func (k *Ring) Latest() *Set { return k.current.Load() }

// Timeout is how long a refresh may take.
func (k *Ring) Timeout() time.Duration { return k.times.Timeout }

// Fetched returns when the origin was asked for the keys that are held, or clock.None
// for none and for a seed.
func (k *Ring) Fetched() clock.Instant {
	set := k.current.Load()
	if set == nil || set.Source == "seed" {
		return clock.None
	}
	return set.Loaded
}
