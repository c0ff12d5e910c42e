package persauthtest

// A fleet in memory: the state that the instances of a service share, and what may
// happen to it. What it stores is in fleetstore.go.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/persauth/persauth"
)

// Fleet is a store that n instances share, in memory. Each instance has its own
// connection to it, which a test can cut, and the store can be slow, fail over,
// and forget. In a testing/synctest bubble all of its times are the bubble's. It
// is safe for concurrent use.
//
//	fleet := persauthtest.NewFleet(t, 3)
//	v := server.Verifier(func(cfg *persauth.Config) { cfg.Fleet = fleet.Instance(0) })
type Fleet struct {
	instances []*fleetInstance

	mu       sync.Mutex
	policy   persauth.FleetPolicy
	delay    time.Duration
	down     bool
	readOnly bool
	offset   time.Duration // of the store's clock
	granted  int           // calls, since the fleet was made
	changed  chan struct{} // closed when a fault comes or goes
	watchers map[*fleetWatcher]bool
	fleetStore
}

// fleetInstance is one instance's connection. It is a persauth.Fleet.
type fleetInstance struct {
	fleet *Fleet
	id    int
	cut   bool // guarded by the fleet's mu
}

var _ persauth.Fleet = (*fleetInstance)(nil)

// NewFleet makes a fleet of n instances, with the default policy.
func NewFleet(t TB, n int) *Fleet {
	t.Helper()
	if n < 1 {
		t.Fatalf("persauthtest: a fleet of %d instances", n)
	}
	f := &Fleet{changed: make(chan struct{}), watchers: make(map[*fleetWatcher]bool), fleetStore: newFleetStore()}
	for i := range n {
		f.instances = append(f.instances, &fleetInstance{fleet: f, id: i})
	}
	return f
}

// Instance is what the i-th instance, from 0, has as persauth.Config.Fleet.
func (f *Fleet) Instance(i int) persauth.Fleet { return f.instances[i] }

// SetPolicy sets what verifiers that are made from here on use the fleet for.
func (f *Fleet) SetPolicy(p persauth.FleetPolicy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.policy = p
}

// fault changes the fleet, and wakes who waits for it.
func (f *Fleet) fault(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// Partition cuts instances off: their calls find no answer until their context
// ends, as with a network that drops what it should deliver.
func (f *Fleet) Partition(instances ...int) { f.cut(true, instances) }

// Heal connects instances again; with none named, all.
func (f *Fleet) Heal(instances ...int) { f.cut(false, instances) }

func (f *Fleet) cut(cut bool, instances []int) {
	f.fault(func() {
		for _, in := range f.instances {
			if len(instances) == 0 {
				in.cut = cut
			}
		}
		for _, i := range instances {
			f.instances[i].cut = cut
		}
	})
}

// SetDown makes every call fail at once, as when the server does not run, until it
// is set back.
func (f *Fleet) SetDown(down bool) { f.fault(func() { f.down = down }) }

// SetDelay makes every call take that long.
func (f *Fleet) SetDelay(d time.Duration) { f.fault(func() { f.delay = d }) }

// SetReadOnly makes what writes fail, and heartbeats are writes.
func (f *Fleet) SetReadOnly(readOnly bool) { f.fault(func() { f.readOnly = readOnly }) }

// Flush makes the store forget everything, as a server does that is restarted
// without persistence.
func (f *Fleet) Flush() { f.fault(func() { f.fleetStore = newFleetStore() }) }

// Failover makes the store forget what was written in the last d, as a replica does
// that becomes the primary before it has everything.
func (f *Fleet) Failover(d time.Duration) {
	f.fault(func() { f.forget(f.now().Add(-d)) })
}

// AdvanceClock sets the clock of the store on by d, or back where d is negative.
func (f *Fleet) AdvanceClock(d time.Duration) { f.fault(func() { f.offset += d }) }

// Granted is how many calls of PERS were leased to all instances.
func (f *Fleet) Granted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.granted
}

// now is the time of the store. The caller holds mu.
func (f *Fleet) now() time.Time { return time.Now().Add(f.offset) }

var (
	errFleetDown     = errors.New("the store refuses connections")
	errFleetReadOnly = errors.New("the store is a replica that is read-only")
)

// call runs one call of an instance as the faults allow.
func (in *fleetInstance) call(ctx context.Context, writes bool, do func(s *Fleet) error) error {
	f := in.fleet
	f.mu.Lock()
	delay := f.delay
	f.mu.Unlock()
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return fmt.Errorf("the store is slow: %w", context.Cause(ctx))
		}
	}
	f.mu.Lock()
	cut, down, readOnly := in.cut, f.down, f.readOnly
	if !cut && !down && (!readOnly || !writes) && ctx.Err() == nil {
		defer f.mu.Unlock()
		return do(f)
	}
	f.mu.Unlock()
	switch {
	case cut:
		<-ctx.Done()
		return fmt.Errorf("the store does not answer: %w", context.Cause(ctx))
	case down:
		return errFleetDown
	case readOnly && writes:
		return errFleetReadOnly
	}
	return context.Cause(ctx)
}
