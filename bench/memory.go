package main

// How much memory it takes to remember tokens.

import (
	"context"
	"fmt"
	"runtime"

	"github.com/persauth/persauth"
)

// memoryResult is how much memory a remembered token takes, in bytes.
type memoryResult struct {
	Tokens    int     `json:"tokens"`
	TokenSize int     `json:"tokenSize"` // of the token itself
	Persauth  float64 `json:"persauth"`
	Map       float64 `json:"map"` // of a copy of the token and its claims in a struct, in a map
}

// memory measures how much is in use when n tokens are remembered.
func memory(ctx context.Context, n int) (memoryResult, error) {
	w, err := newWorld("EdDSA")
	if err != nil {
		return memoryResult{}, err
	}
	tokens := w.tokens(n, padded)
	v, err := persauth.New(strict(w, n))
	if err != nil {
		return memoryResult{}, err
	}
	defer v.Close()
	before := inUse()
	if err := verifyAll(ctx, v, tokens); err != nil {
		return memoryResult{}, err
	}
	after := inUse()
	if held := v.Status().CachedTokens; held != n {
		return memoryResult{}, fmt.Errorf("%d of %d tokens are remembered", held, n)
	}
	r := memoryResult{Tokens: n, TokenSize: len(tokens[0]), Persauth: float64(after-before) / float64(n)}

	before = inUse()
	entries, err := decoded(ctx, v, tokens)
	if err != nil {
		return memoryResult{}, err
	}
	r.Map = float64(inUse()-before) / float64(n)
	runtime.KeepAlive(entries)
	runtime.KeepAlive(tokens)
	return r, nil
}

// inUse returns how many bytes the heap holds that somebody uses.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // what a pool holds outlives one
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
