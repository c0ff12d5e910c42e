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
	return v.ask(ctx, v.record(t, f), f.purpose(), true)
}

// ask puts a token to PERS. The answer counts also when ctx ends before it comes:
// a PERS that is slower than the callers are patient would be asked for ever.
func (v *Verifier) ask(ctx context.Context, r *remembered, p purpose, live bool) (*Claims, error) {
	asked, err := v.oracle.ask(ctx, r.inquiry(), p, live, v.concluding(r))
	return v.renewed(r, asked, err)
}

func (r *remembered) inquiry() inquiry {
	return inquiry{r.token, r.claims.verification.KeyID, &r.claims}
}

func (v *Verifier) concluding(r *remembered) conclusion {
	return func(asked instant, err error) { _, _ = v.renewed(r, asked, err) }
}

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
	inBackground := func() { v.oracle.later(r.inquiry(), forRevocation, v.concluding(r)) }
	if now < r.due {
		if claims := v.adopt(r, now); claims != nil {
			return claims, nil
		}
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
	claims, err := v.ask(ctx, r, forRevocation, false)
	if inGrace && errors.Is(err, ErrUnavailable) && ctx.Err() == nil {
		return v.graceful(r), nil
	}
	return claims, err
}

// adopt verifies a token that PERS vouched for by a key that has come since. The
// verdict stays as old as it is. It returns nil where there is no such key.
func (v *Verifier) adopt(r *remembered, now instant) *Claims {
	if r.key != nil {
		return nil
	}
	t := v.take(r.token)
	defer t.release()
	f := finding{keys: v.keys.held(now), denied: v.denied.version.Load()}
	err := v.read(t)
	if err == nil {
		f.key, err = f.keys.verify(t)
	}
	if err != nil || v.check(t, now) != nil {
		return nil
	}
	return v.keep(v.record(t, f), r.checked)
}

// renewed draws the conclusion from PERS' answer about a token that passed all
// else.
func (v *Verifier) renewed(r *remembered, asked instant, err error) (*Claims, error) {
	switch {
	case err == nil:
		renewed := *r
		renewed.claims.verification.InGrace = false
		return v.keep(&renewed, asked), nil
	case errors.Is(err, ErrRejected):
		v.seen.remove(v.seen.hash(r.token))
		// Within the leeway PERS may well refuse a token as too old, or too new.
		if r.key != nil && r.claims.inTime(v.clock()) {
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
		v.seen.put(v.seen.hash(r.token), &marked)
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
