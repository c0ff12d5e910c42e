package sidecar

import (
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The one that has waited longest leaves, whatever came between, and nothing of
// those that left stays.
func TestConnLimiter(t *testing.T) {
	conns := make([]net.Conn, 5)
	for i := range conns {
		conns[i], _ = net.Pipe()
	}
	c := newConnLimiter(3)
	step := func(i int, state http.ConnState, leaves int) {
		t.Helper()
		leaving := c.note(conns[i], state)
		if leaves < 0 {
			assert.Nil(t, leaving)
			return
		}
		assert.Same(t, conns[leaves], leaving)
	}
	step(0, http.StateNew, -1)
	step(1, http.StateNew, -1)
	step(2, http.StateNew, -1)
	step(0, http.StateActive, -1)
	step(0, http.StateIdle, -1) // now behind the others
	step(1, http.StateActive, -1)
	step(3, http.StateNew, 2)
	step(4, http.StateNew, 0)
	step(0, http.StateActive, 3) // its request came as it was told to leave
	step(0, http.StateClosed, -1)
	step(2, http.StateClosed, -1)
	step(3, http.StateClosed, -1)
	assert.Equal(t, 2, c.len())
	step(1, http.StateIdle, -1)
	step(1, http.StateHijacked, -1)
	step(4, http.StateClosed, -1)
	assert.Zero(t, c.len())
	assert.Same(t, &c.waiting, c.waiting.next, "nobody waits")
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		c.note(conns[0], http.StateActive)
		c.note(conns[0], http.StateIdle)
	}))
}
