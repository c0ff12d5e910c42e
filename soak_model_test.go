package persauth_test

// What a verifier may answer at a moment, while PERS fails at random, keys come
// and go, and tokens are revoked. Every bound follows from the order of events:
// when they had begun at the earliest, and when they were done at the latest. How
// fast the machine is does not matter.

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
)

const (
	// Grace is shorter than the timeout, so that a wait may outlast it.
	soakAge, soakGrace = 500 * time.Millisecond, 600 * time.Millisecond
	soakTimeout        = time.Second
	soakHard           = 3 * time.Second
	soakLeeway         = time.Second
	// tick is the verifier's unit of time: it knows no smaller one.
	tick = time.Microsecond
	// lateness is how much later than it should an answer may come, on a machine
	// that does not stand still.
	lateness = 500 * time.Millisecond
	// standstill is how late a timer is, at the least, on one that does.
	standstill = 50 * time.Millisecond
	// skew is how far PERS' clock may be from the verifier's.
	skew = 100 * time.Millisecond
)

// moment is a time since the start of a run; 0: not yet.
type moment = time.Duration

// stamp is a moment that something first happened at.
type stamp struct{ at atomic.Int64 }

func (s *stamp) set(at moment)         { s.at.CompareAndSwap(0, int64(at)) }
func (s *stamp) get() moment           { return moment(s.at.Load()) }
func (s *stamp) by(at moment) bool     { when := s.get(); return when != 0 && when <= at }
func (s *stamp) after(d moment) moment { return s.get() + d + tick }

// event takes its time: it may count from begun on, and must from done on.
type event struct{ begun, done stamp }

// soakKey is a key of PERS. Retired ones are published no longer, and forgotten
// ones are good for nothing.
type soakKey struct {
	id                 string
	retired, forgotten event
}

type soakToken struct {
	text    string
	minted  moment
	kind    string // "good", "short", "unpublished", or one of those that never pass
	key     *soakKey
	exp     moment
	revoked event // at PERS
}

// valid reports whether there is a time at which the token may pass.
func (t *soakToken) valid() bool {
	return t.kind == "good" || t.kind == "short" || t.kind == "unpublished"
}

// instance is a service for as long as it runs: a verifier that asks about every
// token, and one that never does.
type instance struct {
	asking, trusting *persauth.Verifier
	troubled         stamp // PERS has failed it at least once
	closing          stamp
	requests         atomic.Int64 // under way

	mu    sync.Mutex
	notes map[*soakToken]*note
}

// note is what an instance has told, or was told, of a token.
type note struct {
	revoked event        // by Revoke
	told    stamp        // when it had first told that PERS has revoked it, which is so for good
	checked atomic.Int64 // the newest CheckedAt of a token with a known key
}

func (in *instance) note(t *soakToken) *note {
	in.mu.Lock()
	defer in.mu.Unlock()
	n := in.notes[t]
	if n == nil {
		n = &note{}
		in.notes[t] = n
	}
	return n
}

// soakCall is one call, and what was known before it.
type soakCall struct {
	in         *instance
	way        string // "verify", "live", "explain" or "trust"
	token      *soakToken
	start, end moment
	// off: the service's clock was wrong, or was set, at some time since its state
	// was looked at, before start.
	off bool
	// of the verifier's keys, before start:
	holds  bool   // the token's key is among them
	loaded moment // when PERS was asked for them
	told   bool   // the verifier had told that PERS has revoked the token
	// toldSince: it had, and its clock was not set since.
	toldSince bool
	// checked is the CheckedAt that it had told for the token, if its clock was
	// not set since.
	checked moment
	left    bool // the caller's context has ended
	// lateness is how much later than it should the answer may come.
	lateness time.Duration
	// lied: PERS may have called any token bad since this one was made.
	lied   bool
	claims *persauth.Claims
	err    error
}

// graceEnd is when the last verdict that was told is too old, grace included.
func (c *soakCall) graceEnd() moment { return c.checked + soakAge + soakGrace }

// wrong says what about the answer must not be, or nothing.
func (c *soakCall) wrong() string {
	if (c.err == nil) != (c.claims != nil) {
		return "claims and an error, or neither"
	}
	if took := c.end - c.start; took > soakTimeout+c.lateness {
		return fmt.Sprintf("it took %v", took)
	}
	if c.err == nil {
		return c.wronglyAccepted()
	}
	return c.wronglyRefused()
}

func (c *soakCall) wronglyAccepted() string {
	t, n := c.token, c.in.note(c.token)
	switch {
	case !t.valid():
		return "a token that is never good"
	case c.start >= t.exp+soakLeeway+tick+c.late():
		return "a token that has expired"
	case n.revoked.done.by(c.start - 1):
		return "a token that was revoked here"
	}
	if c.way == "trust" {
		retired := &t.key.retired.done
		switch {
		case t.kind == "unpublished":
			return "a token under an unknown key"
		case retired.by(c.loaded - 1):
			return "a token whose key had left the keys at hand"
		case retired.by(c.start) && c.start >= retired.after(soakHard):
			return "a token whose key was too old"
		}
		return ""
	}
	var bound moment
	if c.way != "live" {
		bound = soakAge + soakGrace
	}
	for _, gone := range []*stamp{&t.revoked.done, &t.key.forgotten.done} {
		if gone.by(c.start) && c.start > gone.after(bound) {
			return fmt.Sprintf("a token that PERS had refused for %v", c.start-gone.get())
		}
	}
	checked := c.claims.Verification()
	switch {
	case c.told:
		return "a token after it was told to be revoked"
	case checked.CheckedAt.IsZero():
		return "a token that PERS was not asked about"
	case checked.InGrace && (c.way == "live" || t.kind == "unpublished" || !c.in.troubled.by(c.end)):
		return "by grace, where there is none"
	}
	return ""
}

// late is how far the service's clock may have been behind.
func (c *soakCall) late() time.Duration {
	if c.off {
		return -slices.Min(soakSettings)
	}
	return 0
}

func (c *soakCall) wronglyRefused() string {
	t, n := c.token, c.in.note(c.token)
	is := func(targets ...error) bool {
		for _, target := range targets {
			if errors.Is(c.err, target) {
				return true
			}
		}
		return false
	}
	closing := c.in.closing.by(c.end)
	asks := c.way != "trust"
	expired := t.exp != 0 && c.end >= t.exp-skew
	here := n.revoked.begun.by(c.end)
	atPERS := t.revoked.begun.by(c.end) || t.key != nil && t.key.forgotten.begun.by(c.end)
	// steady: its key was at hand, and did not leave nor get too old meanwhile.
	steady := t.kind != "unpublished" && c.holds && !t.key.retired.begun.by(c.end) && c.end < c.loaded+soakHard

	switch {
	case is(persauth.ErrRevoked):
		if is(persauth.ErrUnavailable, persauth.ErrRejected) {
			return "two answers"
		}
		if !here && !(asks && (atPERS || t.valid() && (expired || c.lied))) {
			return "as revoked, which it is not"
		}
		return ""
	case c.off: // whatever the clock says
		return c.unless(is(persauth.ErrExpired, persauth.ErrNotYetValid, persauth.ErrUnavailable, persauth.ErrUnknownKey) ||
			is(persauth.ErrSignature) && !t.valid() || is(persauth.ErrRejected) && (!t.valid() || expired || atPERS || c.lied))
	case is(persauth.ErrUnavailable) && !c.left && !closing && !c.in.troubled.by(c.end):
		return "as unavailable, while PERS was well"
	case !t.valid():
		return c.unless(is(persauth.ErrSignature, persauth.ErrExpired, persauth.ErrUnknownKey, persauth.ErrRejected, persauth.ErrUnavailable))
	case expired:
		return c.unless(is(persauth.ErrExpired, persauth.ErrRejected, persauth.ErrUnknownKey, persauth.ErrUnavailable))
	case c.toldSince && asks && c.way != "live" && steady, n.revoked.done.by(c.start - 1):
		return "as something else than revoked, which it is"
	case c.left || closing:
		return c.unless(is(persauth.ErrUnavailable, persauth.ErrUnknownKey) || atPERS)
	case !asks:
		return c.unless(!steady && is(persauth.ErrUnknownKey, persauth.ErrUnavailable))
	case is(persauth.ErrRejected):
		return c.unless((atPERS || c.lied) && !steady)
	case atPERS:
		return c.unless(is(persauth.ErrUnavailable))
	case c.way != "live" && steady && c.checked != 0 && c.end < c.graceEnd():
		return "a token that has grace"
	case c.way != "live" && steady && c.checked != 0 && c.start < c.graceEnd() && c.end > c.graceEnd()+c.lateness:
		return "after a wait that outlasted its grace"
	}
	return c.unless(is(persauth.ErrUnavailable))
}

func (c *soakCall) unless(fine bool) string {
	if fine {
		return ""
	}
	return "for no good reason"
}

// learn notes what the answer tells of later ones.
func (c *soakCall) learn() {
	n := c.in.note(c.token)
	if c.err == nil && c.way != "trust" && !c.off {
		if how := c.claims.Verification(); how.Method == persauth.VerifiedLocally {
			checked := int64(how.CheckedAt.Sub(soakBase.Round(0)))
			for old := n.checked.Load(); checked > old && !n.checked.CompareAndSwap(old, checked); old = n.checked.Load() {
			}
		}
	}
	if errors.Is(c.err, persauth.ErrRevoked) && c.way != "trust" && c.token.revoked.done.by(c.start) {
		n.told.set(c.end)
	}
}

// kindOf names an answer, for the counts.
func (c *soakCall) kindOf() string {
	switch {
	case c.err != nil && c.left:
		return "left"
	case c.err != nil && c.way == "trust" && c.token.key != nil && c.token.key.retired.done.by(c.start):
		return "key retired"
	case c.err != nil:
		return persauth.Code(c.err)
	case c.claims.Verification().InGrace:
		return "accepted by grace"
	case c.claims.Verification().Method == persauth.VerifiedRemotely:
		return "accepted remotely"
	case c.way == "trust":
		return "accepted by keys"
	}
	return "accepted"
}

// soakSettings are how far off the clock of the services is set: further than what
// counts as a slow request, which is a minute.
var soakSettings = []time.Duration{24 * time.Hour, time.Hour, 90 * time.Second, -90 * time.Second, -24 * time.Hour}

// excursion is a time while something is not as usual; to is 0 while it is on.
type excursion struct{ from, to moment }

// serviceClock is the clock of the services. PERS has the right one.
func (s *soak) serviceClock() time.Time { return soakClock().Add(time.Duration(s.offset.Load())) }

// setClock sets it wrong for a moment.
func (s *soak) setClock() {
	s.mu.Lock()
	to := soakSettings[s.random.IntN(len(soakSettings))]
	s.excursions = append(s.excursions, excursion{from: soakNow()})
	now := &s.excursions[len(s.excursions)-1]
	s.mu.Unlock()
	s.offset.Store(int64(to))
	s.rest(20*time.Millisecond + s.draw(300*time.Millisecond))
	s.offset.Store(0)
	s.mu.Lock()
	now.to = soakNow()
	s.mu.Unlock()
}

// clockWasOff reports whether the clock was wrong, or set, at any time between the
// two. The caller holds mu.
func (s *soak) clockWasOff(since, until moment) bool {
	return slices.ContainsFunc(s.excursions, func(e excursion) bool { return e.from <= until && (e.to == 0 || e.to >= since) })
}

// watchMachine notes for how long the machine, or this process, stood still.
func (s *soak) watchMachine() {
	const look = 5 * time.Millisecond
	for before := soakNow(); s.rest(look); {
		now := soakNow()
		if now-before > look+standstill {
			s.mu.Lock()
			s.stood = append(s.stood, excursion{before, now})
			s.mu.Unlock()
		}
		before = now
	}
}

// stoodStill returns for how long it stood still between the two. The caller holds mu.
func (s *soak) stoodStill(since, until moment) (d time.Duration) {
	for _, e := range s.stood {
		d += max(min(e.to, until)-max(e.from, since), 0)
	}
	return d
}

// soakBase is where moments begin. The clock is steady: it does not follow the
// system's when that is put right.
var soakBase = time.Now()

func soakNow() moment { return time.Since(soakBase) + tick }

func soakClock() time.Time { return soakBase.Round(0).Add(soakNow()) }
