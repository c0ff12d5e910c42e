package persauthtest

// Notices of a fleet in memory.

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/persauth/persauth"
)

type atomicCounter struct{ n atomic.Int64 }

func (c *atomicCounter) next() int64 { return c.n.Add(1) }

// fleetWatcher is one that waits for notices.
type fleetWatcher struct {
	in      *fleetInstance
	notices chan persauth.FleetNotice
}

// noticesKept is how many notices a slow watcher may have before it; later ones are
// lost, as they may be.
const noticesKept = 256

// Watch ends when the connection is cut or the store goes down.
func (in *fleetInstance) Watch(ctx context.Context, notify func(persauth.FleetNotice)) error {
	w := &fleetWatcher{in, make(chan persauth.FleetNotice, noticesKept)}
	f := in.fleet
	if err := in.call(ctx, false, func(f *Fleet) error { f.watchers[w] = true; return nil }); err != nil {
		return err
	}
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watchers, w)
	}()
	for {
		f.mu.Lock()
		changed, broken := f.changed, in.cut || f.down
		f.mu.Unlock()
		if broken {
			return errors.New("the connection broke")
		}
		select {
		case n := <-w.notices:
			notify(n)
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// notify tells all who can be reached. The caller holds mu.
func (f *Fleet) notify(n persauth.FleetNotice) {
	for w := range f.watchers {
		if w.in.cut {
			continue
		}
		select {
		case w.notices <- n:
		default:
		}
	}
}
