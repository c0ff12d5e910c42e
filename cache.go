package persauth

// A bounded memory for what is looked at now and then: headers, the keys of
// proofs, what PERS refused. The one for verified tokens is in table.go.

import (
	"sync"

	"github.com/patrickmn/go-cache"
)

// bounded remembers values under strings. It keeps at least the most recently
// used entries and at most twice as many, needs no goroutine to tidy up, and
// forgets the oldest all at once, so that no caller ever waits for a sweep. Safe
// for concurrent use.
type bounded[V any] struct {
	limit int // entries in a generation

	// When the current generation is full it becomes the previous one, and
	// the one before that is dropped. Both are go-caches without a janitor and
	// without expiry: that reads the system's clock, and the verifier's may be
	// another.
	mu                sync.RWMutex // guards the two pointers
	current, previous *cache.Cache
}

// newBounded makes a memory for at least size entries.
func newBounded[V any](size int) *bounded[V] {
	return &bounded[V]{limit: size, current: newGeneration(), previous: newGeneration()}
}

func newGeneration() *cache.Cache { return cache.New(cache.NoExpiration, 0) }

// generations returns the current and the previous one.
func (b *bounded[V]) generations() (current, previous *cache.Cache) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.current, b.previous
}

// get returns what is remembered under key.
func (b *bounded[V]) get(key string) (V, bool) {
	current, previous := b.generations()
	v, ok := current.Get(key)
	if !ok {
		if _, old := previous.Get(key); old {
			v, ok = b.promote(key)
		}
	}
	if !ok {
		var none V
		return none, false
	}
	return v.(V), true
}

// promote brings an entry of the previous generation into the current one, and
// returns it: or a newer one that has come, or none where it was removed, in the
// meantime.
func (b *bounded[V]) promote(key string) (any, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v, newer := b.current.Get(key); newer {
		return v, true
	}
	v, still := b.previous.Get(key)
	if still {
		b.set(key, v)
	}
	return v, still
}

// put remembers value under key in place of what was there. It keeps the key.
func (b *bounded[V]) put(key string, value V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(key, value)
}

// set puts an entry into the current generation, a new one if it was full. The
// caller holds mu.
func (b *bounded[V]) set(key string, value any) {
	if b.current.ItemCount() >= b.limit {
		b.current, b.previous = newGeneration(), b.current
	}
	b.current.Set(key, value, cache.NoExpiration)
}

// remove forgets what is remembered under key.
func (b *bounded[V]) remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.current.Delete(key)
	b.previous.Delete(key)
}

// len counts the entries, those of the older generation included.
func (b *bounded[V]) len() int {
	current, previous := b.generations()
	return current.ItemCount() + previous.ItemCount()
}
