package sidecar

// A bound on open connections that nobody can use to lock others out: where
// there are too many, the one that has waited longest is closed. A connection
// waits while no request is decided about on it: idle ones, those that send a
// request byte by byte, and those whose body does not come make room for others.

import (
	"container/list"
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
	all     map[net.Conn]*list.Element // nil while a request is decided about
	waiting *list.List                 // of net.Conn, longest first
}

func newConnLimiter(most int) *connLimiter {
	return &connLimiter{most: most, all: make(map[net.Conn]*list.Element), waiting: list.New()}
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
		if place, open := c.all[conn]; open && place == nil {
			c.all[conn] = c.waiting.PushBack(conn)
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

func (c *connLimiter) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}
