package sidecar

// A bound on open connections that nobody can use to lock others out: where
// there are too many, the one that has waited longest is closed. A connection
// waits while no request is decided about on it: idle ones, those that send a
// request byte by byte, and those whose body does not come make room for others.

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// bodyTime is how long the body of a request may take to come. Nobody reads it;
// the server does away with it, so that the next request can follow.
const bodyTime = time.Second

type connLimiter struct {
	most int

	mu      sync.Mutex
	all     map[net.Conn]*place
	waiting place // the ring of those that wait, longest first
}

// place is where a connection waits: in the ring, or nowhere while a request is
// decided about. Each connection keeps its own, so that nothing is allocated as it
// comes and goes.
type place struct {
	conn       net.Conn
	prev, next *place // nil: it does not wait
}

func newConnLimiter(most int) *connLimiter {
	c := &connLimiter{most: most, all: make(map[net.Conn]*place)}
	c.waiting.prev, c.waiting.next = &c.waiting, &c.waiting
	return c
}

// wait puts a place at the end of the ring.
func (c *connLimiter) wait(p *place) {
	last := c.waiting.prev
	p.prev, p.next = last, &c.waiting
	last.next, c.waiting.prev = p, p
}

// goOn takes a place out of the ring.
func (p *place) goOn() {
	if p.next != nil {
		p.prev.next, p.next.prev = p.next, p.prev
		p.prev, p.next = nil, nil
	}
}

// limit makes a server keep to the limit.
func (c *connLimiter) limit(server *http.Server) {
	server.ConnState = c.changed
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, conn)
	}
	handler := server.Handler
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		if r.ContentLength != 0 {
			c.awaitBody(w, r)
		}
	})
}

// connKey is where a request's context has its connection.
type connKey struct{}

// awaitBody comes after the decision, and before the server waits for the body.
func (c *connLimiter) awaitBody(w http.ResponseWriter, r *http.Request) {
	// The server sets its own deadline for the next request.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	if conn, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p := c.all[conn]; p != nil && p.next == nil {
			c.wait(p)
		}
	}
}

// changed is for http.Server.ConnState. A connection is new or idle until all
// headers of its request have come.
func (c *connLimiter) changed(conn net.Conn, state http.ConnState) {
	if leaving := c.note(conn, state); leaving != nil {
		// The server notices, and tells of it by StateClosed.
		_ = leaving.Close()
	}
}

func (c *connLimiter) note(conn net.Conn, state http.ConnState) (leaving net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.all[conn]
	if p != nil {
		p.goOn()
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(c.all, conn)
		return nil
	default:
		if p == nil { // new, or just told to leave
			p = &place{conn: conn}
			c.all[conn] = p
		}
		if state != http.StateActive {
			c.wait(p)
		}
	}
	if len(c.all) <= c.most || c.waiting.next == &c.waiting {
		return nil
	}
	first := c.waiting.next
	first.goOn()
	delete(c.all, first.conn)
	return first.conn
}

func (c *connLimiter) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}
