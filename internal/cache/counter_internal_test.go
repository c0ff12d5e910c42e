package cache

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A tally loses nothing, whoever counts and whatever the collector takes away.
func TestTally(t *testing.T) {
	const workers, each, rounds = 8, 1000, 5
	tally := newStripedCounter()
	for round := range uint64(rounds) {
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for range each {
					tally.add()
				}
			})
		}
		running.Wait()
		assert.Equal(t, (round+1)*workers*each, tally.Sum())
		// Twice: what a pool holds outlives one collection.
		runtime.GC()
		runtime.GC()
	}
}

// Those who were given the same cell lose nothing either, and part when they meet.
func TestTallyParts(t *testing.T) {
	if runtime.GOMAXPROCS(0) == 1 {
		t.Skip("nobody meets on one core")
	}
	const workers, each = 4, 50_000
	parted := false
	// They meet when two cores run at the same time, which a busy machine may not
	// give them for a while.
	for deadline := time.Now().Add(30 * time.Second); !parted && time.Now().Before(deadline); {
		tally := newStripedCounter()
		shared := &tally.cells[0]
		var running, ready sync.WaitGroup
		ready.Add(workers)
		for range workers {
			running.Go(func() {
				tally.near.Put(shared)
				ready.Done()
				ready.Wait()
				for range each {
					tally.add()
				}
			})
		}
		running.Wait()
		assert.EqualValues(t, workers*each, tally.Sum())
		parted = shared.n.Load() < workers*each
	}
	assert.True(t, parted, "all of them stayed in one cell")
}
