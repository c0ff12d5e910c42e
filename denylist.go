package persauth

// Tokens that are refused although everything else speaks for them.

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// defaultRevocation is how long the revocation of an id is kept for which no end
// is given: longer than any token of PERS lives.
const defaultRevocation = 400 * 24 * time.Hour

// Revocation names what [Verifier.Revoke] revokes.
type Revocation struct {
	// Token is a token to revoke, or ID the "jti" of one (RFC 7519 §4.1.7).
	// One of the two must be set.
	Token, ID string
	// Until is when the revocation may be forgotten: when the token expires,
	// if that is known. Zero: at the "exp" in Token, or in 400 days.
	Until time.Time
}

// Revoke refuses a token from the next call on, with [ErrRevoked], whatever the
// keys and PERS say. It is for a webhook or an admin action. It holds for this
// Verifier, and for as long as the process lives. The error says that r names
// nothing, or both a token and an id.
func (v *Verifier) Revoke(r Revocation) error {
	if (r.Token == "") == (r.ID == "") {
		return errors.New("persauth: revoke: name a token or an id, and not both")
	}
	now := v.clock()
	until := instantOf(r.Until)
	if r.Until.IsZero() {
		until = now.add(defaultRevocation)
		t := v.take(r.Token)
		defer t.release()
		if r.ID == "" && v.read(t) == nil && t.claims.decode(t.payload, v.tree, now) == nil && t.claims.expiresAt != noInstant {
			until = min(until, t.claims.expiresAt.add(v.expect.leeway))
		}
	}
	if r.ID != "" {
		v.denied.id(r.ID, until, now)
	} else {
		v.denied.token(r.Token, until, now)
	}
	return nil
}

// denyList holds revoked tokens until they expire. Unlike a cache it forgets
// nothing before its time. It is filled by the service itself, and by PERS' word
// on tokens whose signature is good, never by strangers.
type denyList struct {
	// version changes with every entry. Who remembers the version at which a
	// token was looked up need not look again until then.
	version atomic.Uint64

	mu     sync.RWMutex
	tokens map[tokenDigest]instant // until when, by signing input
	ids    map[string]instant
	sweep  int // at how many entries the expired ones are dropped
}

const firstSweep = 1024

func newDenyList() *denyList {
	return &denyList{tokens: make(map[tokenDigest]instant), ids: make(map[string]instant), sweep: firstSweep}
}

// digestSigned identifies what was signed. Whoever has an ECDSA signature can
// write a second one over the same: (r, -s) is as good as (r, s). It is the same
// token, and as revoked.
func digestSigned(token string) tokenDigest {
	return digestToken(token[:max(strings.LastIndexByte(token, '.'), 0)])
}

func (d *denyList) token(token string, until, now instant) {
	digest := digestSigned(token)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tokens[digest] = max(until, d.tokens[digest])
	d.changed(now)
}

func (d *denyList) id(id string, until, now instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids[id] = max(until, d.ids[id])
	d.changed(now)
}

// changed drops what has expired, now and then. The caller holds mu.
func (d *denyList) changed(now instant) {
	if len(d.tokens)+len(d.ids) >= d.sweep {
		for digest, until := range d.tokens {
			if until <= now {
				delete(d.tokens, digest)
			}
		}
		for id, until := range d.ids {
			if until <= now {
				delete(d.ids, id)
			}
		}
		d.sweep = max(firstSweep, 2*(len(d.tokens)+len(d.ids)))
	}
	d.version.Add(1)
}

// has reports whether a token, or its id, is revoked.
func (d *denyList) has(token, id string, now instant) bool {
	if d.version.Load() == 0 {
		return false
	}
	digest := digestSigned(token)
	d.mu.RLock()
	defer d.mu.RUnlock()
	return now < d.tokens[digest] || id != "" && now < d.ids[id]
}

// len counts the entries.
func (d *denyList) len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.tokens) + len(d.ids)
}
