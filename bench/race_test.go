package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A ratio is that of a lane to the reference that ran right beside it, so what
// slows a round down does not count, whoever runs first.
func TestRace(t *testing.T) {
	calls := map[string]int{}
	begun := 0
	pace := func(name string, each time.Duration) lane {
		return lane{name, func(from, to int) time.Duration {
			calls[name]++
			slow := time.Duration(1 + begun/2%5) // for both of a pair
			begun++
			return time.Duration(to-from) * each * slow
		}}
	}
	outcomes := race(5, 10, pace("reference", 100), pace("same", 100), pace("half as much more", 150))
	assert.Equal(t, map[string]int{"reference": 10, "same": 5, "half as much more": 5}, calls)
	for i, want := range []float64{1, 1.5} {
		assert.Equal(t, want, outcomes[i].Ratio)
		assert.Equal(t, want, outcomes[i].Low)
		assert.Equal(t, want, outcomes[i].High)
	}
	assert.Equal(t, "half as much more", outcomes[1].Name)
	assert.GreaterOrEqual(t, outcomes[1].Nanoseconds, 150.0)
}

func TestQuantile(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	assert.Equal(t, 3.0, quantile(values, 0.5))
	assert.Equal(t, 1.0, quantile(values, 0))
	assert.Equal(t, 5.0, quantile(values, 1))
}

func TestWaits(t *testing.T) {
	var w waits
	for _, stretch := range [][]time.Duration{{1, 5 * time.Millisecond}, {time.Millisecond, 2}, {3 * time.Millisecond}} {
		for _, took := range stretch {
			w.note(took)
		}
		w.next()
	}
	assert.Equal(t, 5, w.Calls)
	assert.Equal(t, 2, w.Over)
	assert.Equal(t, 5.0, w.Longest)
	assert.Equal(t, 3.0, w.Usual)
}
