// Package httpend ends what an HTTP handler waits for: reads of the request, and
// writes of the answer.
package httpend

import (
	"net/http"
	"sync"
	"time"
)

// WriteGrace is how long an answer that has ended may take for a last word.
const WriteGrace = time.Second

// Ender ends what the handler of one request waits for. It is safe for concurrent
// use.
type Ender struct {
	connection *http.ResponseController
	mu         sync.Mutex
	finished   bool
	writing    *time.Timer
}

// New makes an Ender for the request whose answer w is.
func New(w http.ResponseWriter) *Ender { return &Ender{connection: http.NewResponseController(w)} }

// Wake ends reads of the body at once, and writes after WriteGrace: a handler goes on
// that waits for a silent client, or for one that does not read. The connection serves
// no other request.
func (e *Ender) Wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.finished || e.writing != nil { // finished: the connection may serve another request by now
		return
	}
	_ = e.connection.SetReadDeadline(time.Unix(1, 0))
	e.writing = time.AfterFunc(WriteGrace, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if !e.finished {
			_ = e.connection.SetWriteDeadline(time.Unix(1, 0))
		}
	})
}

// Finish must be called before the handler returns. Nothing is woken afterwards.
func (e *Ender) Finish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.finished = true
	if e.writing != nil {
		e.writing.Stop()
	}
}
