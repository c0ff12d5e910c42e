package persauthtest

// What a fleet in memory stores, with the meaning that persauth.Fleet gives it.

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

const (
	memberAlive = 10 * time.Second // after its last heartbeat
	memberKnown = time.Hour
)

// fleetStore is the content of the store. All of it is guarded by the fleet's mu.
type fleetStore struct {
	epoch int64 // of the log
	log   []storedEntry
	seen  map[int]time.Time // instances, by their last heartbeat

	count, countedOf int // the instances that run, and of how many that are known
	counted          time.Time

	cells   map[persauth.CallPurpose]*cell // "": of all purposes
	grants  []leaseGrant                   // of the last minute
	paused  time.Time
	answers map[persauth.SharedName]*storedAnswer
	proofs  map[[32]byte]storedProof
}

type storedEntry struct {
	persauth.LogEntry
	id      int64 // tells it from another one with the same number
	written time.Time
}

type leaseGrant struct {
	purpose persauth.CallPurpose
	calls   int
	at      time.Time
}

type storedAnswer struct {
	body      []byte
	asked     time.Time
	end       time.Time
	written   time.Time
	ticket    string // of who asks
	ticketEnd time.Time
}

type storedProof struct{ written, end time.Time }

// fleetIDs makes ids that no two stores share.
var fleetIDs atomicCounter

func newFleetStore() fleetStore {
	return fleetStore{epoch: fleetIDs.next(), cells: make(map[persauth.CallPurpose]*cell), seen: make(map[int]time.Time), answers: make(map[persauth.SharedName]*storedAnswer),
		proofs: make(map[[32]byte]storedProof)}
}

// forget drops what was written at since or later.
func (s *fleetStore) forget(since time.Time) {
	s.log = slices.DeleteFunc(slices.Clone(s.log), func(e storedEntry) bool { return !e.written.Before(since) })
	for _, g := range s.grants {
		if !g.at.Before(since) {
			for _, purpose := range []persauth.CallPurpose{g.purpose, ""} {
				s.cells[purpose].used = max(s.cells[purpose].used-float64(g.calls), 0)
			}
		}
	}
	s.grants = slices.DeleteFunc(s.grants, func(g leaseGrant) bool { return !g.at.Before(since) })
	for name, a := range s.answers {
		if !a.written.Before(since) || a.ticket != "" {
			delete(s.answers, name)
		}
	}
	for id, p := range s.proofs {
		if !p.written.Before(since) {
			delete(s.proofs, id)
		}
	}
}

func (in *fleetInstance) Policy() persauth.FleetPolicy {
	in.fleet.mu.Lock()
	defer in.fleet.mu.Unlock()
	return in.fleet.policy
}

func (in *fleetInstance) ReadLog(ctx context.Context, after persauth.LogPosition) (page persauth.LogPage, err error) {
	err = in.call(ctx, true, func(f *Fleet) error {
		f.seen[in.id] = f.now()
		page.Members = f.alive()
		number, follows := f.place(after)
		if page.Whole = !follows; page.Whole {
			if number > len(f.log) {
				f.epoch = fleetIDs.next() // entries are lost: everybody shall notice
			}
			number = 0
		}
		for _, e := range f.log[number:] {
			page.Entries = append(page.Entries, e.LogEntry)
		}
		page.Position = f.position()
		return nil
	})
	return page, err
}

// position is the end of the log: its epoch, the number of its last entry, and the
// id of that.
func (s *fleetStore) position() persauth.LogPosition {
	last := int64(0)
	if n := len(s.log); n > 0 {
		last = s.log[n-1].id
	}
	return persauth.LogPosition(fmt.Sprintf("%d/%d/%d", s.epoch, len(s.log), last))
}

// place returns the number at which the log goes on after a position, if it does.
func (s *fleetStore) place(after persauth.LogPosition) (number int, follows bool) {
	parts := strings.Split(string(after), "/")
	if len(parts) != 3 {
		return 0, false
	}
	number, _ = strconv.Atoi(parts[1])
	if parts[0] != strconv.FormatInt(s.epoch, 10) {
		return 0, false
	}
	if number > len(s.log) {
		return number, false
	}
	return number, number == 0 || parts[2] == strconv.FormatInt(s.log[number-1].id, 10)
}

// aliveFor is how long a count of the instances is good: they are many, and each
// asks once a second.
const aliveFor = 500 * time.Millisecond

func (f *Fleet) alive() (n int) {
	if age := f.now().Sub(f.counted); age >= 0 && age < aliveFor && f.countedOf == len(f.seen) {
		return f.count
	}
	defer func() { f.count, f.counted, f.countedOf = max(n, 1), f.now(), len(f.seen) }()
	for id, at := range f.seen {
		switch age := f.now().Sub(at); {
		case age <= memberAlive:
			n++
		case age > memberKnown:
			delete(f.seen, id)
		}
	}
	return max(n, 1)
}

func (in *fleetInstance) Publish(ctx context.Context, entries []persauth.LogEntry) (at time.Time, err error) {
	err = in.call(ctx, true, func(f *Fleet) error {
		at = f.now()
		for _, e := range entries {
			if len(e.Body) > persauth.MaxLogBody {
				return fmt.Errorf("an entry of %d bytes", len(e.Body))
			}
			if e.At.IsZero() {
				e.At = at
			}
			f.log = append(slices.Clip(f.log), storedEntry{e, fleetIDs.next(), f.now()})
		}
		f.notify(persauth.FleetNotice{Kind: persauth.FleetPublished})
		return nil
	})
	return at, err
}

func (in *fleetInstance) Lease(ctx context.Context, ask persauth.LeaseRequest) (lease persauth.Lease, err error) {
	err = in.call(ctx, true, func(f *Fleet) error {
		now := f.now()
		lease.For = persauth.LongestLease
		if lease.Wait = f.paused.Sub(now); lease.Wait > 0 {
			lease.Paused = true
			return nil
		}
		part := 1.0
		if alive := f.alive(); len(f.seen) > alive {
			part = float64(alive) / float64(len(f.seen)) // the others use their own shares
		}
		share, wait1 := f.free(ask.Purpose, float64(ask.PerHour)*part, ask.PerHour)
		total, wait2 := f.free("", float64(ask.Total)*part, ask.Total)
		lease.Wait = 0
		if lease.Calls = min(ask.Want, share, total); lease.Calls < 1 {
			lease.Calls, lease.Wait = 0, max(wait1, wait2, time.Microsecond)
			return nil
		}
		f.cells[ask.Purpose].used += float64(lease.Calls)
		f.cells[""].used += float64(lease.Calls)
		f.granted += lease.Calls
		f.grants = append(slices.DeleteFunc(f.grants, func(g leaseGrant) bool { return now.Sub(g.at) > time.Minute }), leaseGrant{ask.Purpose, lease.Calls, now})
		return nil
	})
	return lease, err
}

// cell is a bucket that leaks: what was granted, less what has become free since.
type cell struct {
	used float64
	last time.Time
}

// free returns how many calls there are, for one purpose or all, and how long it
// takes until there is one.
func (f *Fleet) free(purpose persauth.CallPurpose, perHour float64, whole int) (calls int, wait time.Duration) {
	c := f.cells[purpose]
	if c == nil {
		c = &cell{}
		f.cells[purpose] = c
	}
	perSecond := perHour / 3600
	c.used = max(c.used-max(f.now().Sub(c.last).Seconds(), 0)*perSecond, 0)
	c.last = f.now()
	free := float64(max(whole/60, 1)) - c.used
	return int(free + 1e-9), time.Duration((1 - free) / perSecond * float64(time.Second))
}

func (in *fleetInstance) Pause(ctx context.Context, d time.Duration) error {
	return in.call(ctx, true, func(f *Fleet) error {
		if end := f.now().Add(d); end.After(f.paused) {
			f.paused = end
		}
		f.notify(persauth.FleetNotice{Kind: persauth.FleetPaused})
		return nil
	})
}

func (in *fleetInstance) Look(ctx context.Context, name persauth.SharedName, ask persauth.LookRequest) (found persauth.SharedAnswer, err error) {
	err = in.call(ctx, true, func(f *Fleet) error {
		now := f.now()
		a := f.answers[name]
		if a == nil {
			a = &storedAnswer{}
			f.answers[name] = a
		}
		if a.body != nil && now.Before(a.end) && now.Sub(a.asked) <= ask.Within {
			found.Body, found.Age = a.body, max(now.Sub(a.asked), 0)
			return nil
		}
		if wait := a.ticketEnd.Sub(now); a.ticket != "" && wait > 0 {
			found.Wait = min(wait, ask.Hold)
			return nil
		}
		a.ticket, a.ticketEnd = strconv.FormatInt(now.UnixNano(), 10), now.Add(ask.Hold)
		found.Ticket = a.ticket
		return nil
	})
	return found, err
}

func (in *fleetInstance) Share(ctx context.Context, name persauth.SharedName, ticket string, keep time.Duration, body []byte) error {
	return in.call(ctx, true, func(f *Fleet) error {
		nanos, err := strconv.ParseInt(ticket, 10, 64)
		if err != nil {
			return err
		}
		asked := time.Unix(0, nanos)
		a := f.answers[name]
		if a == nil {
			a = &storedAnswer{}
			f.answers[name] = a
		}
		if body != nil && !asked.Before(a.asked) {
			a.body, a.asked, a.end, a.written = slices.Clone(body), asked, asked.Add(keep), f.now()
		}
		if a.ticket == ticket {
			a.ticket = ""
		}
		f.notify(persauth.FleetNotice{Kind: persauth.FleetAnswered, Name: name})
		return nil
	})
}

func (in *fleetInstance) Claim(ctx context.Context, p persauth.UsedProof) (first bool, err error) {
	err = in.call(ctx, true, func(f *Fleet) error {
		now := f.now()
		if before, used := f.proofs[p.ID]; used && now.Before(before.end) {
			return nil
		}
		first = true
		end := p.Until
		if soonest := now.Add(time.Second); end.Before(soonest) {
			end = soonest
		}
		f.proofs[p.ID] = storedProof{now, end}
		return nil
	})
	return first, err
}

func (in *fleetInstance) Leave(ctx context.Context) error {
	return in.call(ctx, true, func(f *Fleet) error {
		delete(f.seen, in.id)
		return nil
	})
}
