package persauth

// What each purpose of asking PERS about tokens has for itself: a budget of calls,
// a share of it for each subject, and a circuit breaker. So a flood of strangers
// never keeps a known caller from being checked, and one caller none of the others.

import (
	"errors"
	"net/http"
	"time"

	"github.com/persauth/persauth/internal/cache"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

// purpose is why PERS is asked about a token.
type purpose int

const (
	forUnknownKey purpose = iota
	forRemoteAlgorithm
	forRevocation
	purposes
)

// String is fit for the label of a metric.
func (p purpose) String() string {
	return [...]string{"unknown_key", "remote_algorithm", "revocation"}[p]
}

const (
	// breakerFailures in a row open a breaker for breakerPause.
	breakerFailures = 5
	breakerPause    = 10 * time.Second
	// callShare is the part of a budget that one subject can take: one in so
	// many calls, but never less than subjectPerHour.
	callShare      = 8
	subjectPerHour = 60
	// sharesKept is how many subjects are remembered at least, by purpose. One
	// that is forgotten starts again with a full share.
	sharesKept = 1024
	// keyRefusals is how many subjects must have got a 401 or 403, with no 2xx
	// between, before these count as said of the project key.
	keyRefusals = 3
)

// bulkhead is what a purpose has for itself. All but the breaker is guarded by the
// introspector's mu.
type bulkhead struct {
	breaker *gobreaker.CircuitBreaker[[]byte]
	budget  *budget
	shares  *cache.Bounded[*budget] // by subject

	answered    bool          // PERS has answered at least once
	failing     bool          // the last call found no answer, or could not be made
	pausedUntil clock.Instant // PERS asked for a pause of these calls
	unwelcome   map[tokenDigest]struct{}
	counts      CallCounters
	err         error           // of the last call; nil if it was answered
	reported    gobreaker.State // what the log was told last
}

func newBulkhead(perHour float64) *bulkhead {
	return &bulkhead{
		breaker:     gobreaker.NewCircuitBreaker[[]byte](breakerSettings),
		budget:      newBudget(perHour, perHour/60), // a minute's worth may come at once
		shares:      cache.NewBounded[*budget](sharesKept),
		pausedUntil: clock.None,
		unwelcome:   make(map[tokenDigest]struct{}),
	}
}

var breakerSettings = gobreaker.Settings{
	Timeout:     breakerPause,
	ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
	IsExcluded: func(err error) bool {
		var blamed *blamedError
		return errors.As(err, &blamed) && blamed.blame != blamePERS
	},
}

// blame says what a call that failed is evidence of.
type blame int

const (
	blamePERS   blame = iota // PERS, or the way there, is in trouble
	blameToken               // PERS does not like this token: that says nothing about its health
	blameNobody              // this process stood still meanwhile
)

// blamedError is an error of a call, with what it is evidence of.
type blamedError struct {
	error
	blame blame
}

func (e *blamedError) Unwrap() error { return e.error }

// statusOf returns the status that PERS failed a call with, or 0.
func statusOf(err error) persapi.StatusError {
	var status persapi.StatusError
	_ = errors.As(err, &status)
	return status
}

// refusesKey reports whether an error can mean that PERS does not accept the
// project key.
func refusesKey(err error) bool {
	status := statusOf(err)
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// blameOf judges a call about a subject that failed. An odd token may well get a
// 4xx, and must not let a stranger open the breaker or bring about a pause. A 401
// or 403 is about the project key when several subjects get it, or when the key
// set is refused as well.
func (b *bulkhead) blameOf(err error, subject tokenDigest, keysRefused bool) blame {
	status := statusOf(err)
	switch {
	case status < 400 || status > 499 || status == http.StatusTooManyRequests:
		return blamePERS
	case !refusesKey(err):
		return blameToken
	}
	if len(b.unwelcome) < keyRefusals {
		b.unwelcome[subject] = struct{}{}
	}
	if keysRefused || len(b.unwelcome) == keyRefusals {
		return blamePERS
	}
	return blameToken
}

// permit takes a call out of the budgets, or returns why it may not be made now.
// The caller holds mu.
func (i *introspector) permit(call *inflightCall, now clock.Instant) error {
	b := i.bulkheads[call.why]
	e := &Error{Check: "remote", Want: "a call of PERS", Err: ErrUnavailable}
	others := true // they are concerned, too
	switch {
	case i.closed:
		e.Got = "a verifier that is closed"
	case i.pausedUntil.Ahead(now, persapi.MaxRetryAfter): // a clock may be put back
		e.Got, e.RetryAfter = "the calls of the project key are used up, says PERS", i.pausedUntil.Time().Sub(now.Time())
	case b.pausedUntil.Ahead(now, persapi.MaxRetryAfter):
		e.Got, e.RetryAfter = "PERS has asked for a pause", b.pausedUntil.Time().Sub(now.Time())
	case b.breaker.State() == gobreaker.StateOpen:
		e.Got, e.RetryAfter = "PERS has not answered for a while", breakerPause
	default:
		usedUp := b.take(call.subject, now)
		if usedUp == nil {
			return nil
		}
		e.Got, e.RetryAfter = "the budget of calls is used up", usedUp.wait()
		if others = usedUp == b.budget; !others {
			e.Got = "the subject's share of the calls is used up"
		}
	}
	b.counts.Withheld++
	b.failing = b.failing || others
	return e
}

// settle notes how a call ended. It reports whether PERS has begun to limit all
// calls. The caller holds mu.
func (i *introspector) settle(b *bulkhead, err error, blame blame, now clock.Instant) (limited bool) {
	mismatch := errors.Is(err, ErrRemoteMismatch)
	if mismatch || !errors.Is(err, ErrUnavailable) { // a 2xx: the project key is accepted
		for _, each := range i.bulkheads {
			clear(each.unwelcome)
		}
	}
	if b.err = err; !errors.Is(err, ErrUnavailable) {
		b.answered, b.failing, b.err = true, false, nil
		return false
	}
	if blame == blameNobody {
		return false
	}
	b.failing = blame == blamePERS // or one odd token would bring grace to all
	b.answered = b.answered || !b.failing
	if mismatch {
		b.counts.Mismatches++
	} else {
		b.counts.Failures++
	}
	var e *Error
	switch {
	case blame != blamePERS || !errors.As(err, &e):
	case statusOf(err) == http.StatusTooManyRequests:
		b.counts.RateLimited++
		limited = !i.pausedUntil.Ahead(now, persapi.MaxRetryAfter)
		i.pausedUntil = extendPause(i.pausedUntil, now, e.RetryAfter)
		return limited && e.RetryAfter > 0
	case e.RetryAfter > 0:
		b.pausedUntil = extendPause(b.pausedUntil, now, e.RetryAfter)
	}
	return false
}

// extendPause returns the end of a pause that may be under way already. One from before
// a clock was put back is over.
func extendPause(until, now clock.Instant, pause time.Duration) clock.Instant {
	if !until.Ahead(now, persapi.MaxRetryAfter) {
		until = clock.None
	}
	return max(until, now.Add(pause))
}

// failing reports whether the last call for a purpose found no answer, or could
// not be made.
func (i *introspector) failing(p purpose) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.bulkheads[p].failing
}

// budget is a number of calls that grows with time. A clock that is put back does
// not stop it.
type budget struct {
	limiter *rate.Limiter
	latest  clock.Instant // when it was last looked at
}

func newBudget(perHour, burst float64) *budget {
	return &budget{rate.NewLimiter(rate.Limit(perHour/3600), max(int(burst), 1)), clock.None}
}

// share returns the budget of a subject, which is an eighth of all.
func (b *bulkhead) share(subject tokenDigest) *budget {
	key := string(subject[:])
	share, ok := b.shares.Get(key)
	if !ok {
		perHour := float64(b.budget.limiter.Limit()) * 3600
		share = newBudget(min(perHour, max(perHour/callShare, subjectPerHour)), float64(b.budget.limiter.Burst())/callShare)
		b.shares.Put(key, share)
	}
	return share
}

// has reports whether there is a call left, take takes it.
func (b *budget) has(now clock.Instant) bool {
	if now.Add(clock.Slack) < b.latest {
		// The clock was put back, and a budget that is used up would wait for
		// it to catch up: it goes on from here, with what it has.
		b.limiter.SetLimitAt(now.Time(), b.limiter.Limit())
	}
	b.latest = now
	return b.limiter.TokensAt(now.Time()) >= 1
}

func (b *budget) take(now clock.Instant) bool { return b.has(now) && b.limiter.AllowN(now.Time(), 1) }

// wait is how long it takes at most until there is another call.
func (b *budget) wait() time.Duration {
	return time.Duration(float64(time.Second)/float64(b.limiter.Limit())) + time.Second
}

// take takes a call for a subject out of its share and out of the budget, or says
// which of them is used up.
func (b *bulkhead) take(subject tokenDigest, now clock.Instant) (usedUp *budget) {
	if !b.budget.has(now) { // before a share is made: a flood of subjects makes none
		return b.budget
	}
	share := b.share(subject)
	if !share.take(now) {
		return share
	}
	b.budget.take(now)
	return nil
}
