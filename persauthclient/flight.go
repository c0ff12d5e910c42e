package persauthclient

// One refresh at a time: when it may begin, who waits for it, and when the next
// one may follow one that failed.

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

const (
	// After a refresh that failed, the pauses grow from one to the other; while
	// there is no token to use they are no longer than shortPause.
	firstPause = time.Second
	longPause  = time.Minute
	shortPause = 5 * time.Second
	// endedPause is how often a session that has ended is looked for in the
	// store: somebody may have signed in.
	endedPause = time.Second
	// saveAgain is how often the store is tried that did not take a session.
	saveAgain = 30 * time.Second
	// flightLimit ends a flight: a lock, an exchange or a refresh, and a check.
	flightLimit = 3 * time.Minute
)

// flight is a refresh under way, which any number of callers wait for.
type flight struct {
	refreshes bool          // or it signs in or out
	early     chan struct{} // closed when there is a token to use, and the flight goes on
	done      chan struct{}
	err       error // set when done is closed
}

func (f *flight) ended() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// failure is how the last flight failed. Its zero value is a success.
type failure struct {
	err   error
	at    time.Time
	count int // in a row
	next  time.Duration
	asked time.Duration // by PERS
	ended bool
}

// pause is how long nothing is tried, with a token to use meanwhile or without.
func (f failure) pause(alive bool) time.Duration {
	switch {
	case f.err == nil:
		return 0
	case f.asked > 0:
		return f.asked
	case alive:
		return f.next
	}
	return min(f.next, shortPause)
}

// reason is why a refresh is asked for.
type reason int

const (
	refreshDue     reason = iota
	refreshRefused        // a service did not accept the token
)

// join returns the flight under way, or begins one. It is nil where none may
// begin now.
func (s *TokenSource) join(now time.Time, why reason) *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flight != nil {
		return s.flight
	}
	h := s.current.Load()
	since := now.Sub(s.failure.at)
	switch {
	case s.closed:
		return nil
	case why == refreshDue && h != nil && h.fresh(now):
		return nil
	case s.failure.err != nil && since >= 0 && since < s.failure.pause(h.alive(now)): // a clock may be put back
		return nil
	case why == refreshRefused:
		if since := now.Sub(s.renewedAt); since >= 0 && since < renewEvery {
			return nil
		}
		s.renewedAt = now
	}
	return s.launch(func(ctx context.Context, f *flight) error { return s.refresh(ctx, f, why) }, true)
}

// launch begins a flight, detached from the caller. The caller holds mu.
func (s *TokenSource) launch(do func(context.Context, *flight) error, refreshes bool) *flight {
	f := &flight{refreshes: refreshes, early: make(chan struct{}), done: make(chan struct{})}
	s.flight = f
	s.running.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), flightLimit)
		defer cancel()
		err := do(ctx, f)
		s.mu.Lock()
		if refreshes || err == nil {
			err = s.settle(err)
		}
		s.flight, f.err = nil, err
		close(f.done)
		s.mu.Unlock()
		if err != nil && refreshes {
			s.log.Warn("persauthclient: no new token", "error", err)
		}
	})
	return f
}

// begin waits until no flight is under way, and begins one.
func (s *TokenSource) begin(ctx context.Context, do func(context.Context) error) (*flight, error) {
	for {
		s.mu.Lock()
		switch running := s.flight; {
		case s.closed:
			s.mu.Unlock()
			return nil, &Error{Op: opToken, Got: "the source is closed", Err: ErrUnavailable}
		case running == nil:
			defer s.mu.Unlock()
			return s.launch(func(ctx context.Context, _ *flight) error { return do(ctx) }, false), nil
		default:
			s.mu.Unlock()
			select {
			case <-running.done:
			case <-ctx.Done():
				return nil, &Error{Op: opToken, Err: ErrUnavailable, Cause: ctx.Err()}
			}
		}
	}
}

// settle notes how a flight ended, and returns what those are told who waited for
// it. The caller holds mu.
func (s *TokenSource) settle(err error) error {
	if err == nil {
		s.failure = failure{}
		return nil
	}
	f := failure{err: err, at: s.now(), count: s.failure.count + 1, ended: errors.Is(err, ErrSignIn)}
	f.next = min(firstPause<<min(f.count-1, 10), longPause)
	f.next += time.Duration(float64(f.next) * 0.2 * (rand.Float64() - 0.5))
	var e *Error
	if errors.As(err, &e) {
		f.asked = e.RetryAfter
	}
	if f.ended {
		f.next, f.asked = endedPause, 0
	}
	s.failure = f
	if e != nil && e.Err == ErrUnavailable && e.RetryAfter == 0 {
		told := *e
		told.RetryAfter = f.pause(false)
		return &told
	}
	return err
}

// paused is the error while nothing is tried.
func (s *TokenSource) paused(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f := s.failure; {
	case f.ended:
		return f.err
	case f.err != nil:
		return &Error{Op: opToken, Got: "the last try failed", Err: sentinelOf(f.err), Cause: f.err,
			RetryAfter: max(f.at.Add(f.pause(false)).Sub(now), time.Millisecond)}
	}
	return &Error{Op: opToken, Got: "the source is closed", Err: ErrUnavailable}
}

func sentinelOf(err error) error {
	var e *Error
	if errors.As(err, &e) && (e.Err == ErrStore || e.Err == ErrAnswer) {
		return e.Err
	}
	return ErrUnavailable
}
