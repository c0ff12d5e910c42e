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
	"strings"
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
	failing bool // the last question found no answer, or could not be put
	counts  CallCounters
	err     error // of the last question put; nil if it was answered
}

// inquiry is a token to ask about, with the claims that were read from it.
type inquiry struct {
	token  string
	kid    string
	claims *Claims
}

// question is one call, which any number of callers wait for.
type question struct {
	done chan struct{} // closed when err is set
	err  error         // nil: PERS accepts the token
}

// refusal is what is remembered of a token that PERS did not accept.
type refusal struct {
	token tokenDigest
	until instant
	err   *Error
}

func newOracle(pers *api, tree []claimMember, cfg *Config) *oracle {
	ctx, cancel := context.WithCancel(context.Background())
	o := &oracle{api: pers, tree: tree, timeout: cfg.Timeout, now: cfg.Now, log: cfg.Logger,
		refused: newBounded[*refusal](refusals), asking: make(map[tokenDigest]*question),
		context: ctx, stop: cancel, quiet: noInstant}
	for p, perHour := range [purposes]int{forUnknownKey: cfg.UnknownKeyCalls, forRevocation: cfg.RevocationCalls} {
		o.lanes[p] = &lane{
			// A minute's worth may come at once.
			budget:  rate.NewLimiter(rate.Limit(float64(max(perHour, 0))/3600), max(perHour/60, 1)),
			breaker: gobreaker.NewCircuitBreaker[answer](breakerSettings(purpose(p), o.log)),
		}
	}
	return o
}

func breakerSettings(p purpose, log *slog.Logger) gobreaker.Settings {
	return gobreaker.Settings{
		Name:        p.String(),
		Timeout:     breakerPause,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
		// An odd token may well be answered with a 4xx. That says nothing about
		// PERS' health, and must not let a stranger open the breaker.
		IsExcluded: func(err error) bool {
			var status statusError
			return errors.As(err, &status) && status >= 400 && status < 500 &&
				status != http.StatusUnauthorized && status != http.StatusForbidden && status != http.StatusTooManyRequests
		},
		OnStateChange: func(name string, from, to gobreaker.State) {
			log.Warn("persauth: asking PERS about tokens", "purpose", name, "breaker", to.String(), "before", from.String())
		},
	}
}

// ask returns nil when PERS accepts the token. The error is ErrRejected when it
// does not, ErrRemoteMismatch when its answer cannot be believed, and
// ErrUnavailable when there is none, or ctx ends first. One question is asked
// for any number of callers, and goes on when they leave.
//
// live asks for the answer to a question that was not put before now.
func (o *oracle) ask(ctx context.Context, i inquiry, p purpose, live bool) error {
	for {
		q, mine, err := o.join(i, p, live, nil)
		if err != nil {
			return withKeyID(err, i.kid)
		}
		select {
		case <-q.done:
		case <-ctx.Done():
			return withKeyID(interrupted(ctx, "remote"), i.kid)
		}
		if !live || mine {
			return copyOf(q.err, i.kid)
		}
		live = false // whatever is asked next is asked after we came
	}
}

// later asks in the background, unless that is being done already or cannot be
// done now. then gets the answer.
func (o *oracle) later(i inquiry, p purpose, then func(error)) {
	_, _, _ = o.join(i, p, false, then)
}

// join returns the question about a token that is under way, or puts it. then,
// if any, gets the answer to a question that is put.
func (o *oracle) join(i inquiry, p purpose, live bool, then func(error)) (q *question, mine bool, err error) {
	now := instantOf(o.now())
	digest := digestToken(i.token)
	hash := o.refused.hash(string(digest[:]))
	o.mu.Lock()
	defer o.mu.Unlock()
	if q := o.asking[digest]; q != nil {
		return q, false, nil
	}
	if r, ok := o.refused.get(hash); ok && !live && r.token == digest && now < r.until {
		return nil, false, copyOf(r.err, i.kid)
	}
	if err := o.permitted(p, now); err != nil {
		return nil, false, err
	}
	q = &question{done: make(chan struct{})}
	o.asking[digest] = q
	o.lanes[p].counts.Asked++
	// The goroutine outlives the caller, whose token may be in a buffer that is
	// used again.
	token, own := strings.Clone(i.token), *i.claims
	o.running.Go(func() {
		err := o.put(token, &own, p)
		after := instantOf(o.now())
		o.remember(hash, digest, err, after)
		if then != nil {
			then(err)
		}
		o.mu.Lock()
		delete(o.asking, digest)
		o.settle(o.lanes[p], err, after)
		o.mu.Unlock()
		q.err = err
		close(q.done)
	})
	return q, true, nil
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
	case now < o.quiet:
		return refuse("PERS has asked for a pause", o.quiet.time().Sub(now.time()))
	case l.breaker.State() == gobreaker.StateOpen:
		return refuse("PERS has not answered for a while", breakerPause)
	case !l.budget.AllowN(now.time(), 1):
		return refuse("the budget of calls is used up", time.Duration(float64(time.Second)/float64(l.budget.Limit()))+time.Second)
	}
	return nil
}

// settle notes how a question ended. The caller holds mu.
func (o *oracle) settle(l *lane, err error, now instant) {
	l.failing = errors.Is(err, ErrUnavailable)
	if !l.failing {
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
	if errors.As(err, &e) && e.RetryAfter > 0 {
		o.quiet = max(o.quiet, now.add(min(e.RetryAfter, maxRetryAfter)))
	}
}

// failing reports whether the last question of a purpose found no answer.
func (o *oracle) failing(p purpose) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lanes[p].failing
}

// remember keeps a refusal, so that the same token does not ask again at once.
func (o *oracle) remember(hash uint64, digest tokenDigest, err error, now instant) {
	var e *Error
	if !errors.As(err, &e) {
		o.refused.remove(hash)
		return
	}
	switch e.Err {
	case ErrRejected:
		o.refused.put(hash, &refusal{digest, now.add(refusedFor), e})
	case ErrRemoteMismatch:
		o.refused.put(hash, &refusal{digest, now.add(mismatchFor), e})
	}
}

// put asks PERS, and once more if the connection failed.
func (o *oracle) put(token string, claims *Claims, p purpose) error {
	ctx, cancel := context.WithTimeout(o.context, o.timeout)
	defer cancel()
	l := o.lanes[p]
	got, err := o.post(ctx, l, token)
	var broken *connectionError
	if errors.As(err, &broken) && ctx.Err() == nil && l.budget.AllowN(o.now(), 1) {
		got, err = o.post(ctx, l, token)
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) { // the breaker's
			e = &Error{Check: "remote", Want: "an answer of PERS", Err: ErrUnavailable, Cause: err}
		}
		return e
	}
	return o.believe(got.body, claims)
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
