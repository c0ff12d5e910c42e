package main

// Tokens that were seen before: what nearly every request is. There is no peer to
// time, because none remembers tokens; so the reference is the least that such a
// memory can be, a map behind a lock, and below it the hash of a token and a look
// at the clock.

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
)

// seenResult is what looking up one of the live tokens takes.
type seenResult struct {
	Live  int `json:"live"`
	Cores int `json:"cores"`
	// Ratio and quartiles are to the map.
	outcome
	MapNanoseconds  float64 `json:"mapNanoseconds"`
	HashNanoseconds float64 `json:"hashNanoseconds"`
	// OverHash is the median ratio to a hash of the token and a look at the clock.
	OverHash    float64 `json:"overHash"`
	Allocations float64 `json:"allocations"`
}

// scaling is how much more is done in the same time by all cores than by one.
type scaling struct {
	Live     int     `json:"live"`
	Cores    int     `json:"cores"`
	Persauth float64 `json:"persauth"`
	Map      float64 `json:"map"`
	Hash     float64 `json:"hash"`
}

// seenBatch is how many look-ups there are between two looks at the clock.
const seenBatch = 32 * 640

// usualTokens is how many tokens a Verifier remembers if nobody says otherwise.
const usualTokens = 10_000

// memories are the three things that are compared.
type memories struct {
	persauth, locked, hash func(token string)
	tokens                 []string
	order                  []int32 // in which tokens come: any
}

// lockedMap is the least that a memory for tokens can be.
type lockedMap struct {
	mu      sync.RWMutex
	entries map[string]*session
}

func (m *lockedMap) get(token string) *session {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.entries[token]
}

// remember makes memories of n live tokens.
func remember(ctx context.Context, n int) (*memories, error) {
	w, err := newWorld("EdDSA")
	if err != nil {
		return nil, err
	}
	m := &memories{tokens: w.tokens(n, padded), order: make([]int32, n)}
	v, err := persauth.New(strict(w, max(n, usualTokens)))
	if err != nil {
		return nil, err
	}
	if err := verifyAll(ctx, v, m.tokens); err != nil {
		return nil, err
	}
	if live := v.Status().Remembered; live < n {
		return nil, fmt.Errorf("%d of %d tokens are remembered", live, n)
	}
	m.persauth = func(token string) {
		if claims, err := v.Verify(ctx, token); err != nil || claims.TenantID() != tenant {
			panic("a good token was refused")
		}
	}
	bare := &lockedMap{entries: make(map[string]*session, n)}
	for _, token := range m.tokens {
		claims, err := v.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		entry := new(session)
		if err := claims.Decode(entry); err != nil {
			return nil, err
		}
		bare.entries[strings.Clone(token)] = entry
	}
	m.locked = func(token string) {
		if entry := bare.get(token); entry == nil || entry.TenantID != tenant {
			panic("the map lost a token")
		}
	}
	seed := maphash.MakeSeed()
	m.hash = func(token string) {
		if maphash.String(seed, token) == 0 && time.Now().IsZero() {
			panic("at the beginning of time")
		}
	}
	for i, at := range rand.New(rand.NewPCG(1, 2)).Perm(n) {
		m.order[i] = int32(at)
	}
	return m, nil
}

// verifyAll verifies tokens for the first time, on all cores.
func verifyAll(ctx context.Context, v *persauth.Verifier, tokens []string) error {
	workers := runtime.GOMAXPROCS(0)
	failed := make([]error, workers)
	var running sync.WaitGroup
	for g := range workers {
		running.Go(func() {
			for i := g; i < len(tokens) && failed[g] == nil; i += workers {
				_, failed[g] = v.Verify(ctx, tokens[i])
			}
		})
	}
	running.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// arrivals is how many tokens come before the first of them is looked up. All of
// them fit in the cache that is nearest to a core.
const arrivals = 16

// lane looks tokens up on some cores at once. A service has just read a token
// from a connection when it looks it up, so each token is read before, and that
// is not counted.
func (m *memories) lane(name string, get func(string), cores int) lane {
	seed := maphash.MakeSeed()
	one := func(from, to int) (spent time.Duration) {
		for ; from < to; from += arrivals {
			var arrived [arrivals]string
			for i := range arrived {
				arrived[i] = m.tokens[m.order[(from+i)%len(m.order)]]
				maphash.String(seed, arrived[i])
			}
			begin := time.Now()
			for _, token := range arrived {
				get(token)
			}
			spent += time.Since(begin)
		}
		return spent
	}
	return lane{name, func(from, to int) time.Duration {
		if cores == 1 {
			return one(from, to)
		}
		share := (to - from) / cores
		var spent atomic.Int64
		var running sync.WaitGroup
		for g := range cores {
			running.Go(func() { spent.Add(int64(one(from+g*share, from+(g+1)*share))) })
		}
		running.Wait()
		return time.Duration(spent.Load() / int64(cores))
	}}
}

// seen times look-ups among n live tokens, on one core and on all of them.
func seen(ctx context.Context, n, rounds int) ([]seenResult, scaling, error) {
	m, err := remember(ctx, n)
	if err != nil {
		return nil, scaling{}, err
	}
	var results []seenResult
	cores := runtime.GOMAXPROCS(0)
	for _, c := range coreCounts(cores) {
		ours, locked, hash := m.lane("persauth", m.persauth, c), m.lane("map", m.locked, c), m.lane("hash", m.hash, c)
		race(2, seenBatch, ours, locked, hash) // to warm up
		toMap := race(rounds, seenBatch, locked, ours, locked, hash)
		toHash := race(rounds, seenBatch, hash, ours)
		r := seenResult{Live: n, Cores: c, outcome: toMap[0], MapNanoseconds: toMap[1].Nanoseconds,
			HashNanoseconds: toMap[2].Nanoseconds, OverHash: toHash[0].Ratio}
		r.Allocations, _ = allocations(m.lane("persauth", m.persauth, 1), 0, seenBatch)
		results = append(results, r)
	}
	gain := func(get func(string)) float64 {
		return 1 / race(rounds, seenBatch, m.lane("", get, 1), m.lane("", get, cores))[0].Ratio
	}
	return results, scaling{n, cores, gain(m.persauth), gain(m.locked), gain(m.hash)}, nil
}

// coreCounts are one, and all.
func coreCounts(all int) []int {
	if all == 1 {
		return []int{1}
	}
	return []int{1, all}
}
