package persauth

// A verifier's part in its fleet: it follows the log of revocations, says how old
// its knowledge of them is, and puts back into the log what got lost there.

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

const (
	// longestPoll is how long a reader of the log waits for a notice before it
	// looks by itself: a connection that went dead is silent. longestRead bounds
	// one look, and publishTimeout the time that Revoke takes.
	longestPoll  = time.Second
	shortestPoll = 100 * time.Millisecond
	// settling is how many polls it takes until what the store lost has been put
	// back by those who know it, and read by the others (models/log.pml).
	settling       = 2
	longestRead    = time.Second
	publishTimeout = 2 * time.Second
	leaveTimeout   = 500 * time.Millisecond
	// noticeGap is how far apart looks are that notices cause, so that a storm
	// of them costs little.
	noticeGap = 20 * time.Millisecond
	// republished is how many entries are put back at once.
	republished = 100
)

// fleetMember is a verifier's part in its fleet.
type fleetMember struct {
	fleet  Fleet
	policy FleetPolicy
	now    func() clock.Instant
	log    *slog.Logger
	poll   time.Duration
	// apply makes an entry count in this verifier.
	apply func(LogEntry) error

	// behindAt is when the knowledge of revocations may be older than MaxLag,
	// unless it is renewed: earlier than MaxLag after the last look by the time
	// that settling takes, because that look may have missed what the store had
	// just lost. It is all that the way of a remembered token reads.
	behindAt atomic.Int64

	context context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	wake    chan struct{}
	looked  chan struct{} // closed after the first look, whatever came of it
	begun   atomic.Bool

	leases  *leases
	answers *answers

	mu        sync.Mutex // guards what follows; never held across I/O
	closed    bool
	entries   map[[32]byte]*fleetEntry
	position  LogPosition
	seenUntil clock.Instant // clock.None: nothing was read yet
	settled   clock.Instant // before it, what the log shows may lack what others put back
	healAt    clock.Instant // when to put back what the log lacks; clock.Never: it lacks nothing
	members   int           // 0: not known
	err       error         // of the last look; nil if it succeeded
	away      bool          // the log was told so
}

// fleetEntry is an entry that counts here.
type fleetEntry struct {
	LogEntry
	logged    bool          // the log has it
	published clock.Instant // when it was published by us; clock.Never: that has not succeeded
}

func newFleetMember(cfg *Config, policy FleetPolicy, now func() clock.Instant, apply func(LogEntry) error) *fleetMember {
	ctx, cancel := context.WithCancel(context.Background())
	m := &fleetMember{
		fleet: cfg.Fleet, policy: policy, now: now, log: cfg.Logger, apply: apply,
		poll:    min(max(policy.MaxLag/10, shortestPoll), longestPoll),
		context: ctx, stop: cancel, wake: make(chan struct{}, 1), looked: make(chan struct{}),
		entries: make(map[[32]byte]*fleetEntry), seenUntil: clock.None, settled: clock.None, healAt: clock.Never,
	}
	m.behindAt.Store(int64(clock.Never))
	m.leases, m.answers = newLeases(m, cfg.fleetShares(policy)), newAnswers(m)
	return m
}

// behind reports whether the knowledge of revocations is older than MaxLag. m may
// be nil.
func (m *fleetMember) behind(now clock.Instant) bool {
	if m == nil {
		return false
	}
	at := clock.Instant(m.behindAt.Load())
	if at == clock.Never || m.policy.WhenBehind == InsecureBehindAccepts { // never: nobody has asked for anything yet
		return false
	}
	// A clock that was put back must not keep old knowledge young.
	left := at - now
	return left <= 0 || left > clock.Instant((m.policy.MaxLag+clock.Slack).Microseconds())
}

// begin starts what goes on in the background, with the first token that is not
// remembered: New starts nothing. From here on the knowledge of revocations gets
// older. m may be nil.
func (m *fleetMember) begin() {
	if m == nil || m.begun.Load() || !m.begun.CompareAndSwap(false, true) {
		return
	}
	m.behindAt.CompareAndSwap(int64(clock.Never), int64(m.now().Add(m.policy.MaxLag-settling*m.poll)))
	m.spawn(m.follow)
	m.spawn(m.watch)
}

// spawn runs f, which ends soon after m.context, unless the verifier is closed.
func (m *fleetMember) spawn(f func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.running.Go(f)
	}
	return !m.closed
}

// follow reads the log until the end.
func (m *fleetMember) follow() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.context.Done():
			return
		case <-m.wake:
			if !m.pause(noticeGap) {
				return
			}
		case <-timer.C:
		}
		next := m.look()
		select {
		case <-m.looked:
		default:
			close(m.looked)
		}
		if !timer.Stop() {
			select {
			case <-timer.C:
			default:
			}
		}
		timer.Reset(next)
	}
}

// look reads what is new in the log, and returns when to look again.
func (m *fleetMember) look() time.Duration {
	m.mu.Lock()
	after := m.position
	m.mu.Unlock()
	start := m.now()
	ctx, cancel := context.WithTimeout(m.context, min(m.policy.MaxLag/2, longestRead))
	page, err := m.fleet.ReadLog(ctx, after)
	cancel()
	if m.context.Err() != nil {
		return 0
	}
	wasAway := m.report(err)
	if err != nil {
		return m.poll/4 + rand.N(m.poll/4)
	}
	missing := m.take(page, wasAway, start)
	for len(missing) > 0 {
		n := min(len(missing), republished)
		if m.publish(m.context, missing[:n]) != nil {
			break
		}
		missing = missing[n:]
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	next := m.poll
	if m.healAt != clock.Never {
		next = min(next, max(time.Duration(m.healAt-m.now())*time.Microsecond, 0))
	}
	return next
}

// take makes a page count, and returns what the log lacks and should have.
func (m *fleetMember) take(page LogPage, wasAway bool, start clock.Instant) (missing []*fleetEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.position, m.members = page.Position, max(page.Members, 1)
	if page.Whole {
		for _, e := range m.entries {
			e.logged = false
		}
	}
	if page.Whole || wasAway {
		// The store may have lost something. Those who know it put it back: until
		// then we know no more than before.
		m.settled = start.Add(settling * m.poll)
	}
	for _, e := range page.Entries {
		m.note(e)
	}
	if !m.settled.Ahead(start, settling*m.poll) {
		m.seenUntil = start
		m.behindAt.Store(int64(start.Add(m.policy.MaxLag - settling*m.poll)))
	}
	return m.lacking(page.Whole, start)
}

// note makes an entry of the log count. The caller holds mu.
func (m *fleetMember) note(e LogEntry) {
	held := m.entries[e.Key]
	switch {
	case held == nil || !held.At.IsZero() && e.Replaces(held.LogEntry):
		if err := m.apply(e); err != nil {
			m.log.Warn("persauth: an entry of the fleet's log cannot be used", "error", err)
			return
		}
		m.entries[e.Key] = &fleetEntry{LogEntry: e, logged: true, published: clock.None}
	case held.At.Equal(e.At):
		held.logged = true
	}
}

// lacking returns what to put back into the log: at once what we wrote ourselves,
// and a while after it began again what others wrote, too, unless they were faster.
// It forgets what has ended. The caller holds mu.
func (m *fleetMember) lacking(whole bool, start clock.Instant) (missing []*fleetEntry) {
	now := start.Time()
	lacks := false
	for key, e := range m.entries {
		switch {
		case !e.Until.After(now):
			delete(m.entries, key)
		case e.logged:
		case e.published == clock.Never || e.published < start:
			missing = append(missing, e)
			lacks = true
		}
	}
	switch {
	case !lacks:
		m.healAt = clock.Never
	case whole || m.healAt == clock.Never:
		m.healAt = start.Add(rand.N(m.poll / 2))
		return nil
	case start < m.healAt:
		return nil
	default:
		m.healAt = clock.Never
	}
	return missing
}

// publish writes entries to the log.
func (m *fleetMember) publish(ctx context.Context, entries []*fleetEntry) error {
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	m.mu.Lock()
	out := make([]LogEntry, len(entries))
	for i, e := range entries {
		out[i] = e.LogEntry
	}
	m.mu.Unlock()
	at, err := m.fleet.Publish(ctx, out)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		e.published = m.now()
		if e.At.IsZero() {
			e.At = at
			if err := m.apply(e.LogEntry); err != nil { // so that others can take it back
				return err
			}
		}
	}
	return nil
}

// write makes an entry of our own count for all. The caller has made it count
// here. An error says that the others do not know it yet: it is written as soon
// as the store can be reached, for as long as this process lives.
func (m *fleetMember) write(e LogEntry) error {
	m.begin()
	m.mu.Lock()
	before := m.entries[e.Key]
	own := &fleetEntry{LogEntry: e, published: clock.Never - 1} // not yet, and not to be put back meanwhile
	m.entries[e.Key] = own
	m.mu.Unlock()
	err := m.publish(m.context, []*fleetEntry{own})
	if err == nil && before != nil && !own.At.After(before.At) {
		// The clock of the store was put back: the one before would stay.
		m.mu.Lock()
		own.At = before.At.Add(time.Microsecond)
		m.mu.Unlock()
		err = m.publish(m.context, []*fleetEntry{own})
	}
	if err == nil {
		return nil
	}
	m.mu.Lock()
	own.published = clock.Never
	m.mu.Unlock()
	return &Error{Check: "fleet", Want: "to tell the other instances", Got: "an instance that alone knows it", Err: ErrUnavailable, Cause: err}
}

// watch wakes the reader when something was published.
func (m *fleetMember) watch() {
	for m.context.Err() == nil {
		err := m.fleet.Watch(m.context, m.notice)
		if m.context.Err() != nil {
			return
		}
		_ = err // ReadLog tells of a store that is away
		if !m.pause(m.poll/4 + rand.N(m.poll/4)) {
			return
		}
		m.nudge() // what was published meanwhile
	}
}

func (m *fleetMember) notice(n FleetNotice) {
	switch n.Kind {
	case FleetPublished:
		m.nudge()
	case FleetAnswered:
		m.answers.notice(n.Name)
	case FleetPaused:
		m.leases.drop()
	}
}

func (m *fleetMember) nudge() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// pause waits, and reports whether it was not the end.
func (m *fleetMember) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-m.context.Done():
		return false
	}
}

// report keeps how a look ended, and tells the log about a change. It returns
// whether the look before had failed.
func (m *fleetMember) report(err error) (wasAway bool) {
	m.mu.Lock()
	m.err = err
	before := m.away
	m.away = err != nil
	m.mu.Unlock()
	switch {
	case err != nil && !before:
		m.log.Warn("persauth: the fleet cannot be reached; this instance goes on alone", "error", err)
	case err == nil && before:
		m.log.Info("persauth: the fleet is reached again")
	}
	return before
}

// warm waits for the first look, whatever comes of it: a fleet that is away does
// not keep a service from starting. m may be nil.
func (m *fleetMember) warm(ctx context.Context) {
	if m == nil {
		return
	}
	m.begin()
	select {
	case <-m.looked:
	case <-ctx.Done():
	case <-m.context.Done():
	}
}

// close ends what goes on in the background, and tells the others. m may be nil.
func (m *fleetMember) close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.running.Wait()
	if m.begun.Load() {
		ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
		defer cancel()
		_ = m.fleet.Leave(ctx)
	}
}
