package persauthgrpc

// The server's half: from a call to claims, and whether the caller may.

import (
	"context"
	"fmt"
	"maps"
	"net/http"

	"github.com/persauth/persauth"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Names of metadata: headers of HTTP, in lower case as HTTP/2 has them.
const (
	authorizationKey = "authorization"
	proofKey         = "dpop"
	nonceKey         = "dpop-nonce"
	challengeKey     = "www-authenticate"
)

// Interceptor authenticates calls and holds them against [Rules]. It is made by
// [New], immutable, and safe for concurrent use.
type Interceptor struct {
	v     *persauth.Verifier
	rules Rules
}

// New makes an interceptor. The error says all that is wrong with the rules.
//
// Tokens that are bound to a key need a proof for POST and the address of the
// method: [persauth.DPoP.Origin] of the verifier's Config, and the full name of the
// method behind it.
func New(v *persauth.Verifier, rules Rules) (*Interceptor, error) {
	if v == nil {
		return nil, fmt.Errorf("persauthgrpc: no verifier")
	}
	if err := rules.Validate(); err != nil {
		return nil, fmt.Errorf("persauthgrpc: %w", err)
	}
	return &Interceptor{v, maps.Clone(rules)}, nil
}

// ServerOptions returns both interceptors as options of a server. They are chained
// in front of those that come after them.
func (i *Interceptor) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(i.Unary()), grpc.ChainStreamInterceptor(i.Stream())}
}

// Unary returns the interceptor of unary calls. A server with streams needs
// [Interceptor.Stream], too.
func (i *Interceptor) Unary() grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		rule := i.rules.Find(info.FullMethod)
		if rule.IsPublic() {
			return handler(ctx, request)
		}
		c := i.callOf(ctx, func(trailer metadata.MD) { _ = grpc.SetTrailer(ctx, trailer) })
		err := c.authenticate(ctx, info.FullMethod, rule)
		if err == nil {
			err = rule.ForMessage(c.v, c.claims, request)
		}
		if err != nil {
			return nil, c.refuse(ctx, err)
		}
		response, err := handler(persauth.NewContext(ctx, c.claims), request)
		if err != nil {
			return nil, c.handlerError(ctx, err)
		}
		return response, nil
	}
}

// call is one call on its way.
type call struct {
	v             *persauth.Verifier
	authorization []string
	proofs        []string
	setTrailer    func(metadata.MD)
	claims        *persauth.Claims // nil until they are known
}

func (i *Interceptor) callOf(ctx context.Context, setTrailer func(metadata.MD)) *call {
	return &call{v: i.v, setTrailer: setTrailer,
		authorization: metadata.ValueFromIncomingContext(ctx, authorizationKey),
		proofs:        metadata.ValueFromIncomingContext(ctx, proofKey)}
}

// authenticate finds out who calls, and whether the rule lets the caller pass.
func (c *call) authenticate(ctx context.Context, fullMethod string, rule Rule) error {
	claims, err := c.v.VerifyCredentials(ctx, persauth.Credentials{
		Authorization: c.authorization, Proofs: c.proofs, Method: http.MethodPost, URL: fullMethod})
	if err != nil {
		return err
	}
	if err := c.v.Allow(claims, rule.ForCaller); err != nil {
		return err
	}
	if len(c.proofs) > 0 {
		if nonce := c.v.DPoPNonce(); nonce != "" { // RFC 9449 §8.2
			c.setTrailer(metadata.Pairs(nonceKey, nonce))
		}
	}
	c.claims = claims
	return nil
}
