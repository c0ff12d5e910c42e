package persauth

// The checks of decoded claims (RFC 7519 §4.1), in the order in which Explain
// lists them. All that fail are reported together.

import (
	"fmt"
	"slices"
	"strings"
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
			case c.expiresAt == noInstant:
				return "none"
			case c.now < c.expiresAt:
				return fmt.Sprintf("expires in %s (at %v)", span(c.expiresAt-c.now), c.expiresAt)
			}
			return fmt.Sprintf("expired %s ago (at %v; leeway %s)", span(c.now-c.expiresAt), c.expiresAt, leewayText(e))
		},
	},
	{
		name: "nbf", err: ErrNotYetValid, plain: true,
		ok: func(c *candidate, e *expectation) bool {
			return c.notBefore == noInstant || c.notBefore <= c.now.add(e.leeway)
		},
		want: func(*candidate, *expectation) string { return "none, or a time in the past" },
		got: func(c *candidate, e *expectation) string {
			switch {
			case c.notBefore == noInstant:
				return "none"
			case c.notBefore <= c.now:
				return fmt.Sprintf("valid since %v", c.notBefore)
			}
			return fmt.Sprintf("valid in %s (at %v; leeway %s)", span(c.notBefore-c.now), c.notBefore, leewayText(e))
		},
	},
	{
		name: "iat", err: ErrNotYetValid, plain: true,
		ok: func(c *candidate, e *expectation) bool {
			return c.issuedAt == noInstant || c.issuedAt <= c.now.add(e.leeway)
		},
		want: func(*candidate, *expectation) string { return "none, or a time in the past" },
		got: func(c *candidate, e *expectation) string {
			switch {
			case c.issuedAt == noInstant:
				return "none"
			case c.issuedAt <= c.now:
				return issued(c.issuedAt, c.now)
			}
			return strings.TrimSuffix(issued(c.issuedAt, c.now), ")") + "; leeway " + leewayText(e) + ")"
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
			for one := range elements(c.get(fieldAudience)) {
				if string(one) == e.audience {
					return true
				}
			}
			return false
		},
		want: func(_ *candidate, e *expectation) string { return orAny(e.audience) },
		got:  func(c *candidate, _ *expectation) string { return orNone(joined(string(c.get(fieldAudience)))) },
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

// issued says when something was made, and how far from now that is.
func issued(at, now instant) string {
	if at > now {
		return fmt.Sprintf("issued %s in the future (at %v)", span(at-now), at)
	}
	return fmt.Sprintf("issued %s ago (at %v)", span(now-at), at)
}

func leewayText(e *expectation) string { return span(instant(e.leeway.Microseconds())) }

// span writes a length of time in one or two units: "45s", "14m30s", "3h", "12
// days". A time.Duration would not do: it ends after 292 years.
func span(length instant) string {
	const (
		second = 1_000_000
		minute = 60 * second
		hour   = 60 * minute
		day    = 24 * hour
		year   = 8766 * hour
	)
	two := func(large, small instant, units string) string {
		text := fmt.Sprintf("%d%c", length/large, units[0])
		if rest := length % large / small; rest > 0 {
			text += fmt.Sprintf("%d%c", rest, units[1])
		}
		return text
	}
	switch {
	case length == 0:
		return "0s"
	case length < second:
		return fmt.Sprintf("%dms", length/1000)
	case length < minute:
		return fmt.Sprintf("%ds", length/second)
	case length < hour:
		return two(minute, second, "ms")
	case length < 2*day:
		return two(hour, minute, "hm")
	case length < 2*year:
		return fmt.Sprintf("%d days", length/day)
	}
	return fmt.Sprintf("%d years", length/year)
}

func orAny(value string) string {
	if value == "" {
		return "any: none is configured"
	}
	return quoted(value)
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
func (c *Claims) begun(e *expectation, now instant) bool {
	latest := now.add(e.leeway)
	return c.notBefore <= latest && c.issuedAt <= latest && c.checked <= now.add(clockSlack)
}

// end is when claims that passed pass no more.
func (c *Claims) end(e *expectation) instant { return c.expiresAt.add(e.leeway) }
