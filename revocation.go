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

var (
	// RevocationAuto asks every 5 minutes about tokens that live longer than
	// an hour, where there is a project key to ask with. Shorter ones are
	// trusted until they expire.
	RevocationAuto = RevocationPolicy{}
	// RevocationOff never asks: a token is trusted until it expires. What
	// [Verifier.Revoke] says still counts.
	RevocationOff = RevocationPolicy{mode: revocationOff}
	// RevocationAlways asks for every call of Verify.
	RevocationAlways = RevocationPolicy{mode: revocationEvery}
)

// RevocationEvery asks about every token when the last answer is maxAge old. At
// 80 % of that age the answer is renewed in the background, so that callers need
// not wait.
func RevocationEvery(maxAge time.Duration) RevocationPolicy {
	return RevocationPolicy{mode: revocationEvery, maxAge: maxAge}
}

// WithGrace lets a token pass for grace longer than its last verdict is good,
// while PERS does not answer. Without grace it is refused with [ErrUnavailable]
// then, as is a token that PERS was never asked about. So a revoked token is
// accepted for the maximal age and the grace, and no longer.
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
func (v *Verifier) VerifyLive(ctx context.Context, token string) (*Claims, error) {
	return v.counted(v.verifyLive(ctx, token))
}

func (v *Verifier) verifyLive(ctx context.Context, token string) (*Claims, error) {
	if v.oracle == nil {
		return nil, &Error{Check: "remote", Want: "a project key, and a verifier that is not offline", Got: "none", Err: ErrUnavailable}
	}
	t := v.take(token)
	defer t.release()
	now := v.clock()
	f, err := v.local(ctx, t, v.keys.held(now), now)
	if err != nil && !f.stranger {
		return nil, err
	}
	if err := v.ask(ctx, t, f, true); err != nil {
		return nil, err
	}
	return v.remember(t, f, v.clock()), nil
}

// ask puts the token to PERS, for the purpose that fits.
func (v *Verifier) ask(ctx context.Context, t *parsed, f finding, live bool) error {
	p := forRevocation
	if f.stranger && !f.vouched {
		p = forUnknownKey
	}
	err := v.oracle.ask(ctx, t.inquiry(), p, live)
	if errors.Is(err, ErrRejected) && !f.stranger {
		return withKeyID(v.revokedByPERS(t.token, &t.claims.Claims), t.header.kid)
	}
	return err
}

func (t *parsed) inquiry() inquiry { return inquiry{t.token, t.header.kid, &t.claims.Claims} }

// revokedByPERS notes that a token whose signature is good is not accepted any
// more: that is for good.
func (v *Verifier) revokedByPERS(token string, c *Claims) *Error {
	v.denied.token(token, c.expiresAt.add(v.expect.leeway), v.clock())
	return errRevoked("PERS")
}

func errRevoked(by string) *Error {
	return &Error{Check: "revocation", Want: "a token that is not revoked", Got: "one that was revoked, says " + by, Err: ErrRevoked}
}

// recheck is for a remembered token whose verdict is due for renewal.
func (v *Verifier) recheck(ctx context.Context, r *remembered, now instant) (*Claims, error) {
	i := inquiry{r.token, r.claims.verification.KeyID, &r.claims}
	inBackground := func() {
		v.oracle.later(i, forRevocation, func(err error) { _, _ = v.renewed(r, err) })
	}
	if now < r.due {
		inBackground()
		return &r.claims, nil
	}
	if r.key == nil {
		// The key may have come in the meantime.
		t := v.take(r.token)
		defer t.release()
		return v.anew(ctx, t, v.keys.held(now), now, true)
	}
	inGrace := now < r.due.add(v.revocation.grace)
	if inGrace && v.oracle.failing(forRevocation) {
		inBackground() // nobody waits for an answer that will hardly come
		return v.graceful(r), nil
	}
	claims, err := v.renewed(r, v.oracle.ask(ctx, i, forRevocation, false))
	if inGrace && errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		return v.graceful(r), nil
	}
	return claims, err
}

// renewed draws the conclusion from PERS' answer about a remembered token.
func (v *Verifier) renewed(r *remembered, err error) (*Claims, error) {
	switch {
	case err == nil:
		renewed := *r
		renewed.claims.verification.InGrace = false
		v.schedule(&renewed, v.clock())
		v.seen.put(v.seen.hash(r.token), &renewed)
		return &renewed.claims, nil
	case errors.Is(err, ErrRejected):
		v.seen.remove(v.seen.hash(r.token))
		if r.key != nil {
			err = withKeyID(v.revokedByPERS(r.token, &r.claims), r.claims.verification.KeyID)
		}
	}
	return nil, err
}

// graceful marks a remembered token as one that passes by grace.
func (v *Verifier) graceful(r *remembered) *Claims {
	if !r.claims.verification.InGrace {
		marked := *r
		marked.claims.verification.InGrace = true
		v.seen.replace(v.seen.hash(r.token), r, &marked)
		r = &marked
	}
	return &r.claims
}

// schedule notes that PERS vouched for a token at a time, and when it must be
// asked again.
func (v *Verifier) schedule(r *remembered, checked instant) {
	r.checked, r.renew, r.due = checked, never, never
	r.claims.verification.CheckedAt = checked.orZero()
	if checked == noInstant {
		return
	}
	maxAge, ages := v.revocation.applies(&r.claims)
	if r.key == nil {
		if !ages {
			maxAge = strangerMaxAge
		}
		maxAge, ages = min(maxAge, strangerMaxAge), true
	}
	if ages {
		r.due = checked.add(maxAge)
		r.renew = checked.add(maxAge / 5 * 4)
	}
}
