package persauth

// When a token that verifies is asked about again, because PERS may have revoked
// it since: how old a verdict may get, who renews it, and what happens when PERS
// does not answer.

import (
	"context"
	"errors"
	"time"
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
// at hand. So a revoked token is accepted for the maximal age and the grace, and
// no longer.
// [Verification.InGrace] tells of it.
func (p RevocationPolicy) WithGrace(grace time.Duration) RevocationPolicy {
	p.grace = grace
	return p
}

const (
	longLived  = time.Hour
	autoMaxAge = 5 * time.Minute
	// strangerMaxAge is how long PERS' word on a token is good whose key is not
	// at hand.
	strangerMaxAge = 5 * time.Minute
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
	short := c.issuedAt != noInstant && c.expiresAt <= c.issuedAt.add(longLived)
	return autoMaxAge, !short
}

// VerifyLive is [Verifier.Verify], and always asks PERS, now, whether the token
// is good: before something that cannot be undone, say. Without an answer the
// error is [ErrUnavailable]; there is no grace. It needs a project key.
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
	if v.oracle == nil {
		return nil, &Error{Check: "remote", Want: "a project key, and a verifier that is not offline", Got: "none", Err: ErrUnavailable}
	}
	t := v.take(token)
	defer t.release()
	now := v.clock()
	f, err := v.local(ctx, t, v.keys.held(now), now)
	why := forRevocation
	if f.stranger {
		why = forUnknownKey
	} else if err != nil {
		return nil, err
	}
	return v.oracle.ask(ctx, v.record(t, f), why, never)
}

// fresh reports whether PERS need not be asked again about a remembered token.
func (v *Verifier) fresh(r *remembered, now instant) bool {
	if r.claims.checked == noInstant {
		return true
	}
	renew, _ := v.due(r)
	return now < renew
}

// recheck is for a remembered token whose verdict is due for renewal.
func (v *Verifier) recheck(ctx context.Context, r *remembered, now instant) (*Claims, error) {
	_, due := v.due(r)
	if now < due {
		if claims, err := v.adopt(r, now); claims != nil || err != nil {
			return claims, err
		}
		v.oracle.later(r, forRevocation)
		return &r.claims, nil
	}
	if r.claims.key == nil {
		// The key may have come in the meantime.
		t := v.take(r.token())
		defer t.release()
		return v.anew(ctx, t, v.keys.held(now), now, forRevocation)
	}
	inGrace := func() bool { return v.clock() < due.add(v.revocation.grace) }
	if inGrace() && v.oracle.failing(forRevocation) {
		v.oracle.later(r, forRevocation) // nobody waits for an answer that will hardly come
		return v.graceful(r), nil
	}
	maxAge, _ := v.maxAge(r)
	claims, err := v.oracle.ask(ctx, r, forRevocation, now.add(-maxAge))
	if errors.Is(err, ErrUnavailable) && ctx.Err() == nil && inGrace() {
		return v.graceful(r), nil
	}
	return claims, err
}

// adopt verifies a token that PERS vouched for by a key that has come since. PERS'
// word stays as old as it is, and counts for nothing if the key did not sign the
// token. Without such a key there are neither claims nor an error.
func (v *Verifier) adopt(r *remembered, now instant) (*Claims, error) {
	if r.claims.key != nil {
		return nil, nil
	}
	t := v.take(r.token())
	defer t.release()
	f := finding{keys: v.keys.held(now), denied: v.denied.version.Load()}
	err := v.read(t)
	if err == nil {
		f.key, err = f.keys.verify(t)
	}
	if errors.Is(err, ErrUnknownKey) {
		return nil, nil
	}
	if err == nil {
		err = v.check(t, now)
	}
	if err != nil {
		v.seen.remove(r.token())
		return nil, err
	}
	adopted := v.vouched(v.record(t, f), r.claims.checked)
	v.seen.replace(r, adopted)
	return &adopted.claims, nil
}

// graceful marks a remembered token as one that passes by grace.
func (v *Verifier) graceful(r *remembered) *Claims {
	if !r.claims.flags.has(flagInGrace) {
		marked := *r
		marked.claims.flags |= flagInGrace
		v.seen.replace(r, &marked)
		r = &marked
	}
	return &r.claims
}

// conclude draws the conclusion from PERS' answer to a question about r.
func (v *Verifier) conclude(r *remembered, asked instant, err error) (*Claims, error) {
	now := v.clock()
	switch {
	case err == nil:
		renewed := v.vouched(r, asked)
		v.seen.put(renewed)
		return &renewed.claims, nil
	case !errors.Is(err, ErrRejected):
		return nil, err
	}
	v.seen.remove(r.token())
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
	// The signature is good and the token is not: that is for good.
	names := denyNames{denyToken: signingInput(r.token())}
	v.denied.add(&names, denial{never, r.claims.end(v.expect)}, now)
	return nil, errRevoked("PERS")
}

func errRevoked(by string) *Error {
	return &Error{Check: "revocation", Want: "a token that is not revoked", Got: "one that was revoked, says " + by, Err: ErrRevoked}
}

// vouched is r with PERS' word on it, for which it was asked at a time.
func (v *Verifier) vouched(r *remembered, asked instant) *remembered {
	renewed := *r
	renewed.claims.flags &^= flagInGrace
	renewed.claims.checked = asked
	return &renewed
}

// due returns when a new word of PERS on a token should be asked for, and when
// the one there is will be too old.
func (v *Verifier) due(r *remembered) (renew, end instant) {
	maxAge, ages := v.maxAge(r)
	if !ages {
		return never, never
	}
	return r.claims.checked.add(maxAge / 5 * 4), r.claims.checked.add(maxAge)
}

// maxAge returns how old PERS' word on a token may get, and whether there has to
// be one at all.
func (v *Verifier) maxAge(r *remembered) (maxAge time.Duration, ages bool) {
	maxAge, ages = v.revocation.applies(&r.claims)
	if r.claims.key == nil {
		if !ages {
			maxAge = strangerMaxAge
		}
		return min(maxAge, strangerMaxAge), true
	}
	return maxAge, ages
}
