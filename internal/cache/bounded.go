package cache

// A bounded memory for what is looked at now and then: headers, the keys of
// proofs, what PERS refused. The one for verified tokens is in table.go.

import (
	"strings"
	"sync"
)

// Bounded remembers values under strings. It keeps at least the most recently
// used entries and at most twice as many, needs no goroutine to tidy up, and
// forgets the oldest all at once, so that no caller ever waits for a sweep. Safe
// for concurrent use.
//
// When the current generation is full it becomes the previous one, and the one
// before that is dropped. What is asked for in the previous one comes back into the
// current one.
type Bounded[V any] struct {
	limit int // entries in a generation

	mu   sync.RWMutex
	held *entries[V] // a pointer, so that a printed Verifier does not show them
}

type entries[V any] struct{ current, previous map[string]V }

// NewBounded makes a memory for at least size entries.
func NewBounded[V any](size int) *Bounded[V] {
	return &Bounded[V]{limit: size, held: &entries[V]{current: make(map[string]V)}}
}

// Get returns what is remembered under key.
func (b *Bounded[V]) Get(key string) (V, bool) {
	b.mu.RLock()
	v, ok := b.held.current[key]
	old := false
	if !ok {
		_, old = b.held.previous[key]
	}
	b.mu.RUnlock()
	if old {
		return b.promote(key)
	}
	return v, ok
}

// promote brings an entry of the previous generation into the current one, and
// returns it: or a newer one that has come, or none where it was removed, in the
// meantime.
func (b *Bounded[V]) promote(key string) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if v, newer := b.held.current[key]; newer {
		return v, true
	}
	v, still := b.held.previous[key]
	if still {
		b.set(key, v)
	}
	return v, still
}

// Put remembers value under key in place of what was there.
func (b *Bounded[V]) Put(key string, value V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set(key, value)
}

// set puts an entry into the current generation, a new one if it was full. It keeps
// a copy of the key, which may be a part of some token, good or not. The caller
// holds mu.
func (b *Bounded[V]) set(key string, value V) {
	if len(b.held.current) >= b.limit {
		b.held.current, b.held.previous = make(map[string]V), b.held.current
	}
	b.held.current[strings.Clone(key)] = value
}

// Remove forgets what is remembered under key.
func (b *Bounded[V]) Remove(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.held.current, key)
	delete(b.held.previous, key)
}

// Len counts the entries, those of the older generation included.
func (b *Bounded[V]) Len() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.held.current) + len(b.held.previous)
}
