package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// result is what one server takes for a request, in CPU time of its process.
type result struct {
	Name string `json:"name"`
	// Seen and Fresh are for one token again and again, and for tokens in turn.
	Seen  figure `json:"seen"`
	Fresh figure `json:"fresh"`
	// Memory is the most that the process had, in bytes.
	Memory int `json:"memory"`
}

// figure is the median of the rounds.
type figure struct {
	Microseconds float64 `json:"microseconds"`
	// Bare and JWT are the ratios to the bare server and to the handler on
	// golang-jwt in the same round.
	Bare float64 `json:"bare"`
	JWT  float64 `json:"jwt"`
	// PerSecond is how many were answered, by all cores that the client left.
	PerSecond float64 `json:"perSecond"`
}

// sample is one server in one round.
type sample struct{ micros, perSecond float64 }

// measure runs all servers, round by round.
func measure(ctx context.Context, s settings, w *world, running []*server) ([]result, error) {
	seen, fresh := make([][]sample, len(running)), make([][]sample, len(running))
	// The turn of a token comes again only when all others had theirs, also over the
	// rounds: it is forgotten by then.
	same, inTurn := make([]turns, len(running)), make([]turns, len(running))
	for i, r := range running {
		same[i].requests = [][]byte{request(r.peer.path, w.tokens[0])}
		for _, token := range w.tokens {
			inTurn[i].requests = append(inTurn[i].requests, request(r.peer.path, token))
		}
	}
	for round := range s.rounds {
		progress("round %d of %d", round+1, s.rounds)
		for i := range running {
			i = (i + round) % len(running) // another order each time
			one, err := once(ctx, s, running[i], &same[i])
			if err != nil {
				return nil, err
			}
			many, err := once(ctx, s, running[i], &inTurn[i])
			if err != nil {
				return nil, err
			}
			seen[i], fresh[i] = append(seen[i], one), append(fresh[i], many)
		}
	}
	bare := slices.IndexFunc(running, func(r *server) bool { return r.peer.bare })
	jwt := slices.IndexFunc(running, func(r *server) bool { return r.peer.name == golangJWT })
	results := make([]result, len(running))
	for i, r := range running {
		results[i] = result{Name: r.peer.name, Memory: peakMemory(r.cmd.Process.Pid),
			Seen: summed(seen[i], seen[bare], seen[jwt]), Fresh: summed(fresh[i], fresh[bare], fresh[jwt])}
	}
	return results, nil
}

// once measures one server for a while.
func once(ctx context.Context, s settings, r *server, t *turns) (sample, error) {
	// What the server remembers of the last time is driven out, or warm.
	if _, err := load(ctx, r.addr, s.conns, s.each/4, t); err != nil {
		return sample{}, fmt.Errorf("%s: %w", r.peer.name, err)
	}
	before, err := cpuTime(r.cmd.Process.Pid)
	if err != nil {
		return sample{}, err
	}
	began := time.Now()
	answers, err := load(ctx, r.addr, s.conns, s.each, t)
	took := time.Since(began)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", r.peer.name, err)
	}
	after, err := cpuTime(r.cmd.Process.Pid)
	if err != nil || answers == 0 {
		return sample{}, fmt.Errorf("%s: %d answers, %w", r.peer.name, answers, cmpErr(err))
	}
	return sample{float64((after - before).Microseconds()) / float64(answers), float64(answers) / took.Seconds()}, ctx.Err()
}

func summed(own, bare, jwt []sample) figure {
	times := func(reference []sample) float64 {
		ratios := make([]float64, len(own))
		for i := range own {
			ratios[i] = own[i].micros / reference[i].micros
		}
		return median(ratios)
	}
	micros, rate := make([]float64, len(own)), make([]float64, len(own))
	for i, s := range own {
		micros[i], rate[i] = s.micros, s.perSecond
	}
	return figure{median(micros), times(bare), times(jwt), median(rate)}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
