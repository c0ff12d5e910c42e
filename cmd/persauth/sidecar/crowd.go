package sidecar

// A bound on open connections that nobody can use to lock others out: where
// there are too many, the one that has been waiting longest without a request is
// closed. Idle connections, and those that send a request byte by byte, make
// room for those who have something to say.

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

type crowd struct {
	most int

	mu      sync.Mutex
	all     map[net.Conn]*list.Element // nil while a request is answered
	waiting *list.List                 // of net.Conn, longest first
}

func newCrowd(most int) *crowd {
	return &crowd{most: most, all: make(map[net.Conn]*list.Element), waiting: list.New()}
}

// changed is for http.Server.ConnState. A connection is new or idle until all
// headers of its request have come.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	if leaving := c.note(conn, state); leaving != nil {
		// The server notices, and tells of it by StateClosed.
		_ = leaving.Close()
	}
}

func (c *crowd) note(conn net.Conn, state http.ConnState) (leaving net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if place := c.all[conn]; place != nil {
		c.waiting.Remove(place)
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	case http.StateNew, http.StateIdle:
		c.all[conn] = c.waiting.PushBack(conn)
	default:
		c.all[conn] = nil
	}
	if len(c.all) <= c.most || c.waiting.Len() == 0 {
		return nil
	}
	first := c.waiting.Front()
	leaving = first.Value.(net.Conn)
	c.waiting.Remove(first)
	delete(c.all, leaving)
	return leaving
}

func (c *crowd) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}
