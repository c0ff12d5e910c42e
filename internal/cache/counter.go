package cache

// A counter for what happens at every request.

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// stripedCounter counts on many cores at once. A shared counter would bounce between
// cores, and cost more than all else that a remembered token costs; each core
// normally has its own cell. Safe for concurrent use.
type stripedCounter struct {
	cells []counterCell
	near  sync.Pool // of *counterCell: the one that this core took last
	next  atomic.Uint32
}

// counterCell is a number that shares its cache lines with nothing.
type counterCell struct {
	n atomic.Uint64
	_ [120]byte
}

// newStripedCounter makes a tally that counts from zero. The pool may forget what a core
// took, and then gives it the next cell, which another core may have: that would do
// no harm but to speed, and ends when they meet. It takes half a kilobyte for each
// core.
func newStripedCounter() *stripedCounter {
	t := &stripedCounter{cells: make([]counterCell, 4*runtime.GOMAXPROCS(0))}
	t.near.New = func() any { return &t.cells[t.next.Add(1)%uint32(len(t.cells))] }
	return t
}

// add counts one.
func (t *stripedCounter) add() {
	cell := t.near.Get().(*counterCell)
	if n := cell.n.Load(); !cell.n.CompareAndSwap(n, n+1) {
		// Another core counts here. Left as they are, two of them would take
		// longer together than one alone.
		cell = t.near.New().(*counterCell)
		cell.n.Add(1)
	}
	t.near.Put(cell)
}

// Sum returns what was counted.
func (t *stripedCounter) Sum() uint64 {
	var n uint64
	for i := range t.cells {
		n += t.cells[i].n.Load()
	}
	return n
}
