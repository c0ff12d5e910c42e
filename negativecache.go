package persauth

// What is remembered of tokens that PERS did not accept, or had no answer about, so
// that the same token does not ask again at once. One bad answer, or a clock of
// PERS that is behind, must not log anybody out for long: only Revoke is for good.

import (
	"errors"
	"time"

	"github.com/persauth/persauth/internal/cache"
	"github.com/persauth/persauth/internal/clock"
)

const (
	// negativeEntries is how many tokens are remembered at least, of those under
	// known keys and of the others.
	negativeEntries = 4096
	// shortPause is for what may be right in a moment: a token that PERS refuses
	// for its clock, perhaps, and answers that say nothing of a token.
	shortPause = 5 * time.Second
)

// negativePauses are how long after each refusal in a row PERS is asked again; the
// last one goes on.
var negativePauses = [...]time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute, time.Hour}

// negativeEntry is what is remembered of a token. It is immutable.
type negativeEntry struct {
	err      *Error
	asked    clock.Instant // when PERS was asked
	again    clock.Instant // when it may be asked again
	pause    time.Duration // between an answer and again
	refusals int           // of PERS, in a row
}

// resting reports whether the entry answers for PERS.
func (e *negativeEntry) resting(now clock.Instant) bool { return e.again.Ahead(now, e.pause) }

// negativeCache remembers tokens under known keys by their signing input, for
// which anyone can write a second good ECDSA signature, and all others by the
// whole token: of these nobody has checked the signature, and a forged one must
// not speak for the real one. note is called one at a time, the others at any time.
type negativeCache struct {
	known, unknown *cache.Bounded[*negativeEntry]
	changed        func() // a token under a known key was refused
}

func newNegativeCache(changed func()) *negativeCache {
	return &negativeCache{cache.NewBounded[*negativeEntry](negativeEntries), cache.NewBounded[*negativeEntry](negativeEntries), changed}
}

// place returns where a token is remembered.
func (n *negativeCache) place(about *cachedToken) (in *cache.Bounded[*negativeEntry], key string) {
	in, digest := n.unknown, tokenDigest{}
	if about.claims.key != nil {
		in, digest = n.known, digestToken(about.claims.signingInput())
	} else {
		digest = digestToken(about.token())
	}
	return in, string(digest[:])
}

// get returns what is remembered of a token, or nil.
func (n *negativeCache) get(about *cachedToken) *negativeEntry {
	in, key := n.place(about)
	entry, _ := in.Get(key)
	return entry
}

// refusal returns the error of a token that PERS refused when it last gave a
// verdict, or nil.
func (n *negativeCache) refusal(about *cachedToken) error {
	if entry := n.get(about); entry != nil && entry.refusals > 0 {
		return entry.err
	}
	return nil
}

// has reports whether there is a refusal for a token under a known key.
func (n *negativeCache) has(c *Claims) bool {
	digest := digestToken(c.signingInput())
	entry, _ := n.known.Get(string(digest[:]))
	return entry != nil && entry.refusals > 0
}

// note remembers what came of a call that was made at asked and ended at now. A
// refusal stays until there is a newer word of PERS.
func (n *negativeCache) note(about *cachedToken, asked, now clock.Instant, blame blame, err error) error {
	in, key := n.place(about)
	before, _ := in.Get(key)
	if before != nil && before.asked > asked && before.refusals > 0 {
		n.changed() // the other signature of the same token was asked about later
		return before.err
	}
	if err == nil {
		in.Remove(key)
		return nil
	}
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	entry := &negativeEntry{err: e, asked: asked, pause: shortPause}
	switch {
	case e.Err == ErrRevoked || e.Err == ErrRejected:
		if entry.refusals = 1; before != nil {
			entry.refusals += before.refusals
		}
		entry.pause = negativePauses[min(entry.refusals, len(negativePauses))-1]
	case e.Err == ErrExpired:
		entry.pause = negativePauses[0]
	case e.Err == ErrNotYetValid:
	case before != nil && before.refusals > 0: // no newer word: the last one stands
		*entry = *before
		entry.pause = negativePauses[0]
	case blame == blameToken:
		entry.pause = max(entry.pause, e.RetryAfter)
	case e.Err != ErrRemoteMismatch:
		return err // this is not about the token
	}
	entry.again = now.Add(entry.pause)
	in.Put(key, entry)
	if about.claims.key != nil && entry.refusals > 0 {
		n.changed()
	}
	return err
}

// len counts the entries.
func (n *negativeCache) len() int { return n.known.Len() + n.unknown.Len() }
