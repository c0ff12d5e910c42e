package persauthgrpc

// The client's half: calls with tokens, and proofs where they are bound to a key.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/persauth/persauth"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// maxTries of one unary call: the first, one with a nonce, one with a new token.
const maxTries = 3

// Source gives calls their tokens: the Source of persauthclient, and so its
// TokenSource, is one. It must be safe for concurrent use.
type Source interface {
	// Authorize returns the values of the headers Authorization and DPoP for one
	// call; the second is empty where the token is bound to no key. nonce is the
	// last one that the service asked for, or empty.
	Authorize(ctx context.Context, method string, target *url.URL, nonce string) (authorization, proof string, err error)
	// Renew is told that a service did not accept a value of Authorization, and
	// returns nil where there is another one to try.
	Renew(ctx context.Context, authorization string) error
}

// Credentials send tokens and proofs with the calls to one service. They are
// [credentials.PerRPCCredentials]; [Credentials.DialOptions] also keeps the
// service's nonces and tries again where that helps. They are safe for concurrent
// use.
type Credentials struct {
	source Source
	origin url.URL
	host   string // as grpc-go writes it
	nonce  atomic.Pointer[string]
}

var _ credentials.PerRPCCredentials = (*Credentials)(nil)

// NewCredentials makes credentials for the service at origin, as in
// "https://api.example.com": the service's own Config.DPoP.Origin. No call to
// another authority gets a token. Plain http is taken for loopback addresses only.
func NewCredentials(source Source, origin string) (*Credentials, error) {
	if source == nil {
		return nil, errors.New("persauthgrpc: no source of tokens")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, errors.New("persauthgrpc: the origin is not of the form https://host or https://host/path")
	}
	switch scheme := strings.ToLower(u.Scheme); {
	case scheme == "https":
	case scheme == "http" && isLoopback(u.Hostname()):
	default:
		return nil, errors.New("persauthgrpc: the origin is not https: anybody on the way could take the tokens")
	}
	return &Credentials{source: source, origin: *u, host: authority(u.Host)}, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// authority is a host as grpc-go writes it where it asks for credentials.
func authority(host string) string { return strings.TrimSuffix(strings.ToLower(host), ":443") }

// Format writes nothing of the source, for every verb.
func (c *Credentials) Format(f fmt.State, _ rune) { fmt.Fprint(f, "credentials of persauthgrpc") }

// DialOptions returns what a client needs: the credentials, and interceptors that
// keep nonces for the next proof and try a refused unary call once again, with the
// nonce that the service asked for, or with another token where it did not take the
// first one. They try only what persauth refused before the handler saw it. A
// stream is not tried again; the next one has the nonce, or the other token.
func (c *Credentials) DialOptions() []grpc.DialOption {
	return []grpc.DialOption{grpc.WithPerRPCCredentials(c), grpc.WithChainUnaryInterceptor(c.unary), grpc.WithChainStreamInterceptor(c.stream)}
}

// RequireTransportSecurity reports whether tokens need TLS: everywhere but at a
// loopback address with plain http.
func (c *Credentials) RequireTransportSecurity() bool {
	return !strings.EqualFold(c.origin.Scheme, "http")
}

// GetRequestMetadata returns the token for one call, and a proof.
func (c *Credentials) GetRequestMetadata(ctx context.Context, uri ...string) (map[string]string, error) {
	info, ok := credentials.RequestInfoFromContext(ctx)
	if !ok || len(uri) != 1 || !strings.HasPrefix(info.Method, "/") {
		return nil, status.Error(codes.Internal, "persauthgrpc: grpc-go does not say what is called")
	}
	if called, err := url.Parse(uri[0]); err != nil || authority(called.Host) != c.host {
		return nil, status.Error(codes.Unauthenticated, "persauthgrpc: the call is to another authority than the origin of the credentials")
	}
	if c.RequireTransportSecurity() {
		if err := credentials.CheckSecurityLevel(info.AuthInfo, credentials.PrivacyAndIntegrity); err != nil {
			return nil, status.Error(codes.Unauthenticated, "persauthgrpc: the connection is not secure")
		}
	}
	target := c.origin
	target.Path = strings.TrimSuffix(target.Path, "/") + info.Method
	nonce := ""
	if held := c.nonce.Load(); held != nil {
		nonce = *held
	}
	authorization, proof, err := c.source.Authorize(ctx, http.MethodPost, &target, nonce)
	if err != nil {
		return nil, sourceError(ctx, err)
	}
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		a.note(authorization)
	}
	md := map[string]string{authorizationKey: authorization}
	if proof != "" {
		md[proofKey] = proof
	}
	return md, nil
}

// sourceError is an error of a source as the status of a call.
func sourceError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	if s, ok := status.FromError(err); ok {
		return s.Err()
	}
	if errors.Is(err, persauth.ErrUnavailable) {
		return status.Error(codes.Unavailable, "no token: "+err.Error())
	}
	return status.Error(codes.Unauthenticated, "no token: "+err.Error())
}

// attempt notes what one call was sent with. grpc-go may try it several times.
type attempt struct {
	mu            sync.Mutex
	authorization string
}

type attemptKey struct{}

func (a *attempt) note(authorization string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.authorization = authorization
}

func (a *attempt) noted() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.authorization
}

// unary tries a refused call again, where that helps.
func (c *Credentials) unary(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	nonced, renewed := false, false
	for try := 1; ; try++ {
		var trailer metadata.MD
		a := new(attempt)
		err := invoke(context.WithValue(ctx, attemptKey{}, a), method, request, reply, conn, append(options[:len(options):len(options)], grpc.Trailer(&trailer))...)
		offered := c.keepNonce(trailer)
		if err == nil || try == maxTries {
			return err
		}
		switch challengeError(err, trailer) {
		case "use_dpop_nonce":
			if nonced || !offered {
				return err
			}
			nonced = true
		case "invalid_token":
			if renewed || a.noted() == "" || c.source.Renew(ctx, a.noted()) != nil {
				return err
			}
			renewed = true
		default:
			return err
		}
	}
}

// stream keeps what a stream that ended says about the next one.
func (c *Credentials) stream(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
	a := new(attempt)
	opened, err := open(context.WithValue(ctx, attemptKey{}, a), desc, conn, method, options...)
	if err != nil {
		return nil, err
	}
	return &clientStream{opened, c, ctx, a}, nil
}

type clientStream struct {
	grpc.ClientStream
	credentials *Credentials
	caller      context.Context // of who opened the stream: its own has ended by then
	attempt     *attempt
}

// RecvMsg receives a message. After its first error the trailers are there.
func (s *clientStream) RecvMsg(message any) error {
	err := s.ClientStream.RecvMsg(message)
	if err != nil {
		trailer := s.Trailer()
		s.credentials.keepNonce(trailer)
		if used := s.attempt.noted(); used != "" && challengeError(err, trailer) == "invalid_token" {
			_ = s.credentials.source.Renew(s.caller, used)
		}
	}
	return err
}

// keepNonce keeps the nonce of an answer for the next proof (RFC 9449 §8.2), and
// reports whether there was one.
func (c *Credentials) keepNonce(trailer metadata.MD) bool {
	values := trailer.Get(nonceKey)
	if len(values) != 1 || values[0] == "" || len(values[0]) > 1024 {
		return false
	}
	if held := c.nonce.Load(); held == nil || *held != values[0] {
		c.nonce.Store(&values[0])
	}
	return true
}

// challengeError returns the error code of the challenge of a call that persauth
// refused, or "".
func challengeError(err error, trailer metadata.MD) string {
	s, ok := status.FromError(err)
	if !ok || s.Code() != codes.Unauthenticated {
		return ""
	}
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); !ok || info.GetDomain() != Domain {
			continue
		}
		for _, challenge := range trailer.Get(challengeKey) {
			for _, code := range []string{"use_dpop_nonce", "invalid_token"} {
				if strings.Contains(challenge, `error="`+code+`"`) {
					return code
				}
			}
		}
	}
	return ""
}
