package persauthconnect

// Streams: they end when their token does, also while the client is silent.

import (
	"context"
	"sync/atomic"

	"connectrpc.com/connect"
	"github.com/persauth/persauth/internal/rpcdoor"
)

// WrapStreamingHandler ends streams when their token expires (and the leeway has
// passed), is revoked here, or its key leaves the key set.
func (i interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		c, err := callOf(ctx)
		if err != nil {
			return err
		}
		if c.rule.IsPublic() {
			return next(ctx, conn)
		}
		valid, stop := i.g.v.ContextWhileValid(ctx, c.claims)
		defer stop()
		ended, end := context.WithCancelCause(valid)
		defer end(nil)
		s := &stream{StreamingHandlerConn: conn, call: c, outer: ctx, ctx: ended, end: end}
		defer context.AfterFunc(ended, func() {
			if rpcdoor.Refusal(ended) != nil {
				c.ender.Wake()
			}
		})()
		err = next(ended, s)
		if refusal := rpcdoor.Refusal(ended); refusal != nil {
			return c.refuse(ctx, refusal)
		}
		if err != nil {
			return c.handlerError(ctx, err)
		}
		return nil
	}
}

// stream is what the handler sees of a stream.
type stream struct {
	connect.StreamingHandlerConn
	call   *call
	outer  context.Context // of the call: it ends when the client goes away
	ctx    context.Context // ends with the token, too
	end    context.CancelCauseFunc
	passed atomic.Bool // a message has passed
}

// refuse ends the stream.
func (s *stream) refuse(err error) error {
	rpcdoor.End(s.end, err)
	return s.call.refuse(s.outer, err)
}

// ended returns the error with which the stream has ended, or nil.
func (s *stream) ended() error {
	if err := rpcdoor.Refusal(s.ctx); err != nil {
		return s.call.refuse(s.outer, err)
	}
	return nil
}

// Send sends a message, while the caller is one who may hear it.
func (s *stream) Send(message any) error {
	if err := s.ended(); err != nil {
		return err
	}
	if s.call.rule.ReadsMessages() && !s.passed.Load() {
		return s.refuse(rpcdoor.ErrNoMessage())
	}
	return s.StreamingHandlerConn.Send(message)
}

// Receive receives a message that the rule lets pass.
func (s *stream) Receive(message any) error {
	if err := s.ended(); err != nil {
		return err
	}
	err := s.StreamingHandlerConn.Receive(message)
	if ended := s.ended(); ended != nil {
		return ended // also in place of a message that came after the end
	}
	if err != nil {
		return err
	}
	if err := s.call.rule.ForMessage(s.call.v, s.call.claims, message); err != nil {
		return s.refuse(err)
	}
	s.passed.Store(true)
	return nil
}
