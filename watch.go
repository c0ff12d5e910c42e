package persauth

// Contexts that end when the token of their caller does: for streams, which
// outlive the request that began them.

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/httpend"
)

// watchInterval is how often watched tokens are looked at. One timer serves all of
// them, and there is none while nobody is watched.
const watchInterval = 500 * time.Millisecond

// ContextWhileValid returns a context that ends, within a second, when the token of
// the claims does: at its "exp" and the leeway, when [Verifier.Revoke] names it, when
// the key that verified it leaves the key set, and when v is closed. [context.Cause]
// then gives [ErrExpired], [ErrRevoked], [ErrUnknownKey] or [ErrUnavailable] in an
// [*Error]. PERS is not asked: call [Verifier.VerifyLive] now and then where that
// matters. A context of claims that are nil or no longer good ends at once.
//
// Call cancel when the stream ends, as with [context.WithCancel].
func (v *Verifier) ContextWhileValid(ctx context.Context, claims *Claims) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(context.Canceled) }
	if claims == nil {
		end(&Error{Check: "credentials", Want: "claims of a verified token", Got: "none", Err: ErrNoToken})
		return ctx, cancel
	}
	w := &watched{claims: claims, denied: claims.denied, end: end}
	if err := v.ended(w, v.clock()); err != nil {
		end(err)
		return ctx, cancel
	}
	v.watch.add(v, w)
	context.AfterFunc(ctx, func() { v.watch.remove(w) })
	return ctx, cancel
}

// StreamWhileValid is [Verifier.ContextWhileValid] for a handler whose answer goes on
// for long, such as server-sent events. The caller is the one in the context of r.
// When the token ends, what waits for the client is woken, too: reads of the body at
// once, and writes a second later, so that there is time for a last word. An
// http.ResponseWriter that middleware has put around the server's needs Unwrap for
// that, as [http.ResponseController] does.
//
// Call cancel before the handler returns, as with defer.
func (v *Verifier) StreamWhileValid(w http.ResponseWriter, r *http.Request) (ctx context.Context, cancel context.CancelFunc) {
	claims, _ := FromContext(r.Context())
	ctx, end := v.ContextWhileValid(r.Context(), claims)
	ender := httpend.New(w)
	stop := context.AfterFunc(ctx, ender.Wake)
	return ctx, func() {
		stop()
		ender.Finish()
		end()
	}
}

// watched is a token that a stream depends on.
type watched struct {
	claims *Claims
	denied uint32 // the version of the deny list that it was held against
	end    context.CancelCauseFunc
}

// ended returns why the token is no longer good, or nil.
func (v *Verifier) ended(w *watched, now clock.Instant) error {
	c := w.claims
	kid := ""
	if c.header != nil {
		kid = c.header.Kid
	}
	if end := c.end(v.policy); now >= end {
		return withKeyID(&Error{Check: "exp", Want: "a token that has not expired", Got: c.expiresAt.String(), Err: ErrExpired}, kid)
	}
	if c.key != nil && c.key.Retired.Load() {
		return withKeyID(&Error{Check: "key", Want: "a key of the key set", Got: "one that has left it", Err: ErrUnknownKey}, kid)
	}
	if version := v.denied.version.Load(); version != w.denied {
		if v.deniedNow(c, now) {
			return withKeyID(errRevoked("this service"), kid)
		}
		if v.refusedByPERS(c) {
			return withKeyID(errRevoked("PERS"), kid)
		}
		if v.refusedByPERS(c) {
			return withKeyID(errRevoked("PERS"), kid)
		}
		w.denied = version
	}
	return nil
}

// watchers are the tokens that streams depend on.
type watchers struct {
	mu     sync.Mutex // guards what follows, and the watched
	all    map[*watched]struct{}
	timer  *time.Timer // nil: it does not run
	closed bool
}

func (s *watchers) add(v *Verifier, w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		w.end(errClosed())
		return
	}
	if s.all == nil {
		s.all = make(map[*watched]struct{})
	}
	s.all[w] = struct{}{}
	if s.timer == nil {
		s.timer = time.AfterFunc(watchInterval, func() { s.tick(v) })
	}
}

func (s *watchers) remove(w *watched) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
	if len(s.all) == 0 && s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
}

// tick looks at all tokens, and again after a while.
func (s *watchers) tick(v *Verifier) {
	s.look(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Reset(watchInterval)
	}
}

// look ends the contexts of tokens that are no longer good.
func (s *watchers) look(v *Verifier) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) == 0 {
		return
	}
	now := v.clock()
	for w := range s.all {
		if err := v.ended(w, now); err != nil {
			delete(s.all, w) // its context removes it later, too
			w.end(err)
		}
	}
}

// close ends all contexts: nothing looks after their tokens from here on.
func (s *watchers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for w := range s.all {
		w.end(errClosed())
	}
	clear(s.all)
}

func errClosed() error {
	return &Error{Check: "verifier", Want: "one that is open", Got: "one that is closed", Err: ErrUnavailable}
}
