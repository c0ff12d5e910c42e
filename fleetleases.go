package persauth

// Calls of PERS out of the fleet's budget, a handful at a time, so that few calls
// wait for the store; and an instance's share of it while the store is away.

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/persauth/persauth/internal/redact"
)

const (
	// mostLeased is how many calls are leased at once at most. Those that are
	// not made in time lapse, so it is no more than was needed lately.
	mostLeased = 512
	// goodUse: a lease that is used up sooner was too small, one that takes
	// longer than slowUse too large.
	goodUse = time.Second
	slowUse = 5 * time.Second
	// awayPause is how long the store is left alone after it did not answer.
	awayPause = time.Second
	// keyCallsPerHour is the share of fetches of the key set.
	keyCallsPerHour = 400
)

// leases are the calls that an instance may make.
type leases struct {
	member *fleetMember
	total  int

	mu     sync.Mutex // guards what follows; never held across I/O
	shares map[CallPurpose]*leaseShare
	away   clock.Instant // until then the store is left alone
}

// leaseShare is what an instance has of one purpose.
type leaseShare struct {
	perHour  int // of all instances
	left     int
	until    clock.Instant // when they lapse
	began    clock.Instant // when they were leased
	want     int           // how many to lease next
	closed   clock.Instant // until then there are none, said the store
	why      error
	inflight chan struct{} // closed when the request that is under way ends
	alone    *budget       // for times without the store; nil: the last time it answered
	counts   LeaseCounters
}

func newLeases(m *fleetMember, perHour map[CallPurpose]int) *leases {
	l := &leases{member: m, total: m.policy.CallsPerHour, shares: make(map[CallPurpose]*leaseShare), away: clock.None}
	for purpose, n := range perHour {
		l.shares[purpose] = &leaseShare{perHour: n, want: 1, until: clock.None, closed: clock.None}
	}
	return l
}

// take takes one call. The error says that there is none, and when to come again.
// It waits for the store at most as long as the policy says. l may be nil: then
// there is no fleet.
func (l *leases) take(ctx context.Context, purpose CallPurpose) error {
	if l == nil {
		return nil
	}
	l.member.begin()
	ctx, cancel := context.WithTimeout(ctx, l.member.policy.Patience)
	defer cancel()
	for {
		l.mu.Lock()
		now := l.member.now()
		s := l.shares[purpose]
		switch {
		case s.left > 0 && s.until.Ahead(now, LongestLease):
			if s.left--; s.left == 0 {
				s.learn(now)
			}
			l.mu.Unlock()
			return nil
		case s.closed.Ahead(now, persapi.MaxRetryAfter):
			err := s.refusal(now)
			l.mu.Unlock()
			return err
		case l.away.Ahead(now, awayPause) || l.member.isAway():
			err := l.aloneLocked(s, purpose, now)
			l.mu.Unlock()
			return err
		}
		wait := s.inflight
		if wait == nil {
			wait = make(chan struct{})
			s.inflight = wait
			if !l.member.spawn(func() { l.lease(s, purpose) }) {
				s.inflight = nil
				l.mu.Unlock()
				return &Error{Check: "remote", Want: "a call of PERS", Got: "a verifier that is closed", Err: ErrUnavailable}
			}
		}
		l.mu.Unlock()
		select {
		case <-wait:
		case <-ctx.Done():
			l.mu.Lock()
			defer l.mu.Unlock()
			return l.aloneLocked(s, purpose, l.member.now())
		}
	}
}

// learn finds how many calls to lease next. The caller holds mu.
func (s *leaseShare) learn(now clock.Instant) {
	if now < s.began.Add(goodUse) {
		s.want = min(2*s.want, mostLeased, max(s.perHour/60, 1))
	} else if now > s.began.Add(slowUse) {
		s.want = max(s.want/2, 1)
	}
}

// lease asks the store for calls.
func (l *leases) lease(s *leaseShare, purpose CallPurpose) {
	ctx, cancel := context.WithTimeout(l.member.context, max(l.member.policy.Patience, minLeaseTimeout))
	defer cancel()
	l.mu.Lock()
	now := l.member.now()
	if s.left > 0 && s.began != clock.None { // the rest has lapsed
		s.want = max(s.want-s.left, 1)
		s.left = 0
	}
	ask := LeaseRequest{Purpose: purpose, Want: s.want, PerHour: s.perHour, Total: l.total}
	l.mu.Unlock()
	got, err := l.member.fleet.Lease(ctx, ask)
	l.mu.Lock()
	defer l.mu.Unlock()
	defer close(s.inflight)
	s.inflight = nil
	s.counts.Requests++
	switch {
	case err != nil:
		l.away = l.member.now().Add(awayPause)
		return
	case got.Calls > 0:
		s.left, s.began, s.until = min(got.Calls, ask.Want), now, now.Add(min(got.For, LongestLease))
		s.counts.Calls += uint64(s.left)
	default:
		s.closed = now.Add(min(max(got.Wait, time.Millisecond), persapi.MaxRetryAfter))
		s.why = errBudgetUsedUp
		if got.Paused {
			s.why = errFleetPaused
		}
	}
	l.away, s.alone = clock.None, nil
}

const minLeaseTimeout = 100 * time.Millisecond

const (
	errBudgetUsedUp = redact.Text("the fleet's budget of calls is used up")
	errFleetPaused  = redact.Text("PERS has asked the fleet for a pause")
	errShareUsedUp  = redact.Text("the fleet cannot be reached, and the share of this instance is used up")
)

// refusal is the error while there are no calls. The caller holds mu.
func (s *leaseShare) refusal(now clock.Instant) error {
	s.counts.Withheld++
	return &Error{Check: "remote", Want: "a call of PERS", Got: s.why.Error(), RetryAfter: time.Duration(s.closed-now) * time.Microsecond, Err: ErrUnavailable}
}

// aloneLocked takes a call out of the instance's own share, which it has while the
// store is away: the budget divided by the instances that were known last. The
// caller holds mu.
func (l *leases) aloneLocked(s *leaseShare, purpose CallPurpose, now clock.Instant) error {
	if s.alone == nil {
		members := float64(l.member.instances())
		perHour := float64(s.perHour) / members
		s.alone = newBudget(perHour, perHour/60)
		if perHour < 60 && purpose != CallKeys {
			// Less than a call a minute: a whole one at once from each of many
			// instances would be more than all of them have. But nobody can
			// do without keys.
			s.alone.take(now)
		}
	}
	s.counts.Alone++
	if s.alone.take(now) {
		return nil
	}
	s.counts.Withheld++
	return &Error{Check: "remote", Want: "a call of PERS", Got: errShareUsedUp.Error(), RetryAfter: s.alone.wait(), Err: ErrUnavailable}
}

// drop gives up what is leased, because PERS asked for a pause.
func (l *leases) drop() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shares {
		s.left = 0
	}
}

// pause tells all instances that PERS asked for a pause.
func (l *leases) pause(d time.Duration) {
	if l == nil || d <= 0 {
		return
	}
	l.drop()
	ctx, cancel := context.WithTimeout(l.member.context, longestRead)
	defer cancel()
	_ = l.member.fleet.Pause(ctx, min(d, persapi.MaxRetryAfter)) // each gets its own 429 otherwise
}

// isAway reports whether the last look at the log failed.
func (m *fleetMember) isAway() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// limited tells all instances of a 429, if that is what an error is about. l may be
// nil.
func (l *leases) limited(err error) {
	var e *Error
	if l != nil && statusOf(err) == http.StatusTooManyRequests && errors.As(err, &e) {
		l.pause(e.RetryAfter)
	}
}

// instances is how many instances share the budget: as many as were known last.
func (m *fleetMember) instances() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.members > 0 {
		return m.members
	}
	return m.policy.Instances
}
