package persauth

// The checks of decoded claims (RFC 7519 §4.1), in the order in which Explain
// lists them. All that fail are reported together.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

// claimRules begins with the form of each claim; a claim that does not have its
// form passes the later checks, so that it is reported once.
var claimRules = slices.Concat(formChecks, []rule[candidate]{
	{
		name: "exp", err: ErrExpired, plain: true,
		ok:   func(c *candidate, e *expectation) bool { return !c.expired(e) },
		want: func(*candidate, *expectation) string { return "a time in the future" },
		got: func(c *candidate, e *expectation) string {
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
		ok: func(c *candidate, e *expectation) bool {
			return c.notBefore == clock.None || c.notBefore <= c.now.Add(e.leeway)
		},
		want: func(*candidate, *expectation) string { return "none, or a time in the past" },
		got: func(c *candidate, e *expectation) string {
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
		ok: func(c *candidate, e *expectation) bool {
			return c.issuedAt == clock.None || c.issuedAt <= c.now.Add(e.leeway)
		},
		want: func(*candidate, *expectation) string { return "none, or a time in the past" },
		got: func(c *candidate, e *expectation) string {
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
		ok: func(c *candidate, e *expectation) bool {
			return e.issuer == "" || string(c.get(fieldIssuer)) == e.issuer
		},
		want: func(_ *candidate, e *expectation) string { return orAny(e.issuer) },
		got:  func(c *candidate, _ *expectation) string { return orNone(string(c.get(fieldIssuer))) },
	},
	{
		name: "aud", err: ErrAudience,
		ok: func(c *candidate, e *expectation) bool {
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
		want: func(_ *candidate, e *expectation) string { return orAny(e.audience) },
		got: func(c *candidate, _ *expectation) string {
			return orNone(strictjson.ListText(string(c.get(fieldAudience))))
		},
	},
	{
		name: "tenant", err: ErrTenant,
		ok: func(c *candidate, e *expectation) bool {
			return e.tenants == nil || len(c.get(fieldTenant)) == 0 || e.tenants[string(c.get(fieldTenant))]
		},
		want: func(_ *candidate, e *expectation) string {
			return orAnyOf(e.tenants != nil, e.tenantNames)
		},
		got: func(c *candidate, _ *expectation) string { return orNone(string(c.get(fieldTenant))) },
	},
	{
		name: "authType", err: ErrClaims,
		ok: func(c *candidate, e *expectation) bool {
			return e.authTypes == nil || e.authTypes[string(c.get(fieldAuthType))]
		},
		want: func(_ *candidate, e *expectation) string { return orAnyOf(e.authTypes != nil, e.authTypeNames) },
		got:  func(c *candidate, _ *expectation) string { return orNone(string(c.get(fieldAuthType))) },
	},
	{
		// A refresh token is signed by the same keys, and lives for longer. It is
		// for POST /auth/refresh alone.
		name: "kind", err: ErrClaims,
		ok: func(c *candidate, e *expectation) bool {
			kind := c.get(fieldKind)
			return len(kind) == 0 || !namesRefresh(kind) && (e.kinds == nil || e.kinds[string(kind)])
		},
		want: func(_ *candidate, e *expectation) string {
			if e.kinds == nil {
				return "none, or one that is not a refresh token's"
			}
			return "none, or " + e.kindNames
		},
		got: func(c *candidate, _ *expectation) string { return orNone(string(c.get(fieldKind))) },
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
func formRules() []rule[candidate] {
	rules := make([]rule[candidate], 0, len(claimForms))
	for i, form := range claimForms {
		if field := claimField(i); field != noField {
			rules = append(rules, rule[candidate]{
				name: form.check, err: ErrClaims, quiet: true,
				ok: func(c *candidate, _ *expectation) bool {
					_, wrong := c.wrong[field]
					return !wrong
				},
				want: func(*candidate, *expectation) string { return form.form },
				got:  func(c *candidate, _ *expectation) string { return c.wrong[field] },
			})
		}
	}
	return rules
}

func leewayText(e *expectation) string { return clock.Span(clock.Instant(e.leeway.Microseconds())) }

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
func (c *Claims) begun(e *expectation, now clock.Instant) bool {
	latest := now.Add(e.leeway)
	return c.notBefore <= latest && c.issuedAt <= latest && c.checked <= now.Add(clock.Slack)
}

// end is when claims that passed pass no more.
func (c *Claims) end(e *expectation) clock.Instant { return c.expiresAt.Add(e.leeway) }
