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
	key        *publicKey // nil: PERS vouched for it
	start, end instant    // the token is in time from start until before end

	checked instant // when PERS was asked, and vouched for it; noInstant: it was not
	renew   instant // from here on a new verdict should be asked for
	due     instant // from here on the verdict is too old
	denied  uint64  // the version of the deny list that it was held against
}

// knownHeader is a header that passed its rules, of a token whose signature held.
type knownHeader struct {
	segment string
	header  *header
}

// recall returns a token that was verified before, if it still would be: it is
// in time, its key is still in the set and not too old, and nobody revoked it.
// Whether PERS must be asked about it again is for the caller to see.
func (v *Verifier) recall(token string, keys *keySet, now instant) *remembered {
	if len(token) > maxTokenSize {
		return nil
	}
	hash := v.seen.hash(token)
	r, ok := v.seen.get(hash)
	// Two tokens may have one hash: only the same token, byte by byte, is it.
	if !ok || r.token != token {
		return nil
	}
	if r.key != nil && (keys == nil || r.key.gone.Load()) || now < r.start {
		return nil
	}
	version := v.denied.version.Load()
	if now >= r.end || version != r.denied && v.denied.has(token, r.claims.id, now) {
		v.seen.remove(hash)
		return nil
	}
	if stale := keys != nil && keys.stale(now); stale != r.claims.verification.KeysStale || version != r.denied {
		renewed := *r
		renewed.claims.verification.KeysStale = stale
		renewed.denied = version
		v.seen.replace(hash, r, &renewed)
		r = &renewed
	}
	return r
}

// record is what there is to remember of a token, in a form that outlives t. Of
// one whose signature held, it keeps the header.
func (v *Verifier) record(t *parsed, f finding) *remembered {
	r := &remembered{claims: t.claims.Claims, token: t.kept, key: f.key,
		checked: noInstant, renew: never, due: never, denied: f.denied}
	r.claims.verification = Verification{Method: VerifiedLocally, Algorithm: t.header.alg, KeyID: t.header.kid}
	if f.keys != nil {
		r.claims.verification.KeysStale = f.keys.stale(t.claims.now)
	}
	if f.key == nil {
		r.claims.verification.Method = VerifiedRemotely
	} else if !t.known {
		segment := strings.Clone(t.segments.header)
		v.headers.put(v.headers.hash(segment), &knownHeader{segment, t.header})
	}
	r.start, r.end = r.claims.window(v.expect)
	return r
}

// knownHeader returns the header that a segment was found to stand for before.
func (v *Verifier) knownHeader(segment string) (*header, bool) {
	if known, ok := v.headers.get(v.headers.hash(segment)); ok && known.segment == segment {
		return known.header, true
	}
	return nil, false
}
