package persauth

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// Report is what [Verifier.Explain] found: the answer, and every check that led
// to it. It holds neither the token nor its signature. The wants and gots of a
// token that is not valid come from a stranger; treat them as such.
type Report struct {
	// Valid is true when Verify accepts the token.
	Valid bool `json:"valid"`
	// Err is the error that Verify gives, nil for a valid token.
	Err error `json:"-"`
	// Claims are those of a valid token, nil for any other.
	Claims *Claims `json:"claims,omitempty"`
	// Checks are in the order in which they are made.
	Checks []Check `json:"checks"`
	// Evidence says, for a token whose claims can be read, which rights it has
	// evidence for, and which setting decides. What is missing there is no fault
	// of the token.
	Evidence []Check `json:"evidence,omitempty"`
}

// Check is one line of a [Report].
type Check struct {
	// Name is that of [Error.Check]: "size", "alg", "signature", "exp".
	Name string `json:"name"`
	// Result is what came of it.
	Result CheckResult `json:"result"`
	// Want and Got say what was asked for and what was there.
	Want string `json:"want,omitempty"`
	Got  string `json:"got,omitempty"`
}

// CheckResult is what came of a [Check].
type CheckResult string

// The results of a check.
const (
	Passed  CheckResult = "passed"
	Failed  CheckResult = "failed"
	Skipped CheckResult = "skipped" // an earlier failure left nothing to look at
)

// Explain verifies the token as [Verifier.Verify] does, and reports each check
// with what was wanted and what was got. It goes on past a failure as far as
// there is something left to look at, so that all faults of a token show at once.
// It is for people who want to know why; Verify is far cheaper.
func (v *Verifier) Explain(ctx context.Context, token string) Report {
	now := v.clock()
	keys := v.keys.Held(now)
	claims, err := v.verify(ctx, token, v.lookup(token, keys, now), keys, now)
	if err == nil && v.needsProof(ctx, token, claims) {
		claims, err = nil, v.errWithoutProof(claims)
	}
	r := Report{Valid: err == nil, Err: err, Claims: claims}
	r.describe(v, token)
	if claims != nil && claims.checked != clock.None {
		r.Checks = append(r.Checks, Check{"remote", Passed, "a token that PERS accepts", "one that it does"})
	}
	// What depends on others, and on the moment, is in the error alone.
	var e *Error
	if errors.As(err, &e) && !r.has(e.Check, Failed) {
		r.Checks = append(r.Checks, Check{e.Check, Failed, e.Want, causeOr(e)})
	}
	return r
}

func (r *Report) describe(v *Verifier, token string) {
	if !r.note(joseErr(jose.CheckSize(token)), "size", fmt.Sprintf("at most %d bytes", jose.MaxTokenSize), fmt.Sprintf("%d bytes", len(token))) {
		return
	}
	s, err := jose.Split(token)
	if !r.note(joseErr(err), "form", "header.payload.signature", "that") {
		return
	}
	h, err := jose.DecodeHeader(s.Header)
	readable := r.note(joseErr(err), "header", "a strict JSON object", "one of "+fmt.Sprint(len(s.Header))+" characters")
	fit := readable
	if readable {
		fit = applyRules(r, headerRules, h, v.policy)
	}
	t := v.take(token)
	defer t.release()
	t.Segments, t.header = s, h
	if t.sig, err = jose.DecodeSegment(nil, s.Signature, "signature"); err != nil {
		fit = r.note(joseErr(err), "encoding", "", "")
	}
	var unreadable error
	t.payload, unreadable = jose.DecodeSegment(nil, s.Payload, "payload")
	if fit {
		r.describeKey(v, t)
	} else {
		r.skip("key", "signature")
	}
	if unreadable != nil {
		r.note(joseErr(unreadable), "encoding", "", "")
		return
	}
	err = t.claims.decode(t.payload, v.tree, v.clock())
	if r.note(err, "payload", "a strict JSON object", fmt.Sprintf("one of %d bytes", len(t.payload))) {
		applyRules(r, claimRules, &t.claims, v.policy)
		r.describeEvidence(&t.claims, v.policy)
	}
}

// describeEvidence tells whether roles in the token count as the tenant's.
func (r *Report) describeEvidence(c *parsedClaims, e *claimPolicy) {
	result := Failed
	if e.tenantSession(c) {
		result = Passed
	}
	r.Evidence = append(r.Evidence, Check{"tenant role", result, wantTenantSession, gotTenantEvidence(c)})
}

// describeKey looks for the key among those that are held, and fetches no others:
// Verify just did.
func (r *Report) describeKey(v *Verifier, t *parsedToken) {
	keys := v.keys.Latest()
	if !v.keys.Usable(keys, v.clock()) {
		keys = nil
	}
	key, err := t.verifiedBy(keys)
	switch {
	case errors.Is(err, ErrUnknownKey) && r.Valid:
		r.skip("key", "signature") // PERS looked at them
	case errors.Is(err, ErrUnknownKey):
		r.note(err, "key", "", "")
		r.skip("signature")
	case errors.Is(err, ErrAlgorithm):
		r.note(err, "key", "", "")
		r.skip("signature")
	default:
		r.note(nil, "key", "a key of the key set", fmt.Sprintf("kid %s, from %s", orNone(t.header.Kid), keys.Source))
		got := ""
		if key != nil {
			got = "one by " + key.Type + " " + key.Thumbprint
		}
		r.note(err, "signature", "one by that key", got)
	}
}

// applyRules notes each rule and reports whether all of them held.
func applyRules[T any](r *Report, rules []rule[T], t *T, e *claimPolicy) bool {
	all := true
	for i := range rules {
		rule := &rules[i]
		ok := rule.ok(t, e)
		if ok && (rule.quiet || r.has(rule.name, Failed)) {
			continue // nothing new, or what is wrong was said already
		}
		result := Passed
		if !ok {
			result, all = Failed, false
		}
		r.Checks = append(r.Checks, Check{rule.name, result, rule.want(t, e), rule.got(t, e)})
	}
	return all
}

// note adds a check that passed, or the failure that err describes.
func (r *Report) note(err error, name, want, got string) bool {
	var e *Error
	switch {
	case err == nil:
		r.Checks = append(r.Checks, Check{name, Passed, want, got})
		return true
	case errors.As(err, &e):
		r.Checks = append(r.Checks, Check{e.Check, Failed, e.Want, causeOr(e)})
	default:
		r.Checks = append(r.Checks, Check{name, Failed, want, err.Error()})
	}
	return false
}

func (r *Report) skip(names ...string) {
	for _, name := range names {
		r.Checks = append(r.Checks, Check{Name: name, Result: Skipped})
	}
}

func (r *Report) has(name string, result CheckResult) bool {
	for _, c := range r.Checks {
		if c.Name == name && c.Result == result {
			return true
		}
	}
	return false
}

// causeOr returns what an error got, with what lies beneath it.
func causeOr(e *Error) string {
	if e.Cause == nil {
		return e.Got
	}
	return strings.TrimPrefix(e.Got+": "+e.Cause.Error(), ": ")
}
