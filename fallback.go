package persauth

// POST /auth/verify: what only PERS can tell. Calls are coalesced by token,
// bounded in number and time, and go on when those who wait for them leave.

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/persauth/persauth/internal/strictjson"
)

const (
	// lastMoment is how long somebody whose time is over waits for a call whose
	// time is over, too: it can say what went wrong.
	lastMoment = 100 * time.Millisecond
)

// tokenDigest identifies a token where storing it would waste memory or leak it.
type tokenDigest [sha256.Size]byte

func digestToken(token string) tokenDigest { return sha256.Sum256([]byte(token)) }

// introspector asks PERS about tokens.
type introspector struct {
	api       *persapi.Client
	tree      []strictjson.Member
	timeout   time.Duration
	now       func() time.Time
	log       *slog.Logger
	bulkheads [purposes]*bulkhead
	negatives *negativeCache
	// keysRefused reports whether the key set is refused to the project key.
	keysRefused func() bool
	// applyVerdict is told every answer, one after the other for one token,
	// whether or not anybody still waits for it. It returns what the callers get.
	applyVerdict func(about *cachedToken, asked clock.Instant, err error) (*Claims, error)
	// vouched returns the claims of a token that PERS accepted when it was asked
	// between two times, and later than about says, or nil.
	vouched func(about *cachedToken, from, to clock.Instant) *Claims

	// fleet shares calls and their answers; nil: this instance is alone.
	fleet *fleetMember

	context context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu          sync.Mutex // guards what follows; never held across I/O
	closed      bool
	inflight    map[tokenDigest]*inflightCall
	pausedUntil clock.Instant // the calls of the project key are used up until then
}

// newIntrospector makes the introspector of a verifier.
func newIntrospector(pers *persapi.Client, cfg *Config, v *Verifier) *introspector {
	ctx, cancel := context.WithCancel(context.Background())
	i := &introspector{
		api: pers, tree: v.tree, timeout: cfg.Timeout, now: cfg.Now, log: cfg.Logger,
		negatives:   newNegativeCache(v.denied.changedElsewhere),
		keysRefused: func() bool { return refusesKey(v.keys.Failure()) }, applyVerdict: v.applyVerdict, vouched: v.verdictBetween, fleet: v.fleet,
		context: ctx, stop: cancel,
		inflight: make(map[tokenDigest]*inflightCall), pausedUntil: clock.None,
	}
	for p, perHour := range cfg.callsPerHour() {
		i.bulkheads[p] = newBulkhead(perHour)
	}
	return i
}

// inquiry is what a caller wants to know.
type inquiry struct {
	about *cachedToken
	why   purpose
	// The answer is to be to a call that was made at since or later; with never,
	// to one that is made from now on.
	since clock.Instant
	// came is when the caller did. An answer to a call that was made after that,
	// and that is there by now, will do. With never, none will.
	came clock.Instant
	// deadline is when the caller has waited long enough. Zero: the timeout from
	// now on.
	deadline time.Time
}

// ask returns the claims of a token that PERS accepts. The error is ErrRejected,
// or what applyVerdict makes of it, when PERS does not, ErrRemoteMismatch when its
// answer is not valid, and ErrUnavailable when there is none, or ctx ends, or the
// deadline comes first.
//
// One call serves any number of callers, and goes on when they leave.
func (i *introspector) ask(ctx context.Context, q inquiry) (*Claims, error) {
	kid := q.about.claims.header.Kid
	if ctx.Err() != nil { // don't ask for a caller who has left
		return nil, withKeyID(interrupted(ctx, "remote"), kid)
	}
	patience := i.timeout
	if !q.deadline.IsZero() {
		patience = time.Until(q.deadline)
	}
	call, err := i.join(q)
	var claims *Claims
	if err == nil {
		claims, err = i.wait(ctx, call, patience)
	}
	if errors.Is(err, ErrUnavailable) && q.since != clock.Never && ctx.Err() == nil {
		if refused := i.negatives.refusal(q.about); refused != nil {
			err = refused // the last word of PERS
		}
	}
	return claims, copyOf(err, kid)
}

// wait waits for a call as long as the caller's context and patience last.
func (i *introspector) wait(ctx context.Context, call *inflightCall, patience time.Duration) (*Claims, error) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-call.done:
		return call.claims, call.err
	case <-ctx.Done():
		return nil, interrupted(ctx, "remote")
	case <-timer.C:
	}
	i.mu.Lock()
	over := !call.began.IsZero() && time.Since(call.began) >= i.timeout-lastMoment
	i.mu.Unlock()
	if over {
		select {
		case <-call.done:
			return call.claims, call.err
		case <-time.After(lastMoment):
		}
	}
	return nil, &Error{Check: "remote", Want: "an answer of PERS in time", Got: "none yet",
		RetryAfter: time.Second, Err: ErrUnavailable, Cause: context.DeadlineExceeded}
}

// later asks in the background, unless that is being done already or cannot be
// done now.
func (i *introspector) later(about *cachedToken, why purpose) {
	_, _ = i.join(inquiry{about: about, why: why, since: clock.None, came: clock.Never})
}

// call asks PERS, or takes the answer that another instance got.
func (i *introspector) call(ctx context.Context, call *inflightCall) (blame, error) {
	body, err := i.answer(ctx, call)
	if err == nil {
		return blamePERS, i.validate(body, &call.about.claims, call.about.claims.key == nil)
	}
	if i.context.Err() != nil {
		// Not the cause: no caller's context was canceled.
		return blamePERS, &Error{Check: "remote", Want: "an answer of PERS", Got: "a verifier that is closed", Err: ErrUnavailable}
	}
	var blamed *blamedError
	if errors.As(err, &blamed) {
		if blamed.blame == blameNobody {
			return blameNobody, &Error{Check: "remote", Want: "an answer of PERS", Got: "none: this process stood still", RetryAfter: time.Second, Err: ErrUnavailable}
		}
		return blamed.blame, blamed.error
	}
	var e *Error
	if !errors.As(err, &e) { // the breaker's
		e = &Error{Check: "remote", Want: "an answer of PERS", Err: ErrUnavailable, Cause: err}
	}
	return blamePERS, e
}

// ownAnswer asks PERS, and once more if the connection failed.
func (i *introspector) ownAnswer(ctx context.Context, call *inflightCall) ([]byte, error) {
	body, err := i.post(ctx, call)
	var broken *persapi.ConnectionError
	if errors.As(err, &broken) && ctx.Err() == nil && i.again(call) {
		body, err = i.post(ctx, call)
	}
	return body, err
}

// again reports whether there is a call left for a second try.
func (i *introspector) again(call *inflightCall) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.bulkheads[call.why].take(call.subject, clock.Of(i.now())) == nil
}

// post makes one call, and tells the breaker what it is evidence of.
func (i *introspector) post(ctx context.Context, call *inflightCall) ([]byte, error) {
	b := i.bulkheads[call.why]
	if i.fleet != nil {
		if err := i.fleet.leases.take(ctx, call.why.callPurpose()); err != nil {
			return nil, err
		}
	}
	return b.breaker.Execute(func() ([]byte, error) {
		body, err := i.api.Verify(ctx, call.about.token())
		if err == nil {
			return body, nil
		}
		err = apiErr(err)
		if i.stoodStill(call, clock.Of(i.now())) {
			return nil, &blamedError{err, blameNobody}
		}
		refused := refusesKey(err) && i.keysRefused()
		i.mu.Lock()
		defer i.mu.Unlock()
		return nil, &blamedError{err, b.blameOf(err, call.subject, refused)}
	})
}

// close ends the calls that are under way and lets no other be made.
func (i *introspector) close() {
	i.mu.Lock()
	i.closed = true
	i.mu.Unlock()
	i.stop()
	i.running.Wait()
}

// copyOf is withKeyID for an error that others have too.
func copyOf(err error, kid string) error {
	var e *Error
	if errors.As(err, &e) {
		own := *e
		return withKeyID(&own, kid)
	}
	return err
}
