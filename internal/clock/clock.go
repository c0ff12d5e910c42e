package clock

// What time it is.

import (
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"
)

// Instant is a point in time in microseconds since 1970: small, comparable, and
// wide enough for any year that a token may name.
type Instant int64

func Of(t time.Time) Instant { return Instant(t.UnixMicro()) }

func (i Instant) Time() time.Time { return time.UnixMicro(int64(i)).UTC() }

func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Microseconds()) }

// None stands for a time that is not given.
const None Instant = math.MinInt64

// OrZero is time for a Go API, where a time that is not given is the zero time.
func (i Instant) OrZero() time.Time {
	if i == None {
		return time.Time{}
	}
	return i.Time()
}

func (i Instant) String() string {
	if i == None {
		return "none"
	}
	return i.Time().Format(time.RFC3339)
}

// clockTrust is for how long of its own running a process adds to one reading of
// the wall clock before it takes another. When the machine wakes up, or its clock
// is set, this is how long the old time may still count.
const clockTrust = time.Millisecond

// Clock tells the time, once or more for each request. A time.Time takes two
// readings of the system's clocks, the wall clock and the monotonic one, and they
// are most of what a remembered token costs; this clock normally takes one, see
// docs/performance.md. Safe for concurrent use.
type Clock struct {
	Wall    func() time.Time
	Elapsed func() time.Duration // of the process's own running: nobody sets it
	foreign bool                 // wall is not the system's: look at it each time

	last atomic.Pointer[clockReading] // nil: none yet
}

// clockReading is the wall clock at a moment. It is immutable: an offset is never
// seen beside the moment of another.
type clockReading struct {
	offset Instant       // the wall clock less the elapsed microseconds
	at     time.Duration // the elapsed time
}

// New makes a clock that follows now, or the system's if now is nil.
func New(now func() time.Time) *Clock {
	begin := time.Now()
	c := &Clock{Wall: now, Elapsed: func() time.Duration { return time.Since(begin) }, foreign: now != nil}
	if now == nil {
		c.Wall = time.Now
	}
	return c
}

func (c *Clock) Instant() Instant {
	if c.foreign {
		return Of(c.Wall())
	}
	elapsed := c.Elapsed()
	last := c.last.Load()
	if last != nil {
		if age := elapsed - last.at; age < clockTrust && age > -clockTrust {
			return last.offset + Instant(elapsed.Microseconds())
		}
	}
	now := Of(c.Wall())
	// Of several that look at once, one is enough; a slow one must not put its
	// reading in place of a newer one.
	c.last.CompareAndSwap(last, &clockReading{now - Instant(elapsed.Microseconds()), elapsed})
	return now
}

// Stopwatch measures how much time passes while the wall clock may be set forward
// and back. Of the system's clocks it takes the one that nobody sets. A clock of
// [Config.Now] has no such counterpart: what it moves forward counts, and what it
// is set back does not. It is guarded by a lock of its owner.
type Stopwatch struct {
	clock  *Clock
	last   Instant
	passed Instant
}

func NewStopwatch(c *Clock) Stopwatch { return Stopwatch{clock: c, last: Of(c.Wall())} }

// Read returns the wall clock, and the microseconds that have passed since some
// moment.
func (w *Stopwatch) Read() (now, passed Instant) {
	now = Of(w.clock.Wall())
	if !w.clock.foreign {
		return now, Instant(w.clock.Elapsed().Microseconds())
	}
	w.passed += max(now-w.last, 0)
	w.last = now
	return now, w.passed
}

// NumericDate reads a NumericDate (RFC 7519 §2). Years past 9999 are refused:
// they come from a clock in milliseconds, and such a token would never expire.
func NumericDate(v []byte) (Instant, bool) {
	const yearZero, yearTenThousand = -62167219200, 253402300800
	if !IsNumber(v) {
		return None, false
	}
	if seconds, ok := plainSeconds(v); ok {
		return Instant(seconds * 1e6), true
	}
	f, err := strconv.ParseFloat(string(v), 64)
	if err != nil || f < yearZero || f >= yearTenThousand {
		return None, false
	}
	return Instant(math.Floor(f * 1e6)), true
}

func IsNumber(v []byte) bool { return v[0] == '-' || v[0] >= '0' && v[0] <= '9' }

// plainSeconds reads what nearly every NumericDate is: a few digits.
func plainSeconds(v []byte) (seconds int64, ok bool) {
	if len(v) > 11 {
		return 0, false
	}
	for _, digit := range v {
		if digit < '0' || digit > '9' {
			return 0, false
		}
		seconds = 10*seconds + int64(digit-'0')
	}
	return seconds, true
}

// Never stands for a time that does not come.
const Never Instant = 1<<63 - 1

// Slack is how far apart the readings of one clock may be when a request
// read it some time before it uses what it read.
const Slack = time.Minute

// Ahead reports whether t, which is set to longest from the present at most, is
// still to come. One that is further away was set before the clock was put back.
func (t Instant) Ahead(now Instant, longest time.Duration) bool {
	return now < t && t <= now.Add(longest).Add(Slack)
}

// OrNever is time for a Go API, where a time that does not come is zero.
func (i Instant) OrNever() time.Time {
	if i == Never {
		return time.Time{}
	}
	return i.OrZero()
}

// Issued says when something was made, and how far from now that is.
func Issued(at, now Instant) string {
	if at > now {
		return fmt.Sprintf("issued %s in the future (at %v)", Span(at-now), at)
	}
	return fmt.Sprintf("issued %s ago (at %v)", Span(now-at), at)
}

// Span writes a length of time in one or two units: "45s", "14m30s", "3h", "12
// days". A time.Duration would not do: it ends after 292 years.
func Span(length Instant) string {
	const (
		second = 1_000_000
		minute = 60 * second
		hour   = 60 * minute
		day    = 24 * hour
		year   = 8766 * hour
	)
	two := func(large, small Instant, units string) string {
		text := fmt.Sprintf("%d%c", length/large, units[0])
		if rest := length % large / small; rest > 0 {
			text += fmt.Sprintf("%d%c", rest, units[1])
		}
		return text
	}
	switch {
	case length == 0:
		return "0s"
	case length < second:
		return fmt.Sprintf("%dms", length/1000)
	case length < minute:
		return fmt.Sprintf("%ds", length/second)
	case length < hour:
		return two(minute, second, "ms")
	case length < 2*day:
		return two(hour, minute, "hm")
	case length < 2*year:
		return fmt.Sprintf("%d days", length/day)
	}
	return fmt.Sprintf("%d years", length/year)
}
