package persauthgrpc_test

// Unary calls: who may, and what everybody else is told.

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthgrpc"
	pb "github.com/persauth/persauth/persauthgrpc/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestUnary(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier()
	require.NoError(t, v.Warm(t.Context()))
	s := serve(t, listen(t), v)
	stranger := iss.UnpublishedToken(map[string]any{"tenantId": "acme"})
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	good := "Bearer " + iss.UserToken("acme")
	create := func(ctx context.Context, options ...grpc.CallOption) error {
		_, err := s.client.Create(ctx, &pb.CreateRequest{TenantId: "acme"}, options...)
		return err
	}
	get := func(ctx context.Context, options ...grpc.CallOption) error {
		_, err := s.client.Get(ctx, &pb.GetRequest{}, options...)
		return err
	}
	for _, c := range []struct {
		name          string
		authorization []string
		call          func(context.Context, ...grpc.CallOption) error
		code          codes.Code
		reason        string
		challenge     string
	}{
		{"good", []string{good}, create, codes.OK, "", ""},
		{"no token", nil, create, codes.Unauthenticated, "no_token", `Bearer realm="PERS"`},
		{"another scheme", []string{"Basic dXNlcjpwYXNz"}, create, codes.Unauthenticated, "no_token", `Bearer realm="PERS"`},
		{"two", []string{good, good}, create, codes.Unauthenticated, "malformed", `Bearer realm="PERS", error="invalid_request"`},
		{"two in one", []string{good + ", " + good}, create, codes.Unauthenticated, "malformed", `Bearer realm="PERS", error="invalid_token"`},
		{"expired", []string{"Bearer " + iss.ExpiredToken()}, create, codes.Unauthenticated, "expired", `Bearer realm="PERS", error="invalid_token"`},
		{"forged", []string{"Bearer " + iss.ForgedToken()}, create, codes.Unauthenticated, "signature", `Bearer realm="PERS", error="invalid_token"`},
		{"the tenant of the message is another", []string{"Bearer " + iss.UserToken("other")}, create, codes.PermissionDenied, "forbidden", `Bearer realm="PERS", error="insufficient_scope"`},
		{"no rule", []string{good}, get, codes.PermissionDenied, "forbidden", `Bearer realm="PERS", error="insufficient_scope"`},
		{"no rule, no token", nil, get, codes.Unauthenticated, "no_token", `Bearer realm="PERS"`},
		{"nobody can tell", []string{"Bearer " + stranger}, create, codes.Unavailable, "unavailable", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := s.calls.Load()
			ctx := limited(t)
			for _, value := range c.authorization {
				ctx = with(ctx, "authorization", value)
			}
			var trailer metadata.MD
			err := c.call(ctx, grpc.Trailer(&trailer))
			require.Equal(t, c.code, status.Code(err), "%v", err)
			if c.code == codes.OK {
				assert.Equal(t, before+1, s.calls.Load())
				return
			}
			assert.Equal(t, before, s.calls.Load(), "the handler was reached")
			info, retry := infoOf(err)
			require.NotNil(t, info)
			assert.Equal(t, c.reason, info.GetReason())
			assert.Equal(t, persauthgrpc.Domain, info.GetDomain())
			assert.Equal(t, c.challenge, strings.Join(trailer.Get("www-authenticate"), "; "))
			assert.Equal(t, c.code == codes.Unavailable, retry.GetRetryDelay().AsDuration() >= time.Second)
			assert.NotContains(t, fmt.Sprint(err, trailer), "eyJ", "a token is in the answer")
		})
	}
	assert.EqualValues(t, 2, v.Status().Counters.Refused["forbidden"], "what a message says, and no rule")
}

// The handler gets the claims, and no method without a token gets any.
func TestHandlerSeesTheCaller(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier())
	order, err := s.client.Create(bearer(t, iss.UserToken("acme")), &pb.CreateRequest{TenantId: "acme", Item: "tea"})
	require.NoError(t, err)
	assert.Equal(t, "acme", order.GetTenantId())
	checked, err := grpc_health_v1.NewHealthClient(s.conn).Check(limited(t), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	assert.Equal(t, grpc_health_v1.HealthCheckResponse_SERVING, checked.GetStatus())
}

// A handler that asks about rights itself says so with the error that it gets; its
// other errors stay as they are.
func TestErrorsOfHandlers(t *testing.T) {
	iss := newIssuer(t)
	var outer error
	s := serve(t, listen(t), iss.Verifier(), grpc.ChainUnaryInterceptor(
		func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			response, err := next(ctx, r)
			outer = err
			return response, err
		}))
	for name, c := range map[string]struct {
		err  error
		code codes.Code
	}{
		"forbidden":   {fmt.Errorf("the till: %w", persauth.ErrForbidden), codes.PermissionDenied},
		"unavailable": {fmt.Errorf("the till: %w", persauth.ErrUnavailable), codes.Unavailable},
		"its own":     {status.Error(codes.NotFound, "no such till"), codes.NotFound},
		"any":         {errors.New("broken"), codes.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			s.create = func() error { return c.err }
			_, err := s.client.Create(bearer(t, iss.UserToken("acme")), &pb.CreateRequest{TenantId: "acme"})
			assert.Equal(t, c.code, status.Code(err))
			assert.ErrorIs(t, outer, c.err, "outer interceptors see why")
		})
	}
}

// The caller's own context is told in gRPC's words, and as nothing else.
func TestEndedContexts(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	pers.Fault(persauthtest.EndpointAll, persauthtest.Hanging)
	var seen []error
	var mu sync.Mutex
	s := serve(t, listen(t), pers.Verifier(), grpc.ChainUnaryInterceptor(
		func(ctx context.Context, r any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			response, err := next(ctx, r)
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, err)
			return response, err
		}))
	waits := func(ctx context.Context) codes.Code {
		_, err := s.client.Create(ctx, &pb.CreateRequest{TenantId: "acme"})
		return status.Code(err)
	}
	short, cancel := context.WithTimeout(bearer(t, iss.UserToken("acme")), 100*time.Millisecond)
	defer cancel()
	assert.Equal(t, codes.DeadlineExceeded, waits(short))
	gone, cancel := context.WithCancel(bearer(t, iss.UserToken("acme")))
	time.AfterFunc(100*time.Millisecond, cancel)
	assert.Equal(t, codes.Canceled, waits(gone))
	s.server.GracefulStop()
	require.Len(t, seen, 2)
	for _, err := range seen {
		info, _ := infoOf(err)
		assert.Nil(t, info, "%v", err)
		assert.Contains(t, []codes.Code{codes.DeadlineExceeded, codes.Canceled}, status.Code(err))
	}
	assert.Zero(t, s.calls.Load())
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	v := newIssuer(t).Verifier()
	for name, rules := range map[string]persauthgrpc.Rules{
		"none":         {},
		"an empty one": {"shop.v1.Orders": {}},
		"a wildcard":   {"*": persauthgrpc.Authenticated()},
		"a part":       {"/shop.v1.Orders": persauthgrpc.Authenticated()},
		"no slash":     {"shop.v1.Orders/Get": persauthgrpc.Authenticated()},
		"too many":     {"/shop.v1.Orders/Get/": persauthgrpc.Authenticated()},
		"no name":      {"": persauthgrpc.Authenticated()},
	} {
		_, err := persauthgrpc.New(v, rules)
		assert.Error(t, err, name)
	}
	_, err := persauthgrpc.New(nil, rules())
	assert.Error(t, err)
	assert.Panics(t, func() { persauthgrpc.AllowMessage[*pb.Order](nil) })
	assert.Panics(t, func() { persauthgrpc.Allow(nil) })
}

func TestCheck(t *testing.T) {
	v := newIssuer(t).Verifier()
	server := grpc.NewServer()
	pb.RegisterOrdersServer(server, new(orders))
	guard, err := persauthgrpc.New(v, persauthgrpc.Rules{"shop.v1.Orders": persauthgrpc.Authenticated()})
	require.NoError(t, err)
	require.NoError(t, guard.Check(server))
	guard, err = persauthgrpc.New(v, rules())
	require.NoError(t, err)
	err = guard.Check(server)
	require.Error(t, err)
	for _, name := range []string{"/shop.v1.Orders/Get", "grpc.health.v1.Health", reflectionService} {
		assert.ErrorContains(t, err, name)
	}
	assert.NotContains(t, err.Error(), "/shop.v1.Orders/Create")
}

// A rule that is about another message refuses all, and not as a 403: nobody would
// look for the mistake.
func TestRuleAboutAnotherMessage(t *testing.T) {
	iss := newIssuer(t)
	guard, err := persauthgrpc.New(iss.Verifier(), persauthgrpc.Rules{
		"shop.v1.Orders": persauthgrpc.AllowMessage(func(*persauth.Claims, *pb.Order) error { return nil }),
	})
	require.NoError(t, err)
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+iss.UserToken("acme")))
	_, err = guard.Unary()(ctx, &pb.GetRequest{}, &grpc.UnaryServerInfo{FullMethod: "/shop.v1.Orders/Get"},
		func(context.Context, any) (any, error) { t.Error("reached"); return nil, nil })
	assert.Equal(t, codes.Internal, status.Code(err))
}

// A path that grpc-go and a rule could read differently is refused, whatever
// grpc-go makes of it.
func TestOddMethodNames(t *testing.T) {
	iss := newIssuer(t)
	guard, err := persauthgrpc.New(iss.Verifier(), persauthgrpc.Rules{"shop.v1.Orders": persauthgrpc.Public()})
	require.NoError(t, err)
	for _, name := range []string{"shop.v1.Orders/Get", "//shop.v1.Orders/Get", "/ shop.v1.Orders/Get", "/x/shop.v1.Orders/Get", "", "/"} {
		_, err := guard.Unary()(t.Context(), &pb.GetRequest{}, &grpc.UnaryServerInfo{FullMethod: name},
			func(context.Context, any) (any, error) { t.Error("reached by", name); return nil, nil })
		assert.Equal(t, codes.Unauthenticated, status.Code(err), name)
	}
}

// Strangers at the door cost PERS a bounded number of calls, and callers who are
// known go on.
func TestFlood(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 100 })
	require.NoError(t, v.Warm(t.Context()))
	s := serve(t, listen(t), v)
	good := iss.UserToken("acme")
	var strangers sync.WaitGroup
	for range 400 {
		token := iss.UnknownKeyToken()
		strangers.Go(func() {
			_, err := s.client.Create(bearer(t, token), &pb.CreateRequest{TenantId: "acme"})
			assert.Contains(t, []codes.Code{codes.Unauthenticated, codes.Unavailable}, status.Code(err))
		})
	}
	for range 50 {
		_, err := s.client.Create(bearer(t, good), &pb.CreateRequest{TenantId: "acme"})
		require.NoError(t, err)
	}
	strangers.Wait()
	assert.Less(t, pers.Count(persauthtest.EndpointVerify), 60)
	assert.EqualValues(t, 50, s.calls.Load())
}
