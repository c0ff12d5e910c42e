package persauth

import (
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A tally loses nothing, whoever counts and whatever the collector takes away.
func TestTally(t *testing.T) {
	const workers, each, rounds = 8, 1000, 5
	tally := newTally()
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
		assert.Equal(t, (round+1)*workers*each, tally.sum())
		// Twice: what a pool holds outlives one collection.
		runtime.GC()
		runtime.GC()
	}
}
