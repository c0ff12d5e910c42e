package persauth

// What is kept of tokens that were verified, so that the next request with the
// same token costs a look-up and a comparison. Nothing is remembered of a token
// before its signature held, so strangers cannot fill this memory.

import (
	"strings"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
)

// cachedHeaders is how many different headers are kept. PERS' tokens differ
// in their header only by key.
const cachedHeaders = 256

// cachedToken is a token that passed every check. It is immutable, and no larger
// than it need be: see docs/performance.md.
type cachedToken struct {
	claims Claims
	whole  string // the text of the claims, with the token's signature behind it
}

// token returns the token itself.
func (r *cachedToken) token() string { return r.whole[r.claims.ends[textFields-1]:] }

// lookup returns a token that was verified before, if it still would be: it is
// in time, its key is still in the set and not too old, and nobody revoked it.
// Whether PERS must be asked about it again is for the caller to see.
func (v *Verifier) lookup(token string, keys *keyring.Set, now clock.Instant) *cachedToken {
	if len(token) > jose.MaxTokenSize {
		return nil
	}
	r := v.tokens.Get(token)
	if r == nil || r.claims.key != nil && (keys == nil || r.claims.key.Retired.Load()) || !r.claims.begun(v.policy, now) {
		return nil
	}
	version := v.denied.version.Load()
	if now >= r.claims.end(v.policy) || version != r.claims.denied && (v.deniedNow(&r.claims, now) || v.refusedByPERS(&r.claims)) {
		v.tokens.Remove(token)
		return nil
	}
	if stale := keys != nil && keys.Stale(now); stale != r.claims.flags.has(flagKeysStale) || version != r.claims.denied {
		renewed := *r
		renewed.claims.flags = renewed.claims.flags.with(flagKeysStale, stale)
		renewed.claims.denied = version
		v.tokens.Replace(r, &renewed)
		r = &renewed
	}
	return r
}

// deniedNow reports whether a verified token is revoked.
func (v *Verifier) deniedNow(c *Claims, now clock.Instant) bool {
	names := c.deniedNames()
	return v.denied.has(&names, c.issuedAt, now)
}

// toCache is what there is to remember of a token, in a form that outlives t. Of
// one whose signature held, it keeps the header.
func (v *Verifier) toCache(t *parsedToken, l localResult) *cachedToken {
	r := new(cachedToken)
	c := &t.claims
	r.claims = Claims{
		header: t.header, key: l.key, denied: l.denied,
		flags: claimFlags(0).with(flagKeysStale, l.keys != nil && l.keys.Stale(c.now)).
			with(flagTenantSession, v.policy.tenantSession(c)),
		expiresAt: c.expiresAt, notBefore: c.notBefore, issuedAt: c.issuedAt, checked: clock.None,
	}
	r.keep(t)
	if l.key != nil && !t.known {
		v.headers.Put(t.Segments.Header, t.header)
	}
	return r
}

// keep copies the token and the texts of its claims, in one piece of memory. The
// copy makes sure that nobody changes the token later, as callers with a recycled
// buffer do, and keeps no larger text alive.
func (r *cachedToken) keep(t *parsedToken) {
	size := len(t.token)
	for _, text := range t.claims.texts {
		size += len(text)
	}
	var whole strings.Builder
	whole.Grow(size)
	for i, text := range t.claims.texts {
		whole.Write(text)
		r.claims.ends[i] = uint16(whole.Len())
	}
	whole.WriteString(t.token)
	r.whole = whole.String()
	r.claims.text = r.whole[:size-len(t.token)+len(t.SigningInput)]
}
