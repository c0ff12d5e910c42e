package persauthgrpc

// Streams: they end when their token does, also while client and handler are
// silent.

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/rpcdoor"
	"google.golang.org/grpc"
)

// returnGrace is how long a handler has to return by itself once its context has
// ended. Then the stream ends under it, and whatever it still sends or receives
// fails.
const returnGrace = 50 * time.Millisecond

// Stream returns the interceptor of streams. A stream ends when its token expires
// (and the leeway has passed), is revoked here, or its key leaves the key set: the
// handler's context ends, and the client gets the status within a second, whatever
// the handler does. A handler that heeds neither its context nor the errors of its
// stream goes on alone, as it would after a client that went away; a panic of it
// is then recovered.
func (i *Interceptor) Stream() grpc.StreamServerInterceptor {
	return func(srv any, ss grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		rule := i.rules.Find(info.FullMethod)
		if rule.IsPublic() {
			return handler(srv, ss)
		}
		c := i.callOf(ss.Context(), ss.SetTrailer)
		if err := c.authenticate(ss.Context(), info.FullMethod, rule); err != nil {
			return c.refuse(ss.Context(), err)
		}
		valid, stop := i.v.ContextWhileValid(ss.Context(), c.claims)
		defer stop()
		ctx, end := context.WithCancelCause(valid)
		defer end(nil)
		s := &stream{ServerStream: ss, call: c, rule: rule, end: end, ctx: persauth.NewContext(ctx, c.claims)}
		return s.run(func() error { return handler(srv, s) })
	}
}

// stream is what the handler sees of a stream.
type stream struct {
	grpc.ServerStream
	call   *call
	rule   Rule
	ctx    context.Context
	end    context.CancelCauseFunc
	passed atomic.Bool // a message has passed
}

// Context returns the context of the stream, with the caller in it.
func (s *stream) Context() context.Context { return s.ctx }

// result is how a handler ended.
type result struct {
	err      error
	panicked any
}

// run runs the handler beside this goroutine, which can end the stream: grpc-go
// ends one when its interceptor returns, and nothing else wakes a handler that waits
// for a silent client, or for one that does not read.
func (s *stream) run(handler func() error) error {
	done := make(chan result, 1)
	go func() {
		var r result
		returned := false
		defer func() {
			if !returned { // also by runtime.Goexit, which panics with nil
				r.panicked = recover()
				r.err = errors.New("persauthgrpc: the handler did not return")
			}
			done <- r
		}()
		r.err = handler()
		returned = true
	}()
	var r result
	select {
	case r = <-done:
	case <-s.ctx.Done():
		if rpcdoor.Refusal(s.ctx) == nil {
			r = <-done // the client is gone: grpc-go has told the handler
			break
		}
		timer := time.NewTimer(returnGrace)
		defer timer.Stop()
		select {
		case r = <-done:
		case <-timer.C:
		}
	}
	if r.panicked != nil {
		panic(r.panicked) // for interceptors further out, as if there were one goroutine
	}
	if err := rpcdoor.Refusal(s.ctx); err != nil {
		return s.call.refuse(s.ServerStream.Context(), err)
	}
	if r.err != nil {
		return s.call.handlerError(s.ServerStream.Context(), r.err)
	}
	return nil
}

// SendMsg sends a message, while the caller is one who may hear it.
func (s *stream) SendMsg(message any) error {
	if err := s.ended(); err != nil {
		return err
	}
	if s.rule.ReadsMessages() && !s.passed.Load() {
		return s.refuse(rpcdoor.ErrNoMessage())
	}
	return s.ServerStream.SendMsg(message)
}

// RecvMsg receives a message that the rule lets pass.
func (s *stream) RecvMsg(message any) error {
	if err := s.ended(); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(message); err != nil {
		return err
	}
	if err := s.ended(); err != nil {
		return err // it came after the end
	}
	if err := s.rule.ForMessage(s.call.v, s.call.claims, message); err != nil {
		return s.refuse(err)
	}
	s.passed.Store(true)
	return nil
}

// refuse ends the stream.
func (s *stream) refuse(err error) error {
	rpcdoor.End(s.end, err)
	return s.refused(err)
}

// ended returns the status with which the stream has ended, or nil.
func (s *stream) ended() error {
	if err := rpcdoor.Refusal(s.ctx); err != nil {
		return s.refused(err)
	}
	return nil
}

func (s *stream) refused(err error) error {
	return &refused{statusOf(s.call.v.Refusal(err, s.call.authorization)), err}
}
