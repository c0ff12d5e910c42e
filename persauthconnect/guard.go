package persauthconnect

// From a call to claims, and whether the caller may.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/httpend"
	"github.com/persauth/persauth/internal/rpcdoor"
)

// Guard authenticates calls and holds them against [Rules]. It is made by [New],
// immutable, and safe for concurrent use.
type Guard struct {
	v     *persauth.Verifier
	rules Rules
}

// New makes a guard. The error says all that is wrong with the rules.
func New(v *persauth.Verifier, rules Rules) (*Guard, error) {
	if v == nil {
		return nil, errors.New("persauthconnect: no verifier")
	}
	if err := rules.Validate(); err != nil {
		return nil, fmt.Errorf("persauthconnect: %w", err)
	}
	return &Guard{v, maps.Clone(rules)}, nil
}

// Handler makes the handler of a service behind a guard. newHandler is the generated
// function, such as shopv1connect.NewOrdersHandler, and service and options are what
// it takes: S is the generated interface. Interceptors and gates among the options run after the guard: they find
// the caller. Both results are for [http.ServeMux.Handle].
//
// The token is found as [persauth.Verifier.VerifyRequest] finds it. A handler around
// this one must pass on the path that the client called, and an http.ResponseWriter
// of its own needs Unwrap: otherwise a stream whose client is silent ends only when
// its handler returns.
func Handler[S any](g *Guard, newHandler func(S, ...connect.HandlerOption) (string, http.Handler), service S, options ...connect.HandlerOption) (string, http.Handler) {
	own := []connect.HandlerOption{connect.WithRequestGate(g.gate), connect.WithInterceptors(interceptor{g})}
	path, handler := newHandler(service, append(own, options...)...)
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := &call{v: g.v, w: w, r: r, ender: httpend.New(w)}
		defer c.ender.Finish()
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callKey{}, c)))
	})
}

// call is one call on its way.
type call struct {
	v        *persauth.Verifier
	w        http.ResponseWriter
	r        *http.Request
	protocol string // of RPC, in connect-go's words
	rule     rpcdoor.Rule
	claims   *persauth.Claims // nil until they are known, and where the rule is public
	ender    *httpend.Ender
}

type callKey struct{}

// callOf returns the call that the gate has let pass.
func callOf(ctx context.Context) (*call, error) {
	if c, ok := ctx.Value(callKey{}).(*call); ok && (c.claims != nil || c.rule.IsPublic()) {
		return c, nil
	}
	return nil, connect.NewError(connect.CodeInternal, errors.New("the guard of the service was not passed"))
}

// gate finds out who calls, before connect-go reads anything of the body.
func (g *Guard) gate(ctx context.Context, spec connect.Spec, peer connect.Peer, _ http.Header) (context.Context, error) {
	c, ok := ctx.Value(callKey{}).(*call)
	if !ok {
		return nil, connect.NewError(connect.CodeInternal, errors.New("the guard does not see the request"))
	}
	c.protocol = peer.Protocol
	rule := g.rules.Find(spec.Procedure)
	if rule.IsPublic() {
		c.rule = rule
		return ctx, nil
	}
	claims, err := g.v.VerifyRequest(c.r.WithContext(ctx))
	if err == nil {
		err = g.v.Allow(claims, rule.ForCaller)
	}
	if err != nil {
		return nil, c.refuseFirst(ctx, err)
	}
	if len(c.r.Header["Dpop"]) > 0 {
		if nonce := g.v.DPoPNonce(); nonce != "" { // RFC 9449 §8.2
			c.w.Header().Set("DPoP-Nonce", nonce)
		}
	}
	c.rule, c.claims = rule, claims
	return persauth.NewContext(ctx, claims), nil
}

// interceptor is the part of a guard that sees messages, and the ends of streams.
type interceptor struct{ g *Guard }

// WrapUnary holds messages against the rules about them.
func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		c, err := callOf(ctx)
		if err != nil {
			return nil, err
		}
		if c.rule.IsPublic() {
			return next(ctx, request)
		}
		if err := c.rule.ForMessage(c.v, c.claims, request.Any()); err != nil {
			return nil, c.refuseFirst(ctx, err)
		}
		response, err := next(ctx, request)
		if err != nil {
			return nil, c.handlerError(ctx, err)
		}
		return response, nil
	}
}

// WrapStreamingClient is for clients, which a guard has nothing to do with.
func (interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}
