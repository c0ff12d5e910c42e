package persauth

// What a verifier expects of a token, and the form in which each expectation is
// written down once and used twice: by Verify, which wants an answer, and by
// Explain, which wants every want and got.

import "time"

// expectation is the part of a Config that tokens are held against. It is
// immutable.
type expectation struct {
	algorithms     map[string]bool
	algorithmNames string          // the names are for errors
	remote         map[string]bool // algorithms that only PERS can check
	types          map[string]bool // in the form of mediaType
	typeNames      string
	issuer         string
	audience       string
	tenants        map[string]bool
	tenantNames    string
	authTypes      map[string]bool // nil: any
	authTypeNames  string
	kinds          map[string]bool // of tokens; nil: any but refresh tokens
	kindNames      string
	evidence       TenantEvidence
	leeway         time.Duration
}

// rule is one check of a header or of claims. ok must be cheap and must not
// allocate; want and got are only asked for when somebody will read them.
type rule[T any] struct {
	name      string
	err       error
	quiet     bool // not worth a line in a Report while it holds
	plain     bool // got says all that want does, and more
	ok        func(*T, *expectation) bool
	want, got func(*T, *expectation) string
}

// failure describes a check that did not hold.
func (r *rule[T]) failure(t *T, e *expectation) *Error {
	return &Error{Check: r.name, Want: r.want(t, e), Got: r.got(t, e), Err: r.err, plain: r.plain}
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
