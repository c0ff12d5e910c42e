package persauthtest

// HTTP without a socket: a transport that calls a handler, so that time can be
// that of a testing/synctest bubble.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// memory is an http.RoundTripper that takes requests for one host to a handler,
// each in a goroutine of its own.
type memory struct {
	handler http.Handler
	host    string

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// RoundTrip behaves as that of http.Transport. When the handler aborts, the
// error is that of a connection that was reset, or, when the client has the
// header already, io.ErrUnexpectedEOF where the body breaks off.
func (m *memory) RoundTrip(r *http.Request) (*http.Response, error) {
	body := r.Body
	if body == nil {
		body = http.NoBody
	}
	ctx := r.Context()
	err := context.Cause(ctx)
	switch {
	case err != nil:
	case r.URL.Host != m.host:
		err = &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
	case !m.begin():
		err = &net.OpError{Op: "dial", Net: "tcp", Err: errRefused}
	}
	if err != nil {
		_ = body.Close()
		return nil, err
	}
	served, cancel := context.WithCancel(ctx)
	request := r.Clone(served)
	request.Body, request.RequestURI, request.RemoteAddr = body, r.URL.RequestURI(), "192.0.2.1:1234"
	if request.Host == "" {
		request.Host = r.URL.Host
	}
	reader, writer := io.Pipe()
	w := &memoryWriter{method: r.Method, header: make(http.Header), body: writer, answer: make(chan *http.Response, 1)}
	w.response = &http.Response{Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: &memoryBody{reader, cancel}}
	// Whoever reads or writes the body is woken when the client goes.
	stop := context.AfterFunc(ctx, func() { _ = writer.CloseWithError(context.Cause(ctx)) })
	go func() {
		defer m.running.Done()
		defer cancel()
		defer body.Close()
		defer stop()
		w.run(m.handler, request)
	}()
	select {
	case response := <-w.answer:
		if response == nil {
			return nil, &net.OpError{Op: "read", Net: "tcp", Err: errReset}
		}
		return response, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// begin reports whether a request may still come in.
func (m *memory) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.running.Add(1)
	}
	return !m.closed
}

// close lets no request in any more, and waits for those that are there.
func (m *memory) close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.running.Wait()
}

// memoryBody is the body of an answer. To close it ends the handler.
type memoryBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *memoryBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// memoryWriter is the http.ResponseWriter.
type memoryWriter struct {
	method   string
	header   http.Header
	body     *io.PipeWriter
	response *http.Response
	sent     bool // the header is
	answer   chan *http.Response
}

// run calls the handler and ends the answer.
func (w *memoryWriter) run(handler http.Handler, r *http.Request) {
	aborted := true
	defer func() {
		if !aborted {
			return
		}
		// As net/http does with any panic, but for a line in the log.
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			defer panic(p)
		}
		_ = w.body.CloseWithError(io.ErrUnexpectedEOF)
		if !w.sent {
			w.answer <- nil
		}
	}()
	handler.ServeHTTP(w, r)
	w.Flush()
	_ = w.body.Close()
	aborted = false
}

func (w *memoryWriter) Header() http.Header { return w.header }

func (w *memoryWriter) WriteHeader(status int) {
	if w.sent {
		return
	}
	w.sent = true
	w.response.StatusCode = status
	w.response.Status = fmt.Sprintf("%d %s", status, http.StatusText(status))
	w.response.Header = w.header.Clone()
	w.response.ContentLength = -1
	if length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64); err == nil {
		w.response.ContentLength = length
	}
	w.answer <- w.response
}

func (w *memoryWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	status := w.response.StatusCode
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case w.method == http.MethodHead:
		return len(p), nil
	}
	n, err := w.body.Write(p)
	if errors.Is(err, io.ErrClosedPipe) {
		err = net.ErrClosed
	}
	return n, err
}

// Flush sends the header. The body is never held back.
func (w *memoryWriter) Flush() { w.WriteHeader(http.StatusOK) }
