package persauth

// A bounded memory. It keeps at least the most recently used entries and at most
// twice as many, needs no goroutine to tidy up, and forgets the oldest all at
// once, so that no caller ever waits for a sweep.

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/patrickmn/go-cache"
)

// shardCount spreads the locks of a large cache; a small one has one lock.
const shardCount = 16

// bounded remembers values under the hash of something longer. A stranger may
// find two things of one hash, so a value must hold what it is remembered for,
// and whoever gets it must compare. Safe for concurrent use.
type bounded[V any] struct {
	seed   maphash.Seed
	shards []cacheShard[V]
}

// newBounded makes a memory for at least size entries. The room of a shard is
// a quarter above its share, because hashes do not spread evenly; with shares of
// 512 and more that is over five standard deviations.
func newBounded[V any](size int) *bounded[V] {
	b := &bounded[V]{seed: maphash.MakeSeed()}
	if size < 512*shardCount {
		b.shards = make([]cacheShard[V], 1)
		b.shards[0].limit = max(size, 1)
	} else {
		b.shards = make([]cacheShard[V], shardCount)
		for i := range b.shards {
			b.shards[i].limit = size/shardCount + size/shardCount/4
		}
	}
	for i := range b.shards {
		b.shards[i].current.Store(newGeneration(nil, 0))
	}
	return b
}

// hash returns the hash under which text is remembered. It differs from one
// bounded to the next.
func (b *bounded[V]) hash(text string) uint64 { return maphash.String(b.seed, text) }

func (b *bounded[V]) shard(hash uint64) *cacheShard[V] {
	return &b.shards[hash%uint64(len(b.shards))]
}

// get returns what is remembered under hash.
func (b *bounded[V]) get(hash uint64) (V, bool) { return b.shard(hash).get(hash) }

// put remembers value under hash in place of what was there.
func (b *bounded[V]) put(hash uint64, value V) { b.shard(hash).put(hash, value) }

// remove forgets what is remembered under hash.
func (b *bounded[V]) remove(hash uint64) { b.shard(hash).remove(hash) }

// len counts the entries, those of the older generations included.
func (b *bounded[V]) len() int {
	n := 0
	for i := range b.shards {
		n += b.shards[i].len()
	}
	return n
}

// hits counts the calls of get that found something.
func (b *bounded[V]) hits() uint64 {
	var n uint64
	for i := range b.shards {
		n += b.shards[i].found.Load()
	}
	return n
}

// cacheShard holds two generations: when the current one is full it becomes the
// previous one, and the one before that is dropped.
type cacheShard[V any] struct {
	limit   int // entries in a generation
	mu      sync.Mutex
	current atomic.Pointer[generation]
	found   atomic.Uint64 // hits, for Status
	_       [64]byte      // the next shard is another cache line
}

// generation is a go-cache without its janitor, and without its expiry: that
// reads the system's clock, and the verifier's may be another.
type generation struct {
	entries  *cache.Cache
	previous *cache.Cache
}

// newGeneration makes a generation with room for size entries, so that it need
// not grow under the lock.
func newGeneration(previous *cache.Cache, size int) *generation {
	entries := cache.NewFrom(cache.NoExpiration, 0, make(map[string]cache.Item, size))
	return &generation{entries: entries, previous: previous}
}

func (s *cacheShard[V]) get(hash uint64) (V, bool) {
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], hash)
	g := s.current.Load()
	if v, ok := g.entries.Get(string(key[:])); ok {
		s.found.Add(1)
		return v.(V), true
	}
	if g.previous != nil {
		if v, ok := g.previous.Get(string(key[:])); ok {
			s.found.Add(1)
			s.promote(string(key[:]), v)
			return v.(V), true
		}
	}
	var none V
	return none, false
}

func (s *cacheShard[V]) put(hash uint64, value V) {
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.room().Set(string(key[:]), value, cache.NoExpiration)
}

// promote brings an entry of the previous generation into the current one,
// unless a newer one has come, or it was removed, in the meantime.
func (s *cacheShard[V]) promote(key string, value any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.current.Load()
	if _, newer := g.entries.Get(key); newer || g.previous == nil {
		return
	}
	if _, still := g.previous.Get(key); still {
		s.room().Set(key, value, cache.NoExpiration)
	}
}

// room returns the current generation, a new one if it was full. The caller
// holds mu.
func (s *cacheShard[V]) room() *cache.Cache {
	g := s.current.Load()
	if g.entries.ItemCount() >= s.limit {
		g = newGeneration(g.entries, s.limit)
		s.current.Store(g)
	}
	return g.entries
}

func (s *cacheShard[V]) remove(hash uint64) {
	var key [8]byte
	binary.LittleEndian.PutUint64(key[:], hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.current.Load()
	g.entries.Delete(string(key[:]))
	if g.previous != nil {
		g.previous.Delete(string(key[:]))
	}
}

func (s *cacheShard[V]) len() int {
	g := s.current.Load()
	n := g.entries.ItemCount()
	if g.previous != nil {
		n += g.previous.ItemCount()
	}
	return n
}
