package keyring

// A key set and its place in time.

import (
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
)

// Set is a key index with its place in time. It is immutable.
type Set struct {
	*jose.KeySet
	Source string        // "static", "file", "seed", "snapshot" or "remote"
	Loaded clock.Instant // when PERS, or the file, was asked for it
	due    clock.Instant // from here on its origin is to be asked again
	Soft   clock.Instant // from here on it is stale: not known to be right any more
	Hard   clock.Instant // from here on it is not used any more
	worn   clock.Instant // the same, by Ring.elapsed
	// outdated: it is a seed from longer ago than keys may be used. It may hold keys
	// that left long ago, which must not come back with each start.
	Outdated bool
}

func (s *Set) overdue(now clock.Instant) bool { return s.past(s.due, now) }
func (s *Set) Stale(now clock.Instant) bool   { return s.past(s.Soft, now) }
func (s *Set) usable(now clock.Instant) bool  { return s != nil && now < s.Hard }

// past reports whether one of the times of s has come. It has, too, when the
// clock shows a time well before s was loaded: then it was put back since, and
// would take who knows how long to get there again.
func (s *Set) past(t, now clock.Instant) bool {
	return now >= t || t != clock.Never && now.Add(clock.Slack) < s.Loaded
}

// Times are the clocks of a keyring.
type Times struct {
	Soft       time.Duration // until the origin is asked again
	SoftGiven  bool          // whatever the origin says, it is asked by then
	Hard       time.Duration // 0: keys have no age
	Patience   time.Duration // how long the one who asks again waits for the answer
	Unknown    time.Duration // between refreshes that unknown key ids cause
	Timeout    time.Duration // of one refresh
	MaxBackoff time.Duration
}

// set gives an index its place in time.
func (t Times) set(index *jose.KeySet, source string, loaded clock.Instant, freshFor time.Duration) *Set {
	s := &Set{KeySet: index, Source: source, Loaded: loaded, due: loaded.Add(t.Soft), Soft: clock.Never, Hard: clock.Never}
	if t.Hard > 0 {
		soft := t.Soft
		if freshFor > 0 {
			soft = min(max(freshFor, minFresh), maxFresh)
		}
		if t.SoftGiven {
			soft = min(soft, t.Soft)
		}
		// Whatever a header says, there is time to refresh before the end.
		s.Soft = loaded.Add(min(soft, t.Hard/2))
		s.due, s.Hard = s.Soft, loaded.Add(t.Hard)
	}
	return s
}
