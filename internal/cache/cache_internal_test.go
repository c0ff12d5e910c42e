package cache

// Both memories, the one for verified tokens and the one for all else, hold to
// the same bounds.

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/patrickmn/go-cache"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// memory is what the two have in common.
type memory interface {
	get(key int) (value int, ok bool)
	put(key, value int)
	remove(key int)
	Len() int
}

type cacheMemory struct{ *Bounded[int] }

func (m cacheMemory) get(key int) (int, bool) { return m.Bounded.Get(strconv.Itoa(key)) }
func (m cacheMemory) put(key, value int)      { m.Bounded.Put(strconv.Itoa(key), value) }
func (m cacheMemory) remove(key int)          { m.Bounded.Remove(strconv.Itoa(key)) }

// tableMemory holds values beside their tokens.
type tableMemory struct{ *Table[tableEntry] }

func (m tableMemory) put(key, value int) { m.Table.Put(entry(strconv.Itoa(key), value)) }
func (m tableMemory) remove(key int)     { m.Table.Remove(strconv.Itoa(key)) }
func (m tableMemory) get(key int) (int, bool) {
	if r := m.Table.Get(strconv.Itoa(key)); r != nil {
		return r.value, true
	}
	return 0, false
}

// tableEntry is what is remembered of a token.
type tableEntry struct {
	text  string
	value int
}

func (e *tableEntry) token() string { return e.text }

func entry(token string, value int) *tableEntry { return &tableEntry{token, value} }

func newEntryTable(size int) *Table[tableEntry] { return NewTable(size, (*tableEntry).token) }

// forEachMemory runs a test with both, made for size entries.
func forEachMemory(t *testing.T, test func(t *testing.T, empty func(size int) memory)) {
	t.Run("cache", func(t *testing.T) {
		test(t, func(size int) memory { return cacheMemory{NewBounded[int](size)} })
	})
	t.Run("table", func(t *testing.T) {
		test(t, func(size int) memory { return tableMemory{newEntryTable(size)} })
	})
}

// However much is put in, by however many, no more stays than the bound, and
// what is found is what was put there.
func TestMemoryStaysBounded(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		for _, size := range []int{1, 2, 10, 500, 5000, 9000} {
			t.Run(fmt.Sprint(size), func(t *testing.T) {
				m := empty(size)
				var load sync.WaitGroup
				for worker := range 4 {
					load.Go(func() {
						r := rand.New(rand.NewPCG(uint64(size), uint64(worker)))
						for range 10_000 {
							// Some come again and again, most do not.
							key := r.Int()
							if r.IntN(4) == 0 {
								key = r.IntN(size)
							}
							switch r.IntN(8) {
							case 0:
								m.remove(key)
							case 1, 2, 3:
								if value, ok := m.get(key); ok && value != key {
									t.Errorf("for %d there is %d", key, value)
								}
							default:
								m.put(key, key)
							}
							if r.IntN(100) == 0 && m.Len() > 5*size/2+2 {
								t.Errorf("%d entries in a memory for %d", m.Len(), size)
							}
						}
					})
				}
				load.Wait()
				assert.LessOrEqual(t, m.Len(), 5*size/2+2)
			})
		}
	})
}

// The last entries that were put are there, as many as the memory is for.
func TestMemoryKeepsTheLatest(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		for _, size := range []int{1, 2, 10, 1023, 1024, 8191, 8192, 10_000} {
			m := empty(size)
			for i := range 3 * size {
				m.put(i, -i)
			}
			for i := 2 * size; i < 3*size; i++ {
				value, ok := m.get(i)
				require.True(t, ok, "%d of %d", i, size)
				require.Equal(t, -i, value)
			}
		}
	})
}

// Whatever happens, they say what a memory says that never forgets; and they never
// forget the entries that were used last, as many as they are for.
func TestMemoryAgreesWithGoCache(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		for _, size := range []int{1, 2, 10, 400} {
			m, all := empty(size), cache.New(cache.NoExpiration, 0)
			r := rand.New(rand.NewPCG(uint64(size), 1))
			var used []int // the keys that were used, the last one at the end; size of them
			use := func(key int) {
				used = append(slices.DeleteFunc(used, func(k int) bool { return k == key }), key)
				used = used[max(len(used)-size, 0):]
			}
			for step := range 20_000 {
				key := r.IntN(3 * size)
				switch r.IntN(8) {
				case 0:
					m.remove(key)
					all.Delete(strconv.Itoa(key))
				case 1, 2, 3:
					m.put(key, step)
					all.Set(strconv.Itoa(key), step, cache.NoExpiration)
					use(key)
				default:
					value, found := m.get(key)
					want, there := all.Get(strconv.Itoa(key))
					if found {
						require.Equal(t, want, value, "key %d of %d, at step %d", key, size, step)
						use(key)
					} else if there {
						require.NotContains(t, used, key, "%d, at step %d", size, step)
					}
				}
			}
		}
	})
}

// Who is asked for stays; who is not leaves with its generation.
func TestMemoryPromotes(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		const size, askedFor, neverAskedFor = 10, 1, 2
		m := empty(size)
		m.put(askedFor, 10)
		m.put(neverAskedFor, 20)
		for i := 100; i < 100+10*size; i++ {
			m.put(i, i)
			value, ok := m.get(askedFor)
			require.True(t, ok, i)
			require.Equal(t, 10, value)
		}
		_, ok := m.get(neverAskedFor)
		assert.False(t, ok)

		m.put(askedFor, 11)
		value, _ := m.get(askedFor)
		assert.Equal(t, 11, value)
		m.remove(askedFor)
		_, ok = m.get(askedFor)
		assert.False(t, ok)
	})
}

// What was removed, or put anew, does not come back from the older generation;
// and what was removed can be put again.
func TestMemoryForgetsInBothGenerations(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		m := empty(2)
		m.remove(1)
		m.put(1, 10)
		m.put(2, 20)
		m.put(3, 30) // 1 is of the previous generation now
		m.put(1, 11)
		value, _ := m.get(1)
		assert.Equal(t, 11, value)
		assert.Equal(t, 4, m.Len())
		m.remove(1)
		_, ok := m.get(1)
		assert.False(t, ok)
		assert.Equal(t, 2, m.Len(), "2 and 3")
		m.put(1, 12)
		value, _ = m.get(1)
		assert.Equal(t, 12, value)
	})
}

// They need no goroutine, so there is nothing to close.
func TestMemoryHasNoGoroutine(t *testing.T) {
	forEachMemory(t, func(t *testing.T, empty func(int) memory) {
		// Counted in here: a subtest that has just ended may still be there.
		before := runtime.NumGoroutine()
		for range 100 {
			m := empty(2000)
			for i := range 100 {
				m.put(i, i)
			}
		}
		assert.LessOrEqual(t, runtime.NumGoroutine(), before)
	})
}

// A reader who found an old entry, and is late to promote it, brings what is
// there by then.
func TestMemoryPromotesTheNewest(t *testing.T) {
	memory := NewBounded[string](1)
	memory.Put("1", "old")
	memory.Put("2", "")
	memory.Put("1", "new") // the reader found "old" before this,
	memory.Put("3", "")
	value, ok := memory.promote("1") // and comes here
	require.True(t, ok)
	assert.Equal(t, "new", value)

	table := tableMemory{newEntryTable(1)}
	table.put(1, 10)
	table.put(2, 20)
	table.put(1, 11)
	table.put(3, 30)
	hash := table.hash("1")
	assert.Equal(t, 11, table.promote(table.shard(hash), hash, "1").value)
	table.remove(1)
	assert.Nil(t, table.promote(table.shard(hash), hash, "1"))
}

// Whoever comes with a part of a large text does not make the memory keep that.
func TestMemoryOwnsItsKeys(t *testing.T) {
	memory := NewBounded[int](1)
	part := strings.Repeat("key", 2)[:3]
	owned := func() {
		t.Helper()
		require.Len(t, memory.held.current, 1)
		for key := range memory.held.current {
			assert.Equal(t, part, key)
			assert.NotSame(t, unsafe.StringData(part), unsafe.StringData(key))
		}
	}
	memory.Put(part, 1)
	owned()
	memory.Put("other", 2) // what was put before is of the previous generation now
	value, ok := memory.Get(part)
	require.True(t, ok)
	assert.Equal(t, 1, value)
	owned()
}
