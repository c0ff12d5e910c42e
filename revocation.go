package persauth

// When a token that verifies is asked about again, because PERS may have revoked
// it since: how old a verdict may get, who renews it, and what happens when PERS
// does not answer.

import (
	"context"
	"errors"
	"time"

	"github.com/persauth/persauth/internal/clock"
)

// RevocationPolicy says when PERS is asked whether a token with a good signature
// was revoked: one of [RevocationAuto], [RevocationOff], [RevocationEvery] and
// [RevocationAlways]. The zero value is RevocationAuto.
type RevocationPolicy struct {
	mode   revocationMode
	maxAge time.Duration
	grace  time.Duration
}

type revocationMode int

const (
	revocationAuto revocationMode = iota
	revocationOff
	revocationEvery
)

// RevocationAuto asks every 5 minutes about tokens that live longer than an hour,
// where there is a project key to ask with. Shorter ones are trusted until they
// expire. It is the zero value.
func RevocationAuto() RevocationPolicy { return RevocationPolicy{} }

// RevocationOff never asks: a token is trusted until it expires. What
// [Verifier.Revoke] says still counts.
func RevocationOff() RevocationPolicy { return RevocationPolicy{mode: revocationOff} }

// RevocationAlways asks for every call of Verify. Concurrent calls for a token
// share one request, started no earlier than the call.
func RevocationAlways() RevocationPolicy { return RevocationPolicy{mode: revocationEvery} }

// RevocationEvery asks about every token when the last answer is maxAge old. At
// 80 % of that age the answer is renewed in the background, so that callers need
// not wait.
func RevocationEvery(maxAge time.Duration) RevocationPolicy {
	return RevocationPolicy{mode: revocationEvery, maxAge: maxAge}
}

// WithGrace lets a token pass for grace longer than its last verdict is good,
// while PERS does not answer. Without grace it is refused with [ErrUnavailable]
// then, as are a token that PERS was never asked about and one whose key is not
// held. So a revoked token is accepted for the maximal age and the grace, and
// no longer.
// [Verification.InGrace] tells of it.
func (p RevocationPolicy) WithGrace(grace time.Duration) RevocationPolicy {
	p.grace = grace
	return p
}

const (
	longLived = time.Hour
	// autoMaxAge is how long a verdict is good by RevocationAuto, and at most for a
	// token whose key is not held.
	autoMaxAge = 5 * time.Minute
)

// applies returns how old a verdict on the claims may get, and whether there has
// to be one at all.
func (p RevocationPolicy) applies(c *Claims) (maxAge time.Duration, ok bool) {
	switch p.mode {
	case revocationOff:
		return 0, false
	case revocationEvery:
		return p.maxAge, true
	}
	// Without an iat nobody knows how long a token lives: long, then.
	short := c.issuedAt != clock.None && c.expiresAt <= c.issuedAt.Add(longLived)
	return autoMaxAge, !short
}

// verdictAge is applies for a token that may be known by the word of PERS alone, or
// while the revocations of the fleet are not known (behind).
func (p RevocationPolicy) verdictAge(c *Claims, behind bool) (maxAge time.Duration, ok bool) {
	maxAge, ok = p.applies(c)
	if !behind && c.key != nil {
		return maxAge, ok
	}
	if !ok {
		maxAge = autoMaxAge
	}
	return min(maxAge, autoMaxAge), true
}

// revocationStep is what revocation asks for about a token that was verified before.
type revocationStep int

const (
	useToken       revocationStep = iota // the verdict is young enough, or none is needed
	refreshVerdict                       // use the token, and renew the verdict in the background
	askFirst                             // ask PERS before the token is used
	askElseGrace                         // ask PERS; without an answer the token passes by grace
)

// step is the whole of the revocation policy as one function of its arguments: the
// policy, what is known of the token, and the time. behind says that the revocations
// of the fleet are not known.
func (p RevocationPolicy) step(c *Claims, behind bool, now clock.Instant) revocationStep {
	if c.checked == clock.None && !behind {
		return useToken // it was accepted without a verdict
	}
	maxAge, ok := p.verdictAge(c, behind)
	switch end := c.checked.Add(maxAge); {
	case !ok || now < c.checked.Add(maxAge/5*4):
		return useToken
	case now < end:
		return refreshVerdict
	case c.key == nil || now >= end.Add(p.grace):
		return askFirst
	}
	return askElseGrace
}

// VerifyLive is [Verifier.Verify], and always asks PERS, now, whether the token
// is good: before something that cannot be undone, say. Without an answer the
// error is [ErrUnavailable], or the refusal that PERS gave before; there is no
// grace. It needs a project key. It draws on the same calls as the policy does.
//
// In a handler behind [Verifier.Middleware] pass the context of the request: for a
// token that is bound to a key, it tells that the proof was checked.
func (v *Verifier) VerifyLive(ctx context.Context, token string) (*Claims, error) {
	claims, err := v.counted(v.verifyLive(ctx, token))
	if err != nil {
		return nil, err
	}
	return v.withoutProof(ctx, token, claims)
}

func (v *Verifier) verifyLive(ctx context.Context, token string) (*Claims, error) {
	if v.introspector == nil {
		return nil, &Error{Check: "remote", Want: "a project key, and a verifier that is not offline", Got: "none", Err: ErrUnavailable}
	}
	t := v.take(token)
	defer t.release()
	now := v.clock()
	keys := v.keys.Held(now)
	vouched := v.lookup(token, keys, now) != nil
	l := v.local(ctx, t, keys, now)
	if l.decision == refused {
		return nil, l.err
	}
	return v.introspector.ask(ctx, inquiry{v.toCache(t, l), l.purpose(t, vouched), clock.Never, clock.Never, l.deadline})
}

// fresh reports whether PERS need not be asked again about a remembered token.
func (v *Verifier) fresh(r *cachedToken, now clock.Instant) bool {
	return r.claims.checked == clock.None && v.fleet == nil || v.stillFresh(r, now)
}

// stillFresh is the part of fresh that takes a call.
func (v *Verifier) stillFresh(r *cachedToken, now clock.Instant) bool {
	behind := v.fleet.behind(now)
	return r.claims.checked == clock.None && !behind || v.revocation.step(&r.claims, behind, now) == useToken
}

// mustAsk reports whether PERS has to be asked about a token, which the keys accept,
// before it is used.
func (v *Verifier) mustAsk(r *cachedToken) bool {
	if v.introspector == nil {
		return false
	}
	_, ask := v.revocation.verdictAge(&r.claims, v.fleet.behind(v.clock()))
	return ask || v.refusedByPERS(&r.claims)
}

// oldestVerdict is from when on a verdict on a token counts.
func (v *Verifier) oldestVerdict(r *cachedToken, behind bool, now clock.Instant) clock.Instant {
	maxAge, _ := v.revocation.verdictAge(&r.claims, behind)
	return now.Add(-maxAge)
}

// refreshVerdict accepts a remembered token and has PERS asked about it in the
// background, or verifies it by a key that has come since.
func (v *Verifier) refreshVerdict(r *cachedToken, now clock.Instant) (*Claims, error) {
	if claims, err := v.upgradeToLocal(r, now); claims != nil || err != nil {
		return claims, err
	}
	v.introspector.later(r, forRevocation)
	return &r.claims, nil
}

// askElseGrace asks PERS about a remembered token, which passes by grace where there
// is no answer.
func (v *Verifier) askElseGrace(ctx context.Context, r *cachedToken, behind bool, now clock.Instant) (*Claims, error) {
	if v.introspector.failing(forRevocation) {
		v.introspector.later(r, forRevocation) // don't block on a failing backend
		return v.markInGrace(r), nil
	}
	maxAge, _ := v.revocation.verdictAge(&r.claims, behind)
	graceEnd := r.claims.checked.Add(maxAge).Add(v.revocation.grace)
	claims, err := v.introspector.ask(ctx, inquiry{r, forRevocation, now.Add(-maxAge), now, v.graceDeadline(now, graceEnd)})
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil && v.clock() < graceEnd {
		return v.markInGrace(r), nil
	}
	return claims, err
}

// graceMargin is how long before the end of grace, at most, nobody waits any more:
// timers are late on a busy machine, and grace does not last longer than it says.
const graceMargin = 250 * time.Millisecond

// graceDeadline returns until when a caller waits for PERS whose token passes by
// grace: grace that ends during the wait would be none. Zero: for the timeout.
func (v *Verifier) graceDeadline(now, graceEnd clock.Instant) time.Time {
	left := graceEnd.Time().Sub(now.Time())
	if left <= 0 || graceEnd == clock.Never {
		return time.Time{}
	}
	return time.Now().Add(min(left-min(left/8, graceMargin), v.introspector.timeout))
}

// upgradeToLocal verifies a token that PERS vouched for by a key that has come since. PERS'
// word stays as old as it is, and counts for nothing if the key did not sign the
// token. Without such a key there are neither claims nor an error.
func (v *Verifier) upgradeToLocal(r *cachedToken, now clock.Instant) (*Claims, error) {
	if r.claims.key != nil {
		return nil, nil
	}
	t := v.take(r.token())
	defer t.release()
	l := localResult{keys: v.keys.Held(now), denied: v.denied.version.Load()}
	err := v.read(t)
	if err == nil {
		l.key, err = t.verifiedBy(l.keys)
	}
	if errors.Is(err, ErrUnknownKey) {
		return nil, nil
	}
	if err == nil {
		err = v.checkClaims(t, now)
	}
	if err != nil {
		v.tokens.Remove(r.token())
		return nil, err
	}
	upgraded := v.withVerdict(v.toCache(t, l), r.claims.checked)
	v.tokens.Replace(r, upgraded)
	return &upgraded.claims, nil
}

// markInGrace marks a remembered token as one that passes by grace.
func (v *Verifier) markInGrace(r *cachedToken) *Claims {
	if !r.claims.flags.has(flagInGrace) {
		marked := *r
		marked.claims.flags |= flagInGrace
		v.tokens.Replace(r, &marked)
		r = &marked
	}
	return &r.claims
}

// applyVerdict draws the conclusion from the answer of PERS to a call about r.
func (v *Verifier) applyVerdict(r *cachedToken, asked clock.Instant, err error) (*Claims, error) {
	now := v.clock()
	switch {
	case err == nil:
		renewed := v.withVerdict(r, asked)
		v.tokens.Put(renewed)
		return &renewed.claims, nil
	case !errors.Is(err, ErrRejected):
		return nil, err
	}
	v.tokens.Remove(r.token())
	switch {
	case r.claims.key == nil:
		return nil, err
	case now >= r.claims.expiresAt:
		// PERS need not have our leeway: this says nothing of a revocation.
		return nil, &Error{Check: "exp", Want: "later than now, by the clock of PERS", Got: r.claims.expiresAt.String(), Err: ErrExpired}
	case now < r.claims.notBefore:
		return nil, &Error{Check: "nbf", Want: "earlier than now, by the clock of PERS", Got: r.claims.notBefore.String(), Err: ErrNotYetValid}
	case now < r.claims.issuedAt:
		return nil, &Error{Check: "iat", Want: "earlier than now, by the clock of PERS", Got: r.claims.issuedAt.String(), Err: ErrNotYetValid}
	}
	// The signature is good and the token is not. The next answer may differ:
	// the negative cache sees to it that PERS is asked again.
	return nil, errRevoked("PERS")
}

// refusedByPERS reports whether PERS, when it was last asked, refused a token
// whose signature is good. Whatever the policy, it is asked again then.
func (v *Verifier) refusedByPERS(c *Claims) bool {
	return c.key != nil && v.introspector != nil && v.denied.version.Load() > 0 && v.introspector.negatives.has(c)
}

func errRevoked(by string) *Error {
	return &Error{Check: "revocation", Want: "a token that is not revoked", Got: "one that was revoked, says " + by, Err: ErrRevoked}
}

// withVerdict is r with PERS' word on it, for which it was asked at a time.
func (v *Verifier) withVerdict(r *cachedToken, asked clock.Instant) *cachedToken {
	renewed := *r
	renewed.claims.flags &^= flagInGrace
	renewed.claims.checked = asked
	return &renewed
}

// verdictBetween returns the claims of a remembered token for which PERS vouched
// when it was asked between two times, and later than r says, or nil. Where the key
// is known now, it has to be what verified the token.
func (v *Verifier) verdictBetween(r *cachedToken, from, to clock.Instant) *Claims {
	if from > to {
		return nil
	}
	is := v.tokens.Get(r.token())
	if is == nil || is.claims.key != r.claims.key || is.claims.checked < from || is.claims.checked > to || is.claims.checked <= r.claims.checked {
		return nil
	}
	return &is.claims
}

// refusesBehind reports whether tokens are refused because the fleet's revocations
// are not known.
func (v *Verifier) refusesBehind(now clock.Instant) bool {
	return v.fleet.behind(now) && (v.introspector == nil || v.fleet.policy.WhenBehind == BehindRefuses)
}

func errBehind() *Error {
	return &Error{Check: "fleet", Want: "the revocations of the fleet", Got: "none for longer than MaxLag", RetryAfter: time.Second, Err: ErrUnavailable}
}
