package main

// How things are timed: beside each other, round by round, in one process. The
// machine is noisy, and whoever disturbs a round disturbs both; so what counts is
// the median of the ratios, and times are only there to give an idea.

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"time"
)

// lane is one way to do a thing.
type lane struct {
	name string
	// run does it for the places from..to of a sequence, which begins anew when
	// it ends, and returns how long that took.
	run func(from, to int) time.Duration
}

// clocked makes a lane of what is timed from its begin to its end.
func clocked(name string, do func(from, to int)) lane {
	return lane{name, func(from, to int) time.Duration {
		begin := time.Now()
		do(from, to)
		return time.Since(begin)
	}}
}

// outcome is what came of a race for one lane.
type outcome struct {
	Name string `json:"name"`
	// Ratio is the median of the ratios to the reference, Low and High are their
	// quartiles.
	Ratio float64 `json:"ratio"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
	// Nanoseconds is the median for one.
	Nanoseconds float64 `json:"nanoseconds"`

	ratios []float64 // round by round
}

// warmUp is the share of a round that a lane runs before it is timed: whoever ran
// before has left the caches to itself.
const warmUp = 1. / 16

// pair is a lane and what it is timed beside.
type pair struct{ reference, lane lane }

// race times each lane right beside the reference, each at a time as many times
// as each says. The order changes with every round.
func race(rounds, each int, reference lane, lanes ...lane) []outcome {
	pairs := make([]pair, len(lanes))
	for i, l := range lanes {
		pairs[i] = pair{reference, l}
	}
	return racePairs(rounds, each, pairs...)
}

// racePairs is race where each lane has a reference of its own.
func racePairs(rounds, each int, pairs ...pair) []outcome {
	ratios := make([][]float64, len(pairs))
	times := make([][]float64, len(pairs))
	for round := range rounds {
		from := round * each
		timed := func(l lane) (took time.Duration) {
			elsewhere(round, func() {
				if warm := int(warmUp * float64(each)); warm > 0 {
					l.run(from+each, from+each+warm)
				}
				took = l.run(from, from+each)
			})
			return took
		}
		for i := range pairs {
			at := (round + i) % len(pairs)
			var base, took time.Duration
			if round%2 == 0 {
				base, took = timed(pairs[at].reference), timed(pairs[at].lane)
			} else {
				took, base = timed(pairs[at].lane), timed(pairs[at].reference)
			}
			ratios[at] = append(ratios[at], float64(took)/float64(base))
			times[at] = append(times[at], float64(took.Nanoseconds())/float64(each))
		}
	}
	outcomes := make([]outcome, len(pairs))
	for i, p := range pairs {
		outcomes[i] = outcome{Name: p.lane.name, Ratio: quantile(ratios[i], 0.5), Low: quantile(ratios[i], 0.25),
			High: quantile(ratios[i], 0.75), Nanoseconds: quantile(times[i], 0.5), ratios: ratios[i]}
	}
	return outcomes
}

// elsewhere runs something in a goroutine of its own, as a service does with a
// request, and at another depth of its stack in each round. The depth at which an
// ECDSA signature is checked makes up to 5 % of the time; so no lane is lucky, or
// unlucky, in all of the rounds.
func elsewhere(round int, do func()) {
	const places = 100 // of 40 bytes each: a page
	var running sync.WaitGroup
	running.Go(func() { deeper(round*29%places, do) })
	running.Wait()
}

// deeper runs something depth calls further down the stack.
func deeper(depth int, do func()) {
	if depth == 0 {
		do()
		return
	}
	deeper(depth-1, do)
}

// quantile returns the value that is nearest to a share of the way through the
// values.
func quantile(values []float64, share float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(math.Round(share*float64(len(sorted)-1)))]
}

// allocations counts what one run of a lane allocates: the objects and the
// bytes, for one.
func allocations(l lane, from, each int) (objects, bytes float64) {
	l.run(from, from+each) // what is allocated once
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l.run(from+each, from+2*each)
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(each), float64(after.TotalAlloc-before.TotalAlloc) / float64(each)
}
