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
	"time"

	"github.com/persauth/persauth"
)

// seenResult is what one core takes to look up one of the live tokens.
type seenResult struct {
	Live    int `json:"live"`
	outcome     // beside the map
	// Map and Hash are the nanoseconds of the other two.
	Map  float64 `json:"map"`
	Hash float64 `json:"hash"`
	// OverHash is the median ratio to a hash of the token and a look at the clock.
	OverHash    float64 `json:"overHash"`
	Allocations float64 `json:"allocations"`
}

// scaling is what all cores do together.
type scaling struct {
	Live     int  `json:"live"`
	Cores    int  `json:"cores"`
	Persauth gain `json:"persauth"`
	Map      gain `json:"map"`
	Hash     gain `json:"hash"`
	// OfHash is the median, round by round, of what persauth gains in parts of what
	// the hash and the clock gain, which share nothing: all that the machine has
	// to give just then.
	OfHash float64 `json:"ofHash"`
}

// gain is how many times as much all cores do in the same time as one, and how
// many nanoseconds they take for one token together.
type gain struct {
	Times       float64 `json:"times"`
	Nanoseconds float64 `json:"nanoseconds"`
}

// seenBatch is how many look-ups there are between two looks at the clock.
const seenBatch = 64 * arrivals * 20

// togetherBatch is how many there are where cores look tokens up together: so many
// that it does not show how long the system takes to wake a core.
const togetherBatch = 4 * seenBatch

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
	if live := v.Status().CachedTokens; live < n {
		return nil, fmt.Errorf("%d of %d tokens are remembered", live, n)
	}
	m.persauth = func(token string) {
		if claims, err := v.Verify(ctx, token); err != nil || claims.TenantID() != tenant {
			panic("a good token was refused")
		}
	}
	entries, err := decoded(ctx, v, m.tokens)
	if err != nil {
		return nil, err
	}
	bare := &lockedMap{entries: entries}
	m.locked = func(token string) {
		if entry := bare.get(token); entry == nil || entry.TenantID != tenant {
			panic("the map lost a token")
		}
	}
	seed := maphash.MakeSeed()
	m.hash = func(token string) {
		sum, now := maphash.String(seed, token), time.Now()
		if sum == 0 && now.IsZero() {
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

// decoded maps copies of tokens to their claims in a struct.
func decoded(ctx context.Context, v *persauth.Verifier, tokens []string) (map[string]*session, error) {
	entries := make(map[string]*session, len(tokens))
	for _, token := range tokens {
		claims, err := v.Verify(ctx, token)
		if err != nil {
			return nil, err
		}
		entry := new(session)
		if err := claims.Decode(entry); err != nil {
			return nil, err
		}
		entries[strings.Clone(token)] = entry
	}
	return entries, nil
}

// arrivals is how many tokens come before the first of them is looked up. All of
// them fit in the cache that is nearest to a core.
const arrivals = 16

// arriving looks tokens up on one core. A service has just read a token from a
// connection when it looks it up, so each token is read before, and that is not
// counted.
func (m *memories) arriving(name string, get func(string)) lane {
	seed := maphash.MakeSeed()
	return lane{name, func(from, to int) (spent time.Duration) {
		for ; from < to; from += arrivals {
			var arrived [arrivals]string
			for i := range arrived {
				arrived[i] = m.token(from + i)
				maphash.String(seed, arrived[i])
			}
			begin := time.Now()
			for _, token := range arrived {
				get(token)
			}
			spent += time.Since(begin)
		}
		return spent
	}}
}

// together looks tokens up on some cores at once, each its share of them. The
// time is that from when all have begun to when the last one has ended.
func (m *memories) together(get func(string), cores int) lane {
	return lane{"", func(from, to int) time.Duration {
		share := (to - from) / cores
		var ready, running sync.WaitGroup
		ready.Add(cores)
		start := make(chan struct{})
		for g := range cores {
			running.Go(func() {
				ready.Done()
				<-start
				for i := from + g*share; i < from+(g+1)*share; i++ {
					get(m.token(i))
				}
			})
		}
		ready.Wait()
		begin := time.Now()
		close(start)
		running.Wait()
		return time.Since(begin)
	}}
}

// token returns the token at a place of the order.
func (m *memories) token(i int) string { return m.tokens[m.order[i%len(m.order)]] }

// seen times look-ups among n live tokens, on one core and on all of them.
func seen(ctx context.Context, n, rounds int) (seenResult, scaling, error) {
	m, err := remember(ctx, n)
	if err != nil {
		return seenResult{}, scaling{}, err
	}
	ours, locked, hash := m.arriving("persauth", m.persauth), m.arriving("map", m.locked), m.arriving("hash", m.hash)
	toMap := race(rounds, seenBatch, locked, ours, locked, hash)
	r := seenResult{Live: n, outcome: toMap[0], Map: toMap[1].Nanoseconds, Hash: toMap[2].Nanoseconds,
		OverHash: race(rounds, seenBatch, hash, ours)[0].Ratio}
	r.Allocations, _ = allocations(ours, 0, seenBatch)

	cores := runtime.GOMAXPROCS(0)
	oneBesideAll := func(get func(string)) pair { return pair{m.together(get, 1), m.together(get, cores)} }
	o := racePairs(rounds, togetherBatch, oneBesideAll(m.persauth), oneBesideAll(m.locked), oneBesideAll(m.hash))
	gained := func(o outcome) gain { return gain{1 / o.Ratio, o.Nanoseconds} }
	ofHash := make([]float64, rounds)
	for round := range ofHash {
		ofHash[round] = o[2].ratios[round] / o[0].ratios[round]
	}
	return r, scaling{n, cores, gained(o[0]), gained(o[1]), gained(o[2]), quantile(ofHash, 0.5)}, nil
}
