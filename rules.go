package persauth

// What a verifier expects of a token, and the form in which each expectation is
// written down once and used twice: by Verify, which wants an answer, and by
// Explain, which wants every want and got.

import (
	"time"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
)

// expectation is the part of a Config that tokens are held against. It is
// immutable.
type expectation struct {
	algorithms     map[string]bool
	algorithmNames string          // the names are for errors
	remote         map[string]bool // algorithms that only PERS can check
	types          map[string]bool // in the form of MediaType
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

// headerRules are the checks of a decoded header, in order.
var headerRules = []rule[jose.Header]{
	{
		name: "alg", err: ErrAlgorithm,
		ok: func(h *jose.Header, e *expectation) bool {
			return h.Algorithm != nil && e.algorithms[h.Alg] || e.remote[h.Alg]
		},
		want: func(_ *jose.Header, e *expectation) string { return "one of " + e.algorithmNames },
		got: func(h *jose.Header, _ *expectation) string {
			switch {
			case h.Alg == "":
				return "none given"
			case jose.Symmetric(h.Alg):
				return redact.Quote(h.Alg) + ", which is symmetric: no public key can check it"
			}
			return redact.Quote(h.Alg)
		},
	},
	{
		name: "typ", err: ErrMalformed,
		ok:   func(h *jose.Header, e *expectation) bool { return !h.HasTyp || e.types[jose.MediaType(h.Typ)] },
		want: func(_ *jose.Header, e *expectation) string { return "none, or one of " + e.typeNames },
		got: func(h *jose.Header, _ *expectation) string {
			if !h.HasTyp {
				return "none"
			}
			return redact.Quote(h.Typ)
		},
	},
	{
		// RFC 7515 §4.1.11: an extension that is not understood must be
		// refused, and none is.
		name: "crit", err: ErrMalformed,
		ok:   func(h *jose.Header, _ *expectation) bool { return !h.HasCrit },
		want: func(*jose.Header, *expectation) string { return "no critical extension" },
		got:  func(h *jose.Header, _ *expectation) string { return presence(h.HasCrit) },
	},
	{
		// RFC 7797 changes what is signed.
		name: "b64", err: ErrMalformed,
		ok:   func(h *jose.Header, _ *expectation) bool { return !h.HasB64 },
		want: func(*jose.Header, *expectation) string { return "no unencoded payload" },
		got:  func(h *jose.Header, _ *expectation) string { return presence(h.HasB64) },
	},
}

func presence(has bool) string {
	if has {
		return "the header has it"
	}
	return "none"
}
