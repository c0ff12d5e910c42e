package persauth

// What time it is.

import (
	"math"
	"sync/atomic"
	"time"
)

// instant is a point in time in microseconds since 1970: small, comparable, and
// wide enough for any year that a token may name.
type instant int64

func instantOf(t time.Time) instant { return instant(t.UnixMicro()) }

func (i instant) time() time.Time { return time.UnixMicro(int64(i)).UTC() }

func (i instant) add(d time.Duration) instant { return i + instant(d.Microseconds()) }

// noInstant stands for a time that is not given.
const noInstant instant = math.MinInt64

// orZero is time for a Go API, where a time that is not given is the zero time.
func (i instant) orZero() time.Time {
	if i == noInstant {
		return time.Time{}
	}
	return i.time()
}

func (i instant) String() string {
	if i == noInstant {
		return "none"
	}
	return i.time().Format(time.RFC3339)
}

// clockTrust is for how long of its own running a process adds to one reading of
// the wall clock before it takes another. When the machine wakes up, or its clock
// is set, this is how long the old time may still count.
const clockTrust = time.Millisecond

// clock tells the time to whoever looks for each request. Two readings of the
// system's make up a time.Time, the wall clock's and the monotonic one's, and they
// are most of what a remembered token costs; here it is one as a rule, see
// docs/performance.md. Safe for concurrent use.
type clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // since some moment, by a clock that nobody sets; nil: always look at the wall clock

	offset atomic.Int64 // an instant less the elapsed microseconds at it
	read   atomic.Int64 // the elapsed time when offset was read
}

// newClock makes a clock that follows now, or the system's if now is nil.
func newClock(now func() time.Time) *clock {
	if now != nil {
		return &clock{wall: now}
	}
	begin := time.Now()
	c := &clock{wall: time.Now, elapsed: func() time.Duration { return time.Since(begin) }}
	c.read.Store(-int64(clockTrust))
	return c
}

func (c *clock) instant() instant {
	if c.elapsed == nil {
		return instantOf(c.wall())
	}
	elapsed := c.elapsed()
	if age := elapsed - time.Duration(c.read.Load()); age >= clockTrust || age <= -clockTrust {
		now := instantOf(c.wall())
		c.offset.Store(int64(now) - elapsed.Microseconds())
		c.read.Store(int64(elapsed))
		return now
	}
	return instant(c.offset.Load() + elapsed.Microseconds())
}
