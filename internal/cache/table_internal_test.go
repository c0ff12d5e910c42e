package cache

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is put in place of something is put in place of just that.
func TestTableReplaces(t *testing.T) {
	for name, aged := range map[string]int{"current": 0, "previous": 1} {
		t.Run(name, func(t *testing.T) {
			table := newEntryTable(1)
			older, old, replaced, wrong := entry("1", 1), entry("1", 2), entry("1", 3), entry("1", 4)
			age := func() {
				for i := range aged {
					table.Put(entry(fmt.Sprint("passing", i), 0))
				}
			}
			table.Replace(old, wrong)
			require.Nil(t, table.Get("1"))
			table.Put(old)
			age()
			table.Replace(older, wrong)
			require.Same(t, old, table.Get("1"))
			table.Replace(old, replaced)
			age()
			require.Same(t, replaced, table.Get("1"))
			table.Remove("1")
			table.Replace(replaced, wrong)
			require.Nil(t, table.Get("1"))
		})
	}
}

// Of two tokens with one hash, neither takes the other's place, and what is put
// last of each is what is found, also where an older generation has it as well.
func TestTableOneHashTwoTokens(t *testing.T) {
	ending := strings.Repeat("s", hashedTail)
	table := newEntryTable(2)
	older, other, newer := entry("a."+ending, 1), entry("b."+ending, 2), entry("a."+ending, 3)
	require.Equal(t, table.hash(older.text), table.hash(other.text))
	table.Put(older)
	table.Put(entry("passing", 0))
	table.Put(other) // of a new generation
	require.Same(t, other, table.Get(other.text))
	table.Put(newer)
	require.Same(t, newer, table.Get(newer.text))
	require.Same(t, other, table.Get(other.text))
	table.Remove(newer.text)
	require.Nil(t, table.Get(newer.text))
	require.Same(t, other, table.Get(other.text))
	table.Put(older)
	require.Same(t, older, table.Get(older.text))
}

// Readers take no lock. While tokens come, go and turn over under them, each
// finds its own token or none.
func TestTableIsReadWithoutALock(t *testing.T) {
	const size, keys = 64, 200
	table := newEntryTable(size)
	var tokens [keys]*tableEntry
	for i := range tokens {
		tokens[i] = entry(fmt.Sprint("token ", i), i)
	}
	var readers, writers sync.WaitGroup
	done := make(chan struct{})
	for worker := range 2 {
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 50_000 {
				token := tokens[r.IntN(keys)]
				switch r.IntN(5) {
				case 0:
					table.Remove(token.text)
				case 1:
					table.Replace(token, token)
				default:
					table.Put(token)
				}
			}
		})
		readers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 2))
			for {
				select {
				case <-done:
					return
				default:
				}
				token := tokens[r.IntN(keys)]
				if found := table.Get(token.text); found != nil && found != token {
					t.Error("a token was found in place of another")
					return
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	assert.LessOrEqual(t, table.Len(), 2*size)
	table.Put(tokens[0])
	assert.Same(t, tokens[0], table.Get(tokens[0].text))
}

// However the hashes fall, a full generation has a free slot, so that a search
// ends: here all begin at the same slot, the last one.
func TestTableWithBadHashes(t *testing.T) {
	table := newEntryTable(10)
	s := &table.shards[0]
	for i := range uint64(100) {
		hash, r := ^uint64(0)-2*i, entry(fmt.Sprint(i), 0)
		table.set(s, hash, r)
		require.Same(t, r, table.in(s.held.Load().current, hash, r.text))
		require.Nil(t, table.in(s.held.Load().current, hash-1000, r.text))
		require.Nil(t, table.in(s.held.Load().current, hash, "another"))
	}
	assert.LessOrEqual(t, table.Len(), 20)
}
