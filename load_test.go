package persauth_test

// Rotation while the service is busy.

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// published is what PERS publishes, as far as the verifier must know.
type published struct {
	live    []*persauthtest.Key // in the set, as of a refresh that is complete
	removed []*persauthtest.Key // not in the set any more, likewise
}

// rotation drives ten rotations while workers verify.
type rotation struct {
	*service
	state    atomic.Pointer[published]
	accepted atomic.Int64
	refused  atomic.Int64
	stop     atomic.Bool
}

// Several goroutines verify tokens of every key that was ever published, while
// the set rotates ten times. A token whose key is published is never refused;
// one whose key was removed is never accepted once the refresh is complete.
func TestRotationUnderLoad(t *testing.T) {
	r := &rotation{service: serve(t, func(c *persauth.Config) { c.UnknownKeyInterval = time.Second })}
	r.rotateUnderLoad(10, 400)
}

func (r *rotation) rotateUnderLoad(rotations, perState int64) {
	t := r.t
	r.refreshed()
	r.state.Store(&published{live: r.iss.Keys()})
	var workers sync.WaitGroup
	defer workers.Wait()
	defer r.stop.Store(true)
	for worker := range 4 {
		workers.Go(func() { r.work(worker) })
	}
	for range rotations {
		old, removed := r.iss.Keys(), r.state.Load().removed
		next := []*persauthtest.Key{r.iss.Rotate()}
		r.refreshed()
		r.state.Store(&published{live: r.iss.Keys(), removed: removed})
		r.settle(perState)

		// Nothing is promised about the old keys from here …
		r.state.Store(&published{live: next, removed: removed})
		r.iss.Retire(old...)
		r.refreshed()
		// … to here, where they are gone.
		r.state.Store(&published{live: next, removed: append(slices.Clone(removed), old...)})
		r.settle(perState)
	}
	r.stop.Store(true)
	workers.Wait()
	assert.GreaterOrEqual(t, r.accepted.Load(), rotations*perState)
	assert.GreaterOrEqual(t, r.refused.Load(), rotations*perState/4)
	assert.Len(t, r.state.Load().removed, int(rotations))
}

// refreshed returns when a refresh is complete that began after now.
func (r *rotation) refreshed() {
	r.jump(softAge)
	begin := r.iss.Clock().Now().Truncate(time.Microsecond)
	for r.status().Keys.Loaded.Before(begin) {
		require.NoError(r.t, r.v.Warm(r.t.(*testing.T).Context()))
	}
}

// settle waits until the workers have done some work.
func (r *rotation) settle(n int64) {
	accepted, refused := r.accepted.Load()+n, r.refused.Load()+n/4
	for !r.t.Failed() && (r.accepted.Load() < accepted || len(r.state.Load().removed) > 0 && r.refused.Load() < refused) {
		runtime.Gosched()
	}
}

// work verifies tokens: known ones again and again, and new ones.
func (r *rotation) work(worker int) {
	tokens := map[*persauthtest.Key]string{}
	for i := worker; !r.stop.Load() && !r.t.Failed(); i++ {
		state := r.state.Load()
		key := state.live[i%len(state.live)]
		remove := i%3 == 0 && len(state.removed) > 0
		if remove {
			key = state.removed[len(state.removed)-1-i/3%min(3, len(state.removed))]
		}
		token := tokens[key]
		if token == "" || i%8 == 0 {
			token = r.tokenBy(key)
			tokens[key] = token
		}
		_, err := r.v.Verify(r.t.(*testing.T).Context(), token)
		switch {
		case err == nil && remove:
			r.t.Errorf("a token of %s was accepted after its key was removed", key.ID)
		case err == nil:
			r.accepted.Add(1)
		case remove:
			if persauth.Code(err) != "unknown_key" {
				r.t.Errorf("a token of %s, which was removed: %v", key.ID, err)
			}
			r.refused.Add(1)
		case slices.Contains(r.state.Load().live, key):
			r.t.Errorf("a valid token of %s was refused: %v", key.ID, err)
		}
	}
}
