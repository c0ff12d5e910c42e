package persauth

// The keys at hand over time: how old they may get, when they are read again,
// and who waits for that. Requests read an immutable set behind an atomic
// pointer; one refresh at a time replaces it as a whole.

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// keySet is a key index with its place in time. It is immutable.
type keySet struct {
	*jose.KeySet
	source string        // "static", "file", "seed", "snapshot" or "remote"
	loaded clock.Instant // when PERS, or the file, was asked for it
	due    clock.Instant // from here on its origin is to be asked again
	soft   clock.Instant // from here on it is stale: not known to be right any more
	hard   clock.Instant // from here on it is not used any more
	// outdated: it is a seed from longer ago than keys may be used. It may hold keys
	// that left long ago, which must not come back with each start.
	outdated bool
}

func (s *keySet) overdue(now clock.Instant) bool { return s.past(s.due, now) }
func (s *keySet) stale(now clock.Instant) bool   { return s.past(s.soft, now) }
func (s *keySet) usable(now clock.Instant) bool  { return s != nil && now < s.hard }

// past reports whether one of the times of s has come. It has, too, when the
// clock shows a time well before s was loaded: then it was put back since, and
// would take who knows how long to get there again.
func (s *keySet) past(t, now clock.Instant) bool {
	return now >= t || t != clock.Never && now.Add(clock.Slack) < s.loaded
}

// keyOrigin is a place that keys can be read from again.
type keyOrigin interface {
	// read returns the key set as it is now. fresh asks for an answer that no
	// cache on the way gives. It holds to ctx as far as its medium can.
	read(ctx context.Context, fresh bool) (reading, error)
	// name is the source that Status shows.
	name() string
}

// reading is what an origin gave.
type reading struct {
	body     []byte
	freshFor time.Duration // what the origin says; 0: it does not
	age      time.Duration // how long ago the origin was asked
}

// keyTimes are the clocks of a keyring.
type keyTimes struct {
	soft       time.Duration // until the origin is asked again
	softGiven  bool          // whatever the origin says, it is asked by then
	hard       time.Duration // 0: keys have no age
	patience   time.Duration // how long the one who asks again waits for the answer
	unknown    time.Duration // between refreshes that unknown key ids cause
	timeout    time.Duration // of one refresh
	maxBackoff time.Duration
}

// keyring holds the keys of one tenant.
type keyring struct {
	origin   keyOrigin // nil: the keys are fixed
	snapshot *snapshot // nil: none is kept
	times    keyTimes
	now      func() time.Time
	log      *slog.Logger
	unheard  sync.Once // the one line that is logged without a logger

	current atomic.Pointer[keySet]
	// quiet is when the next refresh may start, or never. Nobody needs to take
	// the lock to find that out, but whoever starts one does.
	quiet atomic.Int64

	stop    context.CancelFunc // ends a refresh that is under way
	context context.Context
	running sync.WaitGroup

	mu          sync.Mutex // guards what follows; never held across I/O
	closed      bool
	inFlight    *refresh
	unknownNext clock.Instant // when an unknown key id may cause a refresh again
	failed      int           // refreshes since the last one that succeeded
	counts      KeyCounters
	lastError   error
	lastAttempt clock.Instant // None: none yet
}

func newKeyring(origin keyOrigin, times keyTimes, now func() time.Time, log *slog.Logger) *keyring {
	ctx, cancel := context.WithCancel(context.Background())
	k := &keyring{origin: origin, times: times, now: now, log: log,
		context: ctx, stop: cancel, unknownNext: clock.None, lastAttempt: clock.None}
	k.quiet.Store(int64(clock.None))
	return k
}

// held returns the keys at hand, or nil where there are none fit for use. Where
// they are due it starts a refresh, and does not wait for it; only a look at a
// file is waited for, by the one request that takes it.
func (k *keyring) held(now clock.Instant) *keySet {
	set := k.current.Load()
	if !set.usable(now) {
		return nil
	}
	if k.origin == nil || !set.overdue(now) || k.resting(now) {
		return set
	}
	if r := k.ask(set, now); r != nil && k.times.patience > 0 {
		select {
		case <-r.done:
		case <-time.After(k.times.patience):
		}
		return k.current.Load()
	}
	return set
}

// seedPatience is how long tokens wait for the first refresh in place of a seed that
// is outdated.
const seedPatience = time.Second

// settle returns the keys to verify with in place of set, which may be nil: others
// than set only where that is an outdated seed and PERS answers soon after the start.
// It must be called after held, which starts the refresh. The error says that ctx
// ended.
func (k *keyring) settle(ctx context.Context, set *keySet) (*keySet, error) {
	if set == nil || !set.outdated {
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
			return nil, interrupted(ctx, "keys")
		}
	}
	return k.current.Load(), nil
}

// resting reports whether no refresh may start now: one is under way, the last
// one failed a moment ago, or the keyring is closed.
func (k *keyring) resting(now clock.Instant) bool {
	quiet := clock.Instant(k.quiet.Load())
	return quiet == clock.Never || quiet.Ahead(now, longestPause)
}

// ask starts the refresh that set is due for, unless somebody else was faster.
func (k *keyring) ask(set *keySet, now clock.Instant) *refresh {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.current.Load() != set || k.resting(now) {
		return nil
	}
	return k.start(now, false)
}

// renew is for a caller whom the keys in seen, which may be nil, do not help.
// It returns the keys after the next refresh if one is to be had now, and the
// keys at hand otherwise. The error says that keys cannot be had: because the
// last refresh failed, or because ctx ended. It may come beside a set.
func (k *keyring) renew(ctx context.Context, seen *keySet) (*keySet, error) {
	if r := k.join(seen, clock.Of(k.now())); r != nil {
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, interrupted(ctx, "keys")
		}
	}
	now := clock.Of(k.now())
	set := k.current.Load()
	if !set.usable(now) {
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
func (k *keyring) join(seen *keySet, now clock.Instant) *refresh {
	k.mu.Lock()
	defer k.mu.Unlock()
	current := k.current.Load()
	if !current.usable(now) {
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
	if k.unknownNext.Ahead(now, k.times.unknown) {
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

// set gives an index its place in time.
func (t keyTimes) set(index *jose.KeySet, source string, loaded clock.Instant, freshFor time.Duration) *keySet {
	s := &keySet{KeySet: index, source: source, loaded: loaded, due: loaded.Add(t.soft), soft: clock.Never, hard: clock.Never}
	if t.hard > 0 {
		soft := t.soft
		if freshFor > 0 {
			soft = min(max(freshFor, minFresh), maxFresh)
		}
		if t.softGiven {
			soft = min(soft, t.soft)
		}
		// Whatever a header says, there is time to refresh before the end.
		s.soft = loaded.Add(min(soft, t.hard/2))
		s.due, s.hard = s.soft, loaded.Add(t.hard)
	}
	return s
}

// install makes set the current one. What was verified by keys that stay is
// still good; what was verified by those that left is void. The caller holds mu,
// or is the only one to know the keyring.
func (k *keyring) install(set *keySet) {
	before := k.current.Load()
	if before == nil || before.KeySet == set.KeySet {
		k.current.Store(set)
		return
	}
	leave := set.CarryOver(before.KeySet)
	k.current.Store(set)
	leave() // after that, so that whoever finds a key gone finds its successor
}

// unavailable is the error for those whom the keys at hand do not help. The
// caller holds mu.
func (k *keyring) unavailable(now clock.Instant) error {
	e := &Error{Check: "keys", Want: "the current key set", Err: ErrUnavailable, Cause: k.lastError}
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

// failure returns why the last refresh failed, or nil.
func (k *keyring) failure() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lastError
}

// warm reads the origin now, unless the keys at hand came from it and are not
// due for a refresh yet.
func (k *keyring) warm(ctx context.Context) error {
	now := clock.Of(k.now())
	set := k.current.Load()
	if set.usable(now) && (k.origin == nil || !set.overdue(now)) {
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
			return interrupted(ctx, "keys")
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if now = clock.Of(k.now()); k.failed > 0 || k.closed || !k.current.Load().usable(now) {
		return k.unavailable(now)
	}
	return nil
}

// close ends a refresh that is under way and lets no other start.
func (k *keyring) close() {
	k.mu.Lock()
	k.closed = true
	k.quiet.Store(int64(clock.Never))
	k.mu.Unlock()
	k.stop()
	k.running.Wait()
}
