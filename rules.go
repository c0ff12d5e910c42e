package persauth

// What a verifier expects of a token, and the form in which each expectation is
// written down once and used twice: by Verify, which wants an answer, and by
// Explain, which wants every want and got.

import (
	"math"
	"time"
)

// instant is a point in time in microseconds since 1970: small, comparable, and
// wide enough for any year that a token may name.
type instant int64

func instantOf(t time.Time) instant { return instant(t.UnixMicro()) }

func (i instant) time() time.Time { return time.UnixMicro(int64(i)).UTC() }

func (i instant) add(d time.Duration) instant { return i + instant(d.Microseconds()) }

// noInstant stands for a time that is not given.
const noInstant instant = math.MinInt64

// orZero is time for a Go API, where a time that is not given is the zero time.
func (i instant) orZero() time.Time {
	if i == noInstant {
		return time.Time{}
	}
	return i.time()
}

func (i instant) String() string {
	if i == noInstant {
		return "none"
	}
	return i.time().Format(time.RFC3339)
}

// expectation is the part of a Config that tokens are held against. It is
// immutable.
type expectation struct {
	algorithms     map[string]bool
	algorithmNames []string
	remote         map[string]bool // algorithms that only PERS can check
	types          map[string]bool // in the form of mediaType
	typeNames      []string
	issuer         string
	audience       string
	tenants        map[string]bool
	tenantNames    []string
	leeway         time.Duration
}

// rule is one check of a header or of claims. ok must be cheap and must not
// allocate; want and got are only asked for when somebody will read them.
type rule[T any] struct {
	name      string
	err       error
	quiet     bool // not worth a line in a Report while it holds
	ok        func(*T, *expectation) bool
	want, got func(*T, *expectation) string
}

// failure describes a check that did not hold.
func (r *rule[T]) failure(t *T, e *expectation) *Error {
	return &Error{Check: r.name, Want: r.want(t, e), Got: r.got(t, e), Err: r.err}
}

// firstFailure stops at the first rule that does not hold.
func firstFailure[T any](rules []rule[T], t *T, e *expectation) error {
	for i := range rules {
		if r := &rules[i]; !r.ok(t, e) {
			return r.failure(t, e)
		}
	}
	return nil
}

// allFailures applies every rule and joins what does not hold.
func allFailures[T any](rules []rule[T], t *T, e *expectation) error {
	var failed failures
	for i := range rules {
		if r := &rules[i]; !r.ok(t, e) {
			failed = append(failed, r.failure(t, e))
		}
	}
	return failed.join()
}
