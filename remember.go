package persauth

// What is kept of tokens that were verified, so that the next request with the
// same token costs a look-up and a comparison. Nothing is remembered of a token
// before its signature held, so strangers cannot fill this memory.

import "strings"

// rememberedHeaders is how many different headers are kept. PERS' tokens differ
// in their header only by key.
const rememberedHeaders = 256

// remembered is a token that passed every check. It is immutable.
type remembered struct {
	claims     Claims
	token      string
	key        *publicKey
	start, end instant // the token is in time from start until before end
}

// knownHeader is a header that passed its rules, of a token whose signature held.
type knownHeader struct {
	segment string
	header  *header
}

// recall returns the claims of a token that was verified before, if it still
// would be: it is in time, and its key is still in the set and not too old.
func (v *Verifier) recall(token string, keys *keySet, now instant) *Claims {
	if v.seen == nil || keys == nil || len(token) > maxTokenSize {
		return nil
	}
	hash := v.seen.hash(token)
	r, ok := v.seen.get(hash)
	// Two tokens may have one hash: only the same token, byte by byte, is it.
	if !ok || r.token != token {
		return nil
	}
	if r.key.gone.Load() || now >= r.end {
		v.seen.remove(hash)
		return nil
	}
	if now < r.start {
		return nil
	}
	if stale := keys.stale(now); stale != r.claims.verification.KeysStale {
		renewed := *r
		renewed.claims.verification.KeysStale = stale
		r = &renewed
		v.seen.put(hash, r)
	}
	return &r.claims
}

// remember keeps a verified token and its header, and returns its claims in a
// form that outlives t.
func (v *Verifier) remember(t *parsed, key *publicKey) *Claims {
	if !t.known {
		segment := strings.Clone(t.segments.header)
		v.headers.put(v.headers.hash(segment), &knownHeader{segment, t.header})
	}
	r := &remembered{claims: t.claims.Claims, key: key}
	if v.seen != nil {
		// The copy makes sure that nobody changes the text later, as callers
		// with a recycled buffer do, and that no larger text is kept alive.
		r.token = strings.Clone(t.token)
		r.start, r.end = r.claims.window(v.expect)
		v.seen.put(v.seen.hash(r.token), r)
	}
	return &r.claims
}

// knownHeader returns the header that a segment was found to stand for before.
func (v *Verifier) knownHeader(segment string) (*header, bool) {
	if known, ok := v.headers.get(v.headers.hash(segment)); ok && known.segment == segment {
		return known.header, true
	}
	return nil, false
}
