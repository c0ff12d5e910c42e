package persauth

// What is revoked here: by Revoke alone, and for good, whatever the keys and PERS
// say. What PERS refuses is asked about again, and stands elsewhere.

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// defaultRevocation is how long a revocation is kept for which no end is given:
// longer than any token of PERS lives.
const defaultRevocation = 400 * 24 * time.Hour

// expiredRevocation is how long the revocation of a token is kept that has expired
// already: should the clock be ahead, it has not.
const expiredRevocation = 26 * time.Hour

// lastYear is the last one that an "exp" may be in. What is revoked for longer
// is revoked for good.
const lastYear = 9999

// sweepInterval is how long expired entries stay at most while others come.
const sweepInterval = time.Minute

// Revocation names what [Verifier.Revoke] revokes: the tokens for which all that
// is given is true. One of the names must be given.
type Revocation struct {
	// Token is a token to revoke. It may have been signed again, which anybody
	// can do with a signature by ECDSA: the signing input counts (RFC 7515 §2).
	Token string
	// ID is the "jti" of a token (RFC 7519 §4.1.7).
	ID string
	// Subject is the "sub" of all tokens of one caller (RFC 7519 §4.1.2), Session
	// the "sid" of all tokens of one session (see [ClaimNames.Session]).
	Subject, Session string
	// Business and Tenant are those that tokens are for. A subject may be one of
	// several tenants: then name both.
	Business, Tenant string
	// KeyID is the "kid" of the tokens that a key signed.
	KeyID string
	// IssuedBefore spares tokens whose "iat" is this time or later: "log out
	// everywhere", and sign in again. A token without "iat" is not spared. Zero:
	// tokens of any age.
	IssuedBefore time.Time
	// Until is when the revocation may be forgotten: when the last of the tokens
	// expires, if that is known. It is kept for [Config.Leeway] longer, as they
	// would be. Zero: the "exp" in Token, or in 400 days.
	Until time.Time
}

// Revoke refuses tokens from the next call on, with [ErrRevoked], whatever the
// keys and PERS say, and ends the contexts of [Verifier.ContextWhileValid]. It is for
// a webhook or an admin action. It holds for this Verifier, and for as long as the
// process lives; with [Config.Fleet] for all instances, until it ends.
// [Verifier.Unrevoke] takes it back. What a token costs does not grow with the number
// of revocations. The error says that r names nothing, or a token of another form; or,
// as an ErrUnavailable, that it counts here and the fleet could not be told within
// two seconds: that is tried again for as long as the process lives. Safe for
// concurrent use.
func (v *Verifier) Revoke(r Revocation) error {
	names, err := r.names()
	if err != nil {
		return fmt.Errorf("persauth: revoke: %w", err)
	}
	now := v.clock()
	entry := denial{before: clock.Never, until: v.revokedUntil(r, now).Add(v.policy.leeway)}
	if !r.IssuedBefore.IsZero() {
		entry.before = clock.Of(r.IssuedBefore)
	}
	v.denied.add(&names, entry, now)
	v.watch.look(v)
	return v.publish(&r, true, &names, entry.before, entry.until)
}

// publish tells the fleet, if there is one.
func (v *Verifier) publish(r *Revocation, revoked bool, names *denyNames, before, until clock.Instant) error {
	if v.fleet == nil {
		return nil
	}
	e, err := r.logEntry(revoked, names, before, min(until, v.clock().Add(longestEntry)))
	if err != nil {
		return err
	}
	return v.fleet.write(e)
}

// Unrevoke takes back what Revoke was told with the same names; with IssuedBefore,
// only what was told with the same one. It takes nothing back of a wider or a
// narrower revocation, nor of what PERS says. Every instance of a [Config.Fleet] may
// take back what another one revoked. The error is that of Revoke; it is none if
// nothing was revoked.
func (v *Verifier) Unrevoke(r Revocation) error {
	names, err := r.names()
	if err != nil {
		return fmt.Errorf("persauth: unrevoke: %w", err)
	}
	before := clock.None
	if !r.IssuedBefore.IsZero() {
		before = clock.Of(r.IssuedBefore)
	}
	v.denied.removeDigest(names.digest(names.mask()), before)
	return v.publish(&r, false, &names, before, v.clock().Add(defaultRevocation))
}

// names returns what r is about.
func (r *Revocation) names() (denyNames, error) {
	names := denyNames{
		denyID: r.ID, denySubject: r.Subject, denySession: r.Session,
		denyBusiness: r.Business, denyTenant: r.Tenant, denyKeyID: r.KeyID,
	}
	if r.Token != "" {
		if err := checkToken(r.Token); err != nil {
			return names, err
		}
		names[denyToken] = signingInput(r.Token)
	}
	if names == (denyNames{}) {
		return names, errors.New("name a token, an id, a subject, a session, a business, a tenant or a key")
	}
	return names, nil
}

// checkToken refuses what is not a bare token, such as one with "Bearer" before
// it: to revoke that would revoke nothing.
func checkToken(token string) error {
	s, err := jose.Split(token)
	if err != nil {
		return joseErr(err)
	}
	if !strings.ContainsFunc(s.SigningInput, notInToken) {
		return nil
	}
	if err := jose.SchemeBefore(token); err != nil {
		return joseErr(err)
	}
	return &Error{Check: "encoding", Want: "base64url and dots", Got: "another character", Err: ErrMalformed}
}

func notInToken(c rune) bool {
	return c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
}

// revokedUntil returns when r may be forgotten, but for the leeway.
func (v *Verifier) revokedUntil(r Revocation, now clock.Instant) clock.Instant {
	switch {
	case r.Until.Year() > lastYear:
		return clock.Never.Add(-v.policy.leeway)
	case !r.Until.IsZero():
		return clock.Of(r.Until)
	}
	t := v.take(r.Token)
	defer t.release()
	if r.Token != "" && v.read(t) == nil && t.claims.decode(t.payload, v.tree, now) == nil && t.claims.expiresAt != clock.None {
		if t.claims.expiresAt <= now {
			return now.Add(expiredRevocation)
		}
		return t.claims.expiresAt
	}
	return now.Add(defaultRevocation)
}

// What an entry of the deny list may name.
const (
	denyToken = iota // its signing input
	denyID
	denySubject
	denySession
	denyBusiness
	denyTenant
	denyKeyID
	denyNameCount
)

// denyNames are the names of a token, or of some tokens: an empty one says nothing.
type denyNames [denyNameCount]string

// denyMask says which names an entry has, in one bit each.
type denyMask uint8

func (n *denyNames) mask() (mask denyMask) {
	for i, name := range n {
		if name != "" {
			mask |= 1 << i
		}
	}
	return mask
}

// digest identifies the names in mask.
func (n *denyNames) digest(mask denyMask) tokenDigest {
	var room [256]byte
	text := append(room[:0], byte(mask))
	for i, name := range n {
		switch {
		case mask&(1<<i) == 0:
		case i == denyToken: // long, and hashed by itself so that nothing is copied
			digest := digestToken(name)
			text = append(text, digest[:]...)
		default:
			text = append(binary.BigEndian.AppendUint32(text, uint32(len(name))), name...)
		}
	}
	return sha256.Sum256(text)
}

// denial refuses tokens that were issued before a time, until a time.
type denial struct{ before, until clock.Instant }

// denyList holds revocations until they end. Unlike a cache it forgets nothing
// before its time. It is filled by the service itself, never by strangers.
//
// An entry is found by a digest of all its names. A token is looked up once for each
// combination of names that is in use, of which there are few, and not once for each
// entry.
type denyList struct {
	// version changes with every change, and with every token under a known key
	// that PERS refuses. Who remembers the version at which a token was looked up
	// need not look again until then.
	version atomic.Uint32

	elapsed func() time.Duration

	mu      sync.RWMutex
	entries map[tokenDigest][]denial
	inUse   []denyMask    // the combinations of names; it does not shrink
	sweep   clock.Instant // when those that ended are dropped, in elapsed microseconds
	// offset is the least, of all times when an entry came, that the clock was
	// ahead of the elapsed time.
	offset clock.Instant
}

func newDenyList(c *clock.Clock) *denyList {
	return &denyList{elapsed: c.Elapsed, entries: make(map[tokenDigest][]denial), sweep: clock.None, offset: clock.Never}
}

// SigningInput is a token without its signature: anybody who holds a token signed
// with ECDSA can write down a second good signature (r, n-s) over the same.
func signingInput(token string) string {
	return token[:max(strings.LastIndexByte(token, '.'), 0)]
}

// add adds an entry. What a wider one says already is not kept beside it.
func (d *denyList) add(names *denyNames, entry denial, now clock.Instant) {
	mask := names.mask()
	d.addDigest(mask, names.digest(mask), entry, now)
}

// addDigest is add for names that have a digest.
func (d *denyList) addDigest(mask denyMask, key tokenDigest, entry denial, now clock.Instant) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries[key] = withDenial(d.entries[key], entry)
	if !slices.Contains(d.inUse, mask) {
		d.inUse = append(d.inUse, mask)
	}
	d.tidy(now)
	d.version.Add(1)
}

// withDenial returns the entries and one more, without those that another one covers.
func withDenial(entries []denial, entry denial) []denial {
	if slices.ContainsFunc(entries, func(e denial) bool { return e.covers(entry) }) {
		return entries
	}
	return append(slices.DeleteFunc(entries, entry.covers), entry)
}

// changedElsewhere says that tokens were refused which the list does not hold, so
// that those who remember a version look again.
func (d *denyList) changedElsewhere() { d.version.Add(1) }

// tidy drops what has ended, now and then. It does not believe a clock that was set
// forward since an entry came, and may be set back: what it drops would be good
// again. It takes the clock that was the furthest behind, and puts it on by the time
// that the process ran; but by no more than tokens live, for the sake of a machine
// that starts in 1970. The caller holds mu.
func (d *denyList) tidy(now clock.Instant) {
	elapsed := clock.Instant(d.elapsed().Microseconds())
	d.offset = min(d.offset, now-elapsed)
	if elapsed < d.sweep {
		return
	}
	now = max(elapsed+d.offset, now.Add(-defaultRevocation))
	maps.DeleteFunc(d.entries, func(_ tokenDigest, all []denial) bool {
		return !slices.ContainsFunc(all, func(e denial) bool { return now < e.until })
	})
	d.sweep = elapsed.Add(sweepInterval)
}

// covers reports whether e refuses all that other does.
func (e denial) covers(other denial) bool { return e.before >= other.before && e.until >= other.until }

// removeDigest removes the entry for tokens issued before a time, or with None all of
// the names that have the digest. Others, which it may have covered, are held from
// then on.
func (d *denyList) removeDigest(key tokenDigest, before clock.Instant, others ...denial) {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := slices.DeleteFunc(slices.Clone(d.entries[key]), func(e denial) bool { return before == clock.None || e.before == before })
	if len(left) == len(d.entries[key]) && len(others) == 0 {
		return
	}
	for _, other := range others {
		left = withDenial(left, other)
	}
	if d.entries[key] = left; len(left) == 0 {
		delete(d.entries, key)
	}
	d.version.Add(1)
}

// has reports whether a token of these names, issued at a time, is revoked.
func (d *denyList) has(names *denyNames, issuedAt, now clock.Instant) bool {
	have := names.mask()
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, mask := range d.inUse {
		if mask&^have != 0 {
			continue // it names what the token does not have
		}
		for _, e := range d.entries[names.digest(mask)] {
			if now < e.until && issuedAt < e.before { // without an iat: before any time
				return true
			}
		}
	}
	return false
}

// len counts the entries.
func (d *denyList) len() (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, all := range d.entries {
		n += len(all)
	}
	return n
}

// deniedNames returns the names of a verified token.
func (c *Claims) deniedNames() denyNames {
	names := denyNames{
		denyToken: c.signingInput(), denyID: c.ID(), denySubject: c.Subject(), denySession: c.SessionID(),
		denyBusiness: c.BusinessID(), denyTenant: c.TenantID(),
	}
	if c.header != nil {
		names[denyKeyID] = c.header.Kid
	}
	return names
}

// deniedNames returns the names of a token on its way.
func (t *parsedToken) deniedNames() denyNames {
	get := func(field claimField) string { return string(t.claims.get(field)) }
	return denyNames{
		denyToken: t.SigningInput, denyID: get(fieldID), denySubject: get(fieldSubject), denySession: get(fieldSession),
		denyBusiness: get(fieldBusiness), denyTenant: get(fieldTenant), denyKeyID: t.header.Kid,
	}
}
