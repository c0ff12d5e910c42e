package persauth

// What a verifier expects of a token, and the form in which each policy is
// written down once and used twice: by Verify, which wants an answer, and by
// Explain, which wants every want and got.

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

// claimPolicy is the part of a Config that tokens are held against. It is
// immutable.
type claimPolicy struct {
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
	ok        func(*T, *claimPolicy) bool
	want, got func(*T, *claimPolicy) string
}

// failure describes a check that did not hold.
func (r *rule[T]) failure(t *T, e *claimPolicy) *Error {
	return &Error{Check: r.name, Want: r.want(t, e), Got: r.got(t, e), Err: r.err, plain: r.plain}
}

// firstFailure stops at the first rule that does not hold.
func firstFailure[T any](rules []rule[T], t *T, e *claimPolicy) error {
	for i := range rules {
		if r := &rules[i]; !r.ok(t, e) {
			return r.failure(t, e)
		}
	}
	return nil
}

// allFailures applies every rule and joins what does not hold.
func allFailures[T any](rules []rule[T], t *T, e *claimPolicy) error {
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
		ok: func(h *jose.Header, e *claimPolicy) bool {
			return h.Algorithm != nil && e.algorithms[h.Alg] || e.remote[h.Alg]
		},
		want: func(_ *jose.Header, e *claimPolicy) string { return "one of " + e.algorithmNames },
		got: func(h *jose.Header, _ *claimPolicy) string {
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
		ok:   func(h *jose.Header, e *claimPolicy) bool { return !h.HasTyp || e.types[jose.MediaType(h.Typ)] },
		want: func(_ *jose.Header, e *claimPolicy) string { return "none, or one of " + e.typeNames },
		got: func(h *jose.Header, _ *claimPolicy) string {
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
		ok:   func(h *jose.Header, _ *claimPolicy) bool { return !h.HasCrit },
		want: func(*jose.Header, *claimPolicy) string { return "no critical extension" },
		got:  func(h *jose.Header, _ *claimPolicy) string { return presence(h.HasCrit) },
	},
	{
		// RFC 7797 changes what is signed.
		name: "b64", err: ErrMalformed,
		ok:   func(h *jose.Header, _ *claimPolicy) bool { return !h.HasB64 },
		want: func(*jose.Header, *claimPolicy) string { return "no unencoded payload" },
		got:  func(h *jose.Header, _ *claimPolicy) string { return presence(h.HasB64) },
	},
}

func presence(has bool) string {
	if has {
		return "the header has it"
	}
	return "none"
}

// claimRules begins with the form of each claim; a claim that does not have its
// form passes the later checks, so that it is reported once.
var claimRules = slices.Concat(formChecks, []rule[parsedClaims]{
	{
		name: "exp", err: ErrExpired, plain: true,
		ok:   func(c *parsedClaims, e *claimPolicy) bool { return !c.expired(e) },
		want: func(*parsedClaims, *claimPolicy) string { return "a time in the future" },
		got: func(c *parsedClaims, e *claimPolicy) string {
			switch {
			case c.expiresAt == clock.None:
				return "none"
			case c.now < c.expiresAt:
				return fmt.Sprintf("expires in %s (at %v)", clock.Span(c.expiresAt-c.now), c.expiresAt)
			}
			return fmt.Sprintf("expired %s ago (at %v; leeway %s)", clock.Span(c.now-c.expiresAt), c.expiresAt, leewayText(e))
		},
	},
	{
		name: "nbf", err: ErrNotYetValid, plain: true,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			return c.notBefore == clock.None || c.notBefore <= c.now.Add(e.leeway)
		},
		want: func(*parsedClaims, *claimPolicy) string { return "none, or a time in the past" },
		got: func(c *parsedClaims, e *claimPolicy) string {
			switch {
			case c.notBefore == clock.None:
				return "none"
			case c.notBefore <= c.now:
				return fmt.Sprintf("valid since %v", c.notBefore)
			}
			return fmt.Sprintf("valid in %s (at %v; leeway %s)", clock.Span(c.notBefore-c.now), c.notBefore, leewayText(e))
		},
	},
	{
		name: "iat", err: ErrNotYetValid, plain: true,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			return c.issuedAt == clock.None || c.issuedAt <= c.now.Add(e.leeway)
		},
		want: func(*parsedClaims, *claimPolicy) string { return "none, or a time in the past" },
		got: func(c *parsedClaims, e *claimPolicy) string {
			switch {
			case c.issuedAt == clock.None:
				return "none"
			case c.issuedAt <= c.now:
				return clock.Issued(c.issuedAt, c.now)
			}
			return strings.TrimSuffix(clock.Issued(c.issuedAt, c.now), ")") + "; leeway " + leewayText(e) + ")"
		},
	},
	{
		name: "iss", err: ErrIssuer,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			return e.issuer == "" || string(c.get(fieldIssuer)) == e.issuer
		},
		want: func(_ *parsedClaims, e *claimPolicy) string { return orAny(e.issuer) },
		got:  func(c *parsedClaims, _ *claimPolicy) string { return orNone(string(c.get(fieldIssuer))) },
	},
	{
		name: "aud", err: ErrAudience,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			if e.audience == "" {
				return true
			}
			for one := range strictjson.List(c.get(fieldAudience)) {
				if string(one) == e.audience {
					return true
				}
			}
			return false
		},
		want: func(_ *parsedClaims, e *claimPolicy) string { return orAny(e.audience) },
		got: func(c *parsedClaims, _ *claimPolicy) string {
			return orNone(strictjson.ListText(string(c.get(fieldAudience))))
		},
	},
	{
		name: "tenant", err: ErrTenant,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			return e.tenants == nil || len(c.get(fieldTenant)) == 0 || e.tenants[string(c.get(fieldTenant))]
		},
		want: func(_ *parsedClaims, e *claimPolicy) string {
			return orAnyOf(e.tenants != nil, e.tenantNames)
		},
		got: func(c *parsedClaims, _ *claimPolicy) string { return orNone(string(c.get(fieldTenant))) },
	},
	{
		name: "authType", err: ErrClaims,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			return e.authTypes == nil || e.authTypes[string(c.get(fieldAuthType))]
		},
		want: func(_ *parsedClaims, e *claimPolicy) string { return orAnyOf(e.authTypes != nil, e.authTypeNames) },
		got:  func(c *parsedClaims, _ *claimPolicy) string { return orNone(string(c.get(fieldAuthType))) },
	},
	{
		// A refresh token is signed by the same keys, and lives for longer. It is
		// for POST /auth/refresh alone.
		name: "kind", err: ErrClaims,
		ok: func(c *parsedClaims, e *claimPolicy) bool {
			kind := c.get(fieldKind)
			return len(kind) == 0 || !namesRefresh(kind) && (e.kinds == nil || e.kinds[string(kind)])
		},
		want: func(_ *parsedClaims, e *claimPolicy) string {
			if e.kinds == nil {
				return "none, or one that is not a refresh token's"
			}
			return "none, or " + e.kindNames
		},
		got: func(c *parsedClaims, _ *claimPolicy) string { return orNone(string(c.get(fieldKind))) },
	},
})

// namesRefresh reports whether the name of a token's kind is that of a refresh
// token: PERS has USER_JWT_REFRESH_TOKEN and ADMIN_JWT_REFRESH_TOKEN.
func namesRefresh[T string | []byte](kind T) bool {
	const word = "refresh"
	for i := 0; i+len(word) <= len(kind); i++ {
		if strings.EqualFold(string(kind[i:i+len(word)]), word) {
			return true
		}
	}
	return false
}

// formChecks are the rules about the form of claims, valueRules the others: they
// are enough where every claim has its form.
var (
	formChecks = formRules()
	valueRules = claimRules[len(formChecks):]
)

// formRules makes a rule of each line of claimForms.
func formRules() []rule[parsedClaims] {
	rules := make([]rule[parsedClaims], 0, len(claimForms))
	for i, form := range claimForms {
		if field := claimField(i); field != noField {
			rules = append(rules, rule[parsedClaims]{
				name: form.check, err: ErrClaims, quiet: true,
				ok: func(c *parsedClaims, _ *claimPolicy) bool {
					_, wrong := c.wrong[field]
					return !wrong
				},
				want: func(*parsedClaims, *claimPolicy) string { return form.form },
				got:  func(c *parsedClaims, _ *claimPolicy) string { return c.wrong[field] },
			})
		}
	}
	return rules
}

func leewayText(e *claimPolicy) string { return clock.Span(clock.Instant(e.leeway.Microseconds())) }

func orAny(value string) string {
	if value == "" {
		return "any: none is configured"
	}
	return redact.Quote(value)
}

func orAnyOf(configured bool, names string) string {
	if !configured {
		return orAny("")
	}
	return names
}

// begun reports whether claims that passed pass at a time that may be an earlier
// one, when the clock was put back. PERS' word on them counts for nothing then: how
// old it is cannot be told.
func (c *Claims) begun(e *claimPolicy, now clock.Instant) bool {
	latest := now.Add(e.leeway)
	return c.notBefore <= latest && c.issuedAt <= latest && c.checked <= now.Add(clock.Slack)
}

// end is when claims that passed pass no more.
func (c *Claims) end(e *claimPolicy) clock.Instant { return c.expiresAt.Add(e.leeway) }
