package cache

// The memory of verified tokens. A look-up takes no lock and touches few lines of
// memory, because it is all that most requests cost; see docs/performance.md.

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// shardSize is how many tokens a shard is for, at the least, in a table of
	// several. Hashes do not spread evenly, so a shard has room for a quarter
	// more; that is over five standard deviations.
	shardSize = 512
	// hashedTail is how much of a token is hashed, in bytes. It is a part of
	// the signature, which no two tokens share by chance.
	hashedTail = 32
)

// Table remembers verified tokens. It keeps at least the most recently used
// ones, as many as it was made for, and at most two and a half times as many,
// without a goroutine to tidy up: it forgets a generation at a time. Safe for
// concurrent use.
//
// The hash only says where to look. A stranger may write down a token that has
// the hash of another, so all of a token is compared before it is found.
type Table[E any] struct {
	seed    maphash.Seed
	shards  []tableShard[E]
	tokenOf func(*E) string // the token of what is remembered of it
	Hits    *stripedCounter // calls of get that found something
}

// tableShard is a part of the table that is filled, and grows old, by itself.
type tableShard[E any] struct {
	held  atomic.Pointer[generations[E]] // nil: none yet
	mu    sync.Mutex                     // held to write
	limit int                            // entries in a generation
	_     [40]byte                       // what others write is on another cache line
}

// generations are a shard's entries: when the current generation is full it
// becomes the previous one, and the one before that is dropped. They are replaced
// together, so that a reader never sees the one without the other.
type generations[E any] struct{ current, previous *generation[E] }

// generation is a hash table with open addressing that never grows, and in which
// a slot keeps its hash for good, so that it can be read without a lock.
type generation[E any] struct {
	slots []slot[E]
	used  int          // slots with a hash; guarded by the shard's mu
	live  atomic.Int64 // slots with a token
}

// slot holds a token. The hash is written after all else, and like the token
// never changed; what is remembered of the token may be.
//
// The token is what it is in the other place, too. It stands here so that the
// processor can fetch both at the same time.
type slot[E any] struct {
	hash  atomic.Uint64 // zero: free
	token string
	what  atomic.Pointer[E] // nil: free, or removed
}

// NewTable makes a table for at least size tokens. Each shard takes its
// memory when its first token comes.
func NewTable[E any](size int, token func(*E) string) *Table[E] {
	t := &Table[E]{tokenOf: token, seed: maphash.MakeSeed(), shards: make([]tableShard[E], max(size/shardSize, 1)), Hits: newStripedCounter()}
	limit := max(size, 1)
	if n := len(t.shards); n > 1 {
		limit = size/n + size/n/4
	}
	for i := range t.shards {
		t.shards[i].limit = limit
	}
	return t
}

// hash returns the hash of a token, and of those with the same end. It is never
// zero.
func (t *Table[E]) hash(token string) uint64 {
	return maphash.String(t.seed, token[max(len(token)-hashedTail, 0):]) | 1
}

// shard returns where a hash belongs. It uses up the upper bits of the hash, and
// the position in the shard those that are left over.
func (t *Table[E]) shard(hash uint64) *tableShard[E] {
	i, _ := bits.Mul64(hash, uint64(len(t.shards)))
	return &t.shards[i]
}

// position returns where in a generation the search for a hash begins.
func (t *Table[E]) position(hash uint64, g *generation[E]) uint64 {
	_, rest := bits.Mul64(hash, uint64(len(t.shards)))
	i, _ := bits.Mul64(rest, uint64(len(g.slots)))
	return i
}

// find returns the slot of a token, or the free one where it would go: there is
// always one. A reader must not look into that, because a writer may be about to
// fill it. Tokens that share a hash stand in slots of their own.
func (t *Table[E]) find(g *generation[E], hash uint64, token string) (found *slot[E], free bool) {
	for i := t.position(hash, g); ; i++ {
		if i == uint64(len(g.slots)) {
			i = 0
		}
		s := &g.slots[i]
		switch s.hash.Load() {
		case hash:
			if s.token == token {
				return s, false
			}
		case 0:
			return s, true
		}
	}
}

// in returns what a generation, which may be nil, remembers of a token.
func (t *Table[E]) in(g *generation[E], hash uint64, token string) *E {
	if g == nil {
		return nil
	}
	s, free := t.find(g, hash, token)
	if free {
		return nil
	}
	return s.what.Load()
}

// Get returns what is remembered of a token, or nil.
func (t *Table[E]) Get(token string) *E {
	hash := t.hash(token)
	s := t.shard(hash)
	held := s.held.Load()
	if held == nil {
		return nil
	}
	var r *E
	if in, free := t.find(held.current, hash, token); !free {
		r = in.what.Load()
	}
	if r == nil {
		if r = t.in(held.previous, hash, token); r != nil {
			r = t.promote(s, hash, token)
		}
	}
	if r != nil {
		t.Hits.add()
	}
	return r
}

// promote brings a token of the previous generation into the current one, and
// returns what is remembered of it: that may be newer, or nothing, by now.
func (t *Table[E]) promote(s *tableShard[E], hash uint64, token string) *E {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, old := t.lookUp(s, hash, token)
	if old {
		t.set(s, hash, r)
	}
	return r
}

// lookUp returns what is remembered of a token, and whether only the previous
// generation does so. The caller holds the shard's mu.
func (t *Table[E]) lookUp(s *tableShard[E], hash uint64, token string) (r *E, old bool) {
	held := s.held.Load()
	if held == nil {
		return nil, false
	}
	if r := t.in(held.current, hash, token); r != nil {
		return r, false
	}
	r = t.in(held.previous, hash, token)
	return r, r != nil
}

// Put remembers r in place of what was remembered of its token.
func (t *Table[E]) Put(r *E) {
	hash := t.hash(t.tokenOf(r))
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.set(s, hash, r)
}

// Replace is put where old is still what is remembered of the token, which is the
// same, and otherwise does nothing: something newer came, or it was removed.
func (t *Table[E]) Replace(old, r *E) {
	hash := t.hash(t.tokenOf(r))
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	if is, _ := t.lookUp(s, hash, t.tokenOf(r)); is == old && old != nil {
		t.set(s, hash, r)
	}
}

// set puts r into the current generation, into a new one if that is full. The
// caller holds the shard's mu.
func (t *Table[E]) set(s *tableShard[E], hash uint64, r *E) {
	if s.held.Load() == nil {
		s.next(nil)
	}
	g := s.held.Load().current
	to, free := t.find(g, hash, t.tokenOf(r))
	if free && g.used == s.limit {
		s.next(g)
		g = s.held.Load().current
		to, _ = t.find(g, hash, t.tokenOf(r))
	}
	if free {
		to.token = t.tokenOf(r)
	}
	if to.what.Swap(r) == nil {
		g.live.Add(1)
	}
	if free {
		to.hash.Store(hash)
		g.used++
	}
}

// next begins a generation after full, of which no more than two thirds of the
// slots will be used.
func (s *tableShard[E]) next(full *generation[E]) {
	s.held.Store(&generations[E]{&generation[E]{slots: make([]slot[E], s.limit+s.limit/2+1)}, full})
}

// Remove forgets a token.
func (t *Table[E]) Remove(token string) {
	hash := t.hash(token)
	s := t.shard(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	held := s.held.Load()
	if held == nil {
		return
	}
	for _, g := range []*generation[E]{held.current, held.previous} {
		if t.in(g, hash, token) != nil {
			in, _ := t.find(g, hash, token)
			in.what.Store(nil)
			g.live.Add(-1)
		}
	}
}

// Len counts the tokens, those of the older generations included.
func (t *Table[E]) Len() int {
	var n int64
	for i := range t.shards {
		if held := t.shards[i].held.Load(); held != nil {
			n += held.current.live.Load()
			if held.previous != nil {
				n += held.previous.live.Load()
			}
		}
	}
	return int(n)
}
