package persauth

// Tokens that are refused although everything else speaks for them.

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// defaultRevocation is how long the revocation of an id is kept for which no end
// is given: longer than any token of PERS lives.
const defaultRevocation = 400 * 24 * time.Hour

// lastYear is the last one that an "exp" may be in. What is revoked for longer
// is revoked for good.
const lastYear = 9999

// sweepInterval is how long expired entries stay at most while others come.
const sweepInterval = time.Minute

// Revocation names what [Verifier.Revoke] revokes.
type Revocation struct {
	// Token is a token to revoke, or ID the "jti" of one (RFC 7519 §4.1.7).
	// One of the two must be set.
	Token, ID string
	// Until is when the revocation may be forgotten: when the token expires,
	// if that is known. It is kept for [Config.Leeway] longer, as the token
	// would be. Zero: the "exp" in Token, or in 400 days.
	Until time.Time
}

// Revoke refuses a token from the next call on, with [ErrRevoked], whatever the
// keys and PERS say. It is for a webhook or an admin action. It holds for this
// Verifier, and for as long as the process lives. The error says that r names
// nothing, or both a token and an id, or a token that is none.
func (v *Verifier) Revoke(r Revocation) error {
	if (r.Token == "") == (r.ID == "") {
		return errors.New("persauth: revoke: name a token or an id, and not both")
	}
	if r.Token != "" {
		if err := checkToken(r.Token); err != nil {
			return fmt.Errorf("persauth: revoke: %w", err)
		}
	}
	now := v.clock()
	until := v.revokedUntil(r, now).add(v.expect.leeway)
	if r.ID != "" {
		v.denied.id(r.ID, until, now)
	} else {
		v.denied.token(r.Token, until, now)
	}
	return nil
}

// checkToken refuses what is not a bare token, such as one with "Bearer" before
// it: to revoke that would revoke nothing.
func checkToken(token string) error {
	s, err := split(token)
	if err == nil {
		err = schemeBefore(token)
	}
	if err == nil && strings.ContainsFunc(s.signingInput, notInToken) {
		err = &Error{Check: "encoding", Want: "base64url and dots", Got: "another character", Err: ErrMalformed}
	}
	return err
}

func notInToken(c rune) bool {
	return c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
}

// revokedUntil returns when r may be forgotten, but for the leeway.
func (v *Verifier) revokedUntil(r Revocation, now instant) instant {
	switch {
	case r.Until.Year() > lastYear:
		return never.add(-v.expect.leeway)
	case !r.Until.IsZero():
		return instantOf(r.Until)
	}
	t := v.take(r.Token)
	defer t.release()
	if r.ID == "" && v.read(t) == nil && t.claims.decode(t.payload, v.tree, now) == nil && t.claims.expiresAt != noInstant {
		return t.claims.expiresAt
	}
	return now.add(defaultRevocation)
}

// denyList holds revoked tokens until they expire. Unlike a cache it forgets
// nothing before its time. It is filled by the service itself, and by PERS' word
// on tokens whose signature is good, never by strangers.
type denyList struct {
	// version changes with every entry. Who remembers the version at which a
	// token was looked up need not look again until then.
	version atomic.Uint32

	mu     sync.RWMutex
	tokens map[tokenDigest]instant // until when, by what is signed
	ids    map[string]instant
	sweep  instant // when the expired ones are dropped
}

func newDenyList() *denyList {
	return &denyList{tokens: make(map[tokenDigest]instant), ids: make(map[string]instant), sweep: noInstant}
}

// signed identifies a token by its signing input: whoever holds a token signed
// with ECDSA can write down a second good signature (r, n-s) over the same.
func signed(token string) tokenDigest {
	return digestToken(token[:max(strings.LastIndexByte(token, '.'), 0)])
}

func (d *denyList) token(token string, until, now instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	deny(d.tokens, signed(token), until)
	d.changed(now)
}

func (d *denyList) id(id string, until, now instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	deny(d.ids, id, until)
	d.changed(now)
}

// deny adds an entry. One that holds for longer stays.
func deny[K comparable](entries map[K]instant, key K, until instant) {
	if before, ok := entries[key]; !ok || before < until {
		entries[key] = until
	}
}

// denies reports whether there is an entry that still holds.
func denies[K comparable](entries map[K]instant, key K, now instant) bool {
	until, ok := entries[key]
	return ok && now < until
}

// changed drops what has expired, now and then. The caller holds mu.
func (d *denyList) changed(now instant) {
	if now >= d.sweep {
		maps.DeleteFunc(d.tokens, func(_ tokenDigest, until instant) bool { return until <= now })
		maps.DeleteFunc(d.ids, func(_ string, until instant) bool { return until <= now })
		d.sweep = now.add(sweepInterval)
	}
	d.version.Add(1)
}

// has reports whether a token, or its id, is revoked.
func (d *denyList) has(token, id string, now instant) bool {
	if d.version.Load() == 0 {
		return false
	}
	digest := signed(token)
	d.mu.RLock()
	defer d.mu.RUnlock()
	return denies(d.tokens, digest, now) || id != "" && denies(d.ids, id, now)
}

// len counts the entries.
func (d *denyList) len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.tokens) + len(d.ids)
}
