package persauth

// POST /auth/verify: the one question that only PERS can answer. Who may ask it,
// how often, and what is done when no answer comes.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

const (
	verifyPath = "/auth/verify"
	// maxVerdictSize bounds an answer, in bytes: a payload and some members.
	maxVerdictSize = 256 << 10
	// refusedFor is how long a refusal is remembered, mismatchFor an answer
	// that could not be believed. Both only spare PERS the same question.
	refusedFor  = 30 * time.Second
	mismatchFor = 5 * time.Second
	// refusals is how many of them are remembered at least.
	refusals = 4096
	// breakerFailures in a row open a lane's breaker for breakerPause.
	breakerFailures = 5
	breakerPause    = 10 * time.Second
)

// tokenDigest identifies a token where holding the token itself would be too
// large, or too telling.
type tokenDigest [sha256.Size]byte

func digestToken(token string) tokenDigest { return sha256.Sum256([]byte(token)) }

// purpose is why PERS is asked. Each has a budget and a breaker of its own, so
// that a flood of strangers never keeps a known caller from being checked.
type purpose int

const (
	forUnknownKey purpose = iota
	forRevocation
	purposes
)

func (p purpose) String() string { return [...]string{"unknown key", "revocation"}[p] }

// oracle asks PERS about tokens.
type oracle struct {
	api     *api
	tree    []claimMember
	timeout time.Duration
	now     func() time.Time
	log     *slog.Logger
	lanes   [purposes]*lane
	refused *bounded[*refusal]
	// conclude is told every answer, one after the other for one token, whether
	// or not anybody still waits for it. It returns what those are told who do.
	conclude func(about *remembered, asked instant, err error) (*Claims, error)

	context context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards what follows; never held across I/O
	closed bool
	asking map[tokenDigest]*question
	quiet  instant // PERS asked for silence until then
}

// lane is what a purpose has for itself.
type lane struct {
	budget  *rate.Limiter
	breaker *gobreaker.CircuitBreaker[answer]

	// Under the oracle's mu:
	latest   instant // when the budget was last looked at
	failing  bool    // the last question found no answer, or could not be put
	counts   CallCounters
	err      error           // of the last question put; nil if it was answered
	reported gobreaker.State // what the log was told last
}

// question is one call, which any number of callers wait for.
type question struct {
	about  *remembered
	why    purpose
	asked  instant   // when it was put; whatever PERS knew then is in the answer
	next   *question // for those who came too late for this one; guarded by mu
	done   chan struct{}
	claims *Claims // these two are set when done is closed
	err    error
}

// refusal is what is remembered of a token that PERS did not accept.
type refusal struct {
	until instant
	err   *Error
}

func newOracle(pers *api, tree []claimMember, cfg *Config, conclude func(*remembered, instant, error) (*Claims, error)) *oracle {
	ctx, cancel := context.WithCancel(context.Background())
	o := &oracle{api: pers, tree: tree, timeout: cfg.Timeout, now: cfg.Now, log: cfg.Logger, conclude: conclude,
		refused: newBounded[*refusal](refusals), asking: make(map[tokenDigest]*question),
		context: ctx, stop: cancel, quiet: noInstant}
	for p, perHour := range [purposes]int{forUnknownKey: cfg.UnknownKeyCallsPerHour, forRevocation: cfg.RevocationCallsPerHour} {
		o.lanes[p] = &lane{
			// A minute's worth may come at once.
			budget:  rate.NewLimiter(rate.Limit(float64(max(perHour, 0))/3600), max(perHour/60, 1)),
			breaker: gobreaker.NewCircuitBreaker[answer](breakerSettings),
			latest:  noInstant,
		}
	}
	return o
}

var breakerSettings = gobreaker.Settings{
	Timeout:     breakerPause,
	ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
	IsExcluded:  aboutToken,
}

// aboutToken reports whether an error is an answer that an odd token may well
// get: a 4xx that is not about the project key. It says nothing about PERS'
// health, and must not let a stranger open the breaker or bring about a pause.
func aboutToken(err error) bool {
	var status statusError
	return errors.As(err, &status) && status >= 400 && status < 500 &&
		status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests
}

// ask returns the claims of a token that PERS accepts. The error is ErrRejected,
// or what conclude makes of it, when PERS does not, ErrRemoteMismatch when its
// answer cannot be believed, and ErrUnavailable when there is none, or ctx ends
// first. One question is asked for any number of callers, and goes on when they
// leave.
//
// The answer is to a question that was put at since or later. With never, it is
// to one that is put from now on.
func (o *oracle) ask(ctx context.Context, about *remembered, why purpose, since instant) (*Claims, error) {
	kid := about.claims.header.kid
	if ctx.Err() != nil { // do not ask for somebody who has left
		return nil, withKeyID(interrupted(ctx, "remote"), kid)
	}
	q, err := o.join(about, why, since)
	if err != nil {
		return nil, withKeyID(err, kid)
	}
	select {
	case <-q.done:
		return q.claims, copyOf(q.err, kid)
	case <-ctx.Done():
		return nil, withKeyID(interrupted(ctx, "remote"), kid)
	}
}

// later asks in the background, unless that is being done already or cannot be
// done now.
func (o *oracle) later(about *remembered, why purpose) {
	_, _ = o.join(about, why, noInstant)
}

// join returns the question to wait for: the one under way about the token, the
// one after it, or a new one.
func (o *oracle) join(about *remembered, why purpose, since instant) (*question, error) {
	now := instantOf(o.now())
	digest := digestToken(about.token())
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.asking[digest]; q != nil {
		// A refusal of a token whose key is unknown says nothing about one
		// whose signature is known to be good.
		if q.asked >= since && (about.claims.key == nil || q.about.claims.key != nil) {
			return q, nil
		}
		if q.next == nil {
			q.next = &question{about: about, why: why, done: make(chan struct{})}
		} else if about.claims.key != nil && q.next.about.claims.key == nil {
			q.next.about, q.next.why = about, why // the key has come since
		}
		return q.next, nil
	}
	if r, ok := o.refused.get(string(digest[:])); ok && since != never && r.until.ahead(now, refusedFor) &&
		(about.claims.key == nil || r.err.Err != ErrRejected) {
		return nil, copyOf(r.err, about.claims.header.kid)
	}
	if err := o.permitted(why, now); err != nil {
		return nil, err
	}
	q := &question{about: about, why: why, done: make(chan struct{})}
	o.start(q, digest, now)
	return q, nil
}

// start puts a question that is permitted. The caller holds mu.
func (o *oracle) start(q *question, digest tokenDigest, now instant) {
	q.asked = now
	o.asking[digest] = q
	l := o.lanes[q.why]
	l.counts.Asked++
	o.running.Go(func() {
		err := o.put(q.about.token(), &q.about.claims, q.why)
		after := instantOf(o.now())
		q.claims, q.err = o.conclude(q.about, q.asked, err)
		o.remember(digest, q.err, after)
		o.mu.Lock()
		o.settle(l, err, after)
		before, state := l.reported, l.breaker.State()
		l.reported = state
		delete(o.asking, digest)
		if next := q.next; next != nil {
			if next.err = o.permitted(next.why, after); next.err == nil {
				o.start(next, digest, after)
			} else {
				close(next.done)
			}
		}
		close(q.done)
		o.mu.Unlock()
		if state != before { // told without the lock, because a log may take its time
			o.log.Warn("persauth: asking PERS about tokens", "purpose", q.why.String(), "breaker", state.String(), "before", before.String())
		}
	})
}

// permitted returns why the question may not be put now. The caller holds mu.
func (o *oracle) permitted(p purpose, now instant) error {
	l := o.lanes[p]
	refuse := func(got string, wait time.Duration) error {
		l.counts.Withheld++
		l.failing = true
		return &Error{Check: "remote", Want: "a question to PERS", Got: got, RetryAfter: wait, Err: ErrUnavailable}
	}
	switch {
	case o.closed:
		return refuse("a verifier that is closed", 0)
	case o.quiet.ahead(now, maxRetryAfter): // a clock may be put back
		return refuse("PERS has asked for a pause", o.quiet.time().Sub(now.time()))
	case l.breaker.State() == gobreaker.StateOpen:
		return refuse("PERS has not answered for a while", breakerPause)
	case !l.allow(now):
		return refuse("the budget of calls is used up", time.Duration(float64(time.Second)/float64(l.budget.Limit()))+time.Second)
	}
	return nil
}

// allow takes a call out of the budget. The caller holds the oracle's mu.
func (l *lane) allow(now instant) bool {
	if now.add(clockSlack) < l.latest {
		// The clock was put back, and a budget that is used up would wait for
		// it to catch up: it goes on from here, with what it has.
		l.budget.SetLimitAt(now.time(), l.budget.Limit())
	}
	l.latest = now
	return l.budget.AllowN(now.time(), 1)
}

// settle notes how a question ended. The caller holds mu.
func (o *oracle) settle(l *lane, err error, now instant) {
	unavailable := errors.Is(err, ErrUnavailable)
	l.failing = unavailable && !aboutToken(err) // or one odd token would bring grace to all
	if !unavailable {
		l.err = nil
		return
	}
	l.err = err
	if errors.Is(err, ErrRemoteMismatch) {
		l.counts.Mismatches++
	} else {
		l.counts.Failures++
	}
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 && !aboutToken(err) {
		if !o.quiet.ahead(now, maxRetryAfter) { // it is over, or from before the clock was put back
			o.quiet = noInstant
		}
		o.quiet = max(o.quiet, now.add(e.RetryAfter))
	}
}

// failing reports whether the last question of a purpose found no answer.
func (o *oracle) failing(p purpose) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lanes[p].failing
}

// remember keeps a refusal, so that the same token does not ask again at once.
func (o *oracle) remember(digest tokenDigest, err error, now instant) {
	key := string(digest[:])
	var e *Error
	if !errors.As(err, &e) {
		o.refused.remove(key)
		return
	}
	switch e.Err {
	case ErrRejected, ErrExpired, ErrNotYetValid:
		o.refused.put(key, &refusal{now.add(refusedFor), e})
	case ErrRemoteMismatch:
		o.refused.put(key, &refusal{now.add(mismatchFor), e})
	case ErrUnavailable:
		if aboutToken(e) { // or one odd token could use up everyone's calls
			o.refused.put(key, &refusal{now.add(mismatchFor), e})
		}
	}
}

// put asks PERS, and once more if the connection failed.
func (o *oracle) put(token string, claims *Claims, p purpose) error {
	ctx, cancel := context.WithTimeout(o.context, o.timeout)
	defer cancel()
	l := o.lanes[p]
	got, err := o.post(ctx, l, token)
	var broken *connectionError
	if errors.As(err, &broken) && ctx.Err() == nil && o.again(l) {
		got, err = o.post(ctx, l, token)
	}
	var e *Error
	switch {
	case err != nil && o.context.Err() != nil:
		// Not the cause: no caller's context was canceled.
		return &Error{Check: "remote", Want: "an answer of PERS", Got: "a verifier that is closed", Err: ErrUnavailable}
	case errors.As(err, &e):
		return e
	case err != nil: // the breaker's
		return &Error{Check: "remote", Want: "an answer of PERS", Err: ErrUnavailable, Cause: err}
	}
	return o.believe(got.body, claims)
}

// again reports whether the budget has a call for a second try.
func (o *oracle) again(l *lane) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return l.allow(instantOf(o.now()))
}

func (o *oracle) post(ctx context.Context, l *lane, token string) (answer, error) {
	body, err := json.Marshal(map[string]string{"authToken": token})
	if err != nil {
		return answer{}, &Error{Check: "remote", Want: "a token of text", Err: ErrMalformed}
	}
	return l.breaker.Execute(func() (answer, error) {
		return o.api.call(ctx, http.MethodPost, verifyPath, bytes.NewReader(body),
			map[string]string{"Content-Type": "application/json"}, maxVerdictSize)
	})
}

// close ends the questions that are under way and lets no other be put.
func (o *oracle) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.stop()
	o.running.Wait()
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
