// Package live is a service that sends events (SSE) and talks over WebSockets, until
// the token of its caller ends.
package live

import (
	"context"
	"fmt"
	"net/http"

	"github.com/coder/websocket"
	"github.com/persauth/persauth"
)

// New makes the service. events is what it sends.
func New(v *persauth.Verifier, events <-chan string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /events", v.Middleware(sse(v, events)))
	mux.Handle("GET /socket", v.Middleware(socket(v)))
	return mux
}

// sse sends events. The connection ends with the token: a browser's EventSource then
// asks again, and is refused until it has another one.
func sse(v *persauth.Verifier, events <-chan string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := v.StreamWhileValid(w, r)
		defer cancel()
		connection := http.NewResponseController(w)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		_ = connection.Flush()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprintf(w, "event: end\ndata: %s\n\n", persauth.Code(context.Cause(ctx)))
				return
			case event := <-events:
				if _, err := fmt.Fprintf(w, "data: %s\n\n", event); err != nil || connection.Flush() != nil {
					return
				}
			}
		}
	}
}

// socket sends back what it gets. It closes with the token, and says why. A browser
// sends no Authorization header with a WebSocket: it needs persauth.TokenCookie, and
// then it matters that Accept refuses other origins.
func socket(v *persauth.Verifier) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		caller, _ := persauth.FromContext(r.Context())
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return // it is answered
		}
		defer conn.CloseNow()
		ctx, cancel := v.ContextWhileValid(r.Context(), caller)
		defer cancel()
		// The context of Read would break the connection without a word.
		defer context.AfterFunc(ctx, func() {
			_ = conn.Close(websocket.StatusPolicyViolation, persauth.Code(context.Cause(ctx)))
		})()
		for {
			kind, message, err := conn.Read(r.Context())
			if err != nil || ctx.Err() != nil || conn.Write(r.Context(), kind, message) != nil {
				return
			}
		}
	}
}
