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

// clock tells the time, once or more for each request. A time.Time takes two
// readings of the system's clocks, the wall clock and the monotonic one, and they
// are most of what a remembered token costs; this clock normally takes one, see
// docs/performance.md. Safe for concurrent use.
type clock struct {
	wall    func() time.Time
	elapsed func() time.Duration // of the process's own running: nobody sets it
	foreign bool                 // wall is not the system's: look at it each time

	last atomic.Pointer[clockReading] // nil: none yet
}

// clockReading is the wall clock at a moment. It is immutable: an offset is never
// seen beside the moment of another.
type clockReading struct {
	offset instant       // the wall clock less the elapsed microseconds
	at     time.Duration // the elapsed time
}

// newClock makes a clock that follows now, or the system's if now is nil.
func newClock(now func() time.Time) *clock {
	begin := time.Now()
	c := &clock{wall: now, elapsed: func() time.Duration { return time.Since(begin) }, foreign: now != nil}
	if now == nil {
		c.wall = time.Now
	}
	return c
}

func (c *clock) instant() instant {
	if c.foreign {
		return instantOf(c.wall())
	}
	elapsed := c.elapsed()
	last := c.last.Load()
	if last != nil {
		if age := elapsed - last.at; age < clockTrust && age > -clockTrust {
			return last.offset + instant(elapsed.Microseconds())
		}
	}
	now := instantOf(c.wall())
	// Of several that look at once, one is enough; a slow one must not put its
	// reading in place of a newer one.
	c.last.CompareAndSwap(last, &clockReading{now - instant(elapsed.Microseconds()), elapsed})
	return now
}

// stopwatch measures how much time passes while the wall clock may be set forward
// and back. Of the system's clocks it takes the one that nobody sets. A clock of
// [Config.Now] has no such counterpart: what it moves forward counts, and what it
// is set back does not. It is guarded by a lock of its owner.
type stopwatch struct {
	clock  *clock
	last   instant
	passed instant
}

func newStopwatch(c *clock) stopwatch { return stopwatch{clock: c, last: instantOf(c.wall())} }

// read returns the wall clock, and the microseconds that have passed since some
// moment.
func (w *stopwatch) read() (now, passed instant) {
	now = instantOf(w.clock.wall())
	if !w.clock.foreign {
		return now, instant(w.clock.elapsed().Microseconds())
	}
	w.passed += max(now-w.last, 0)
	w.last = now
	return now, w.passed
}
