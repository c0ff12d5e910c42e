package main

// Tokens that were never seen before: what every library does with every token,
// and this one with the first request.

import (
	"context"
	"fmt"
)

// freshResult is what a peer takes for a token that it never saw.
type freshResult struct {
	Algorithm string `json:"algorithm"`
	outcome
	// Allocations and Bytes are those for one token.
	Allocations float64 `json:"allocations"`
	Bytes       float64 `json:"bytes"`
}

// fresh times all peers for one algorithm, batch tokens between two looks at the
// clock. The first of the results is the floor.
func fresh(ctx context.Context, algorithm string, rounds, batch int) ([]freshResult, error) {
	w, err := newWorld(algorithm)
	if err != nil {
		return nil, err
	}
	// Those that warm a lane up are not those that are timed after it, and there
	// are far more than are remembered; so each is new when its turn comes again.
	tokens := w.tokens(2*batch, nil)
	floor := floorLane(w, tokens)
	lanes := []lane{floor}
	for _, p := range peers {
		if !p.takes(algorithm) {
			continue
		}
		check, err := p.open(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		lanes = append(lanes, clocked(p.name, accepting(ctx, check, tokens)))
	}
	var results []freshResult
	for i, o := range race(rounds, batch, floor, lanes...) {
		r := freshResult{Algorithm: algorithm, outcome: o}
		r.Allocations, r.Bytes = allocations(lanes[i], 0, len(tokens))
		results = append(results, r)
	}
	return results, nil
}

// accepting verifies tokens, one after the other.
func accepting(ctx context.Context, check verify, tokens []string) func(from, to int) {
	return func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := check(ctx, tokens[i%len(tokens)]); err != nil {
				panic("a good token was refused: " + err.Error())
			}
		}
	}
}
