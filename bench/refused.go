package main

// Tokens that are refused: what a stranger can make a service spend.

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

// refusedResult is what it takes a peer to refuse a token.
type refusedResult struct {
	Case string `json:"case"`
	outcome
	// Fetches is how often keys were fetched for a thousand tokens.
	Fetches float64 `json:"fetches"`
}

const (
	refusedBatch = 512
	unknownKey   = "unknown key"
)

// bad is a way to make a bad token of a session.
type bad struct {
	name string
	make func(w *world, i int) string
}

var badTokens = []bad{
	{"malformed", func(w *world, i int) string { return unsigned(w.token(i, nil)) }},
	{"wrong algorithm", func(w *world, i int) string { return withHeader(header("HS256", w.key.ID), w.token(i, nil)) }},
	{"expired", func(w *world, i int) string {
		return w.token(i, func(s *session) { s.ExpiresAt = w.begin.Add(-time.Hour).Unix() })
	}},
	{"bad signature", func(w *world, i int) string { return forged(w.token(i, nil), w.token(i+1, nil)) }},
	{unknownKey, func(w *world, i int) string { return withHeader(header(w.key.Algorithm, "another"), w.token(i, nil)) }},
}

// refused times how all peers refuse RS256 tokens, beside the floor of good ones.
func refused(ctx context.Context, rounds int) ([]refusedResult, error) {
	var results []refusedResult
	for _, b := range badTokens {
		w, err := newWorld("RS256")
		if err != nil {
			return nil, err
		}
		good := w.tokens(refusedBatch, nil)
		wrong := make([]string, refusedBatch)
		for i := range wrong {
			wrong[i] = b.make(w, i)
		}
		floor := floorLane(w, good)
		var lanes []lane
		var fetches []float64
		for _, p := range peers {
			if p.name == "persauth" && b.name == unknownKey {
				p.open = openRemote
			}
			check, err := p.open(ctx, w)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			if _, err := check(ctx, good[0]); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			l := clocked(p.name, refusing(ctx, check, wrong))
			l.run(0, refusedBatch) // to warm up, and to use up the first permit to fetch keys
			before := w.asked.Load()
			l.run(0, refusedBatch)
			fetches = append(fetches, 1000*float64(w.asked.Load()-before)/refusedBatch)
			lanes = append(lanes, l)
		}
		for i, o := range race(rounds, refusedBatch, floor, lanes...) {
			results = append(results, refusedResult{Case: b.name, outcome: o, Fetches: fetches[i]})
		}
	}
	return results, nil
}

func refusing(ctx context.Context, check verify, tokens []string) func(from, to int) {
	return func(from, to int) {
		for i := from; i < to; i++ {
			if _, err := check(ctx, tokens[i%len(tokens)]); err == nil {
				panic("a bad token was taken")
			}
		}
	}
}

// openRemote is openPersauth with keys from the issuer. They are fetched again for
// an unknown key, but not for each: twice a minute at the most. PERS, whose word
// on such a token would be asked for next, is left out.
func openRemote(_ context.Context, w *world) (verify, error) {
	cfg := strict(w, fewTokens)
	cfg.Keys, cfg.ProjectKey, cfg.BaseURL, cfg.HTTPClient = nil, strings.Repeat("0", 64), issuer, w.client()
	cfg.UnknownKeyCallsPerHour, cfg.Revocation = persauth.NoCalls, persauth.RevocationOff()
	v, err := persauth.New(cfg)
	if err != nil {
		return nil, err
	}
	return verifyWith(v), nil
}
