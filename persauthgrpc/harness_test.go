package persauthgrpc_test

// A service behind the interceptors, on a real port.

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthgrpc"
	pb "github.com/persauth/persauth/persauthgrpc/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hasTenant are the messages that name a tenant.
type hasTenant interface{ GetTenantId() string }

func ofTenant(c *persauth.Claims, m hasTenant) error { return c.RequireTenant(m.GetTenantId()) }

// rules of the service of the tests. Get has none.
func rules() persauthgrpc.Rules {
	return persauthgrpc.Rules{
		"/shop.v1.Orders/Create": persauthgrpc.AllowMessage(ofTenant),
		"/shop.v1.Orders/Watch":  persauthgrpc.Allow(persauth.TenantIs("acme")),
		"/shop.v1.Orders/Import": persauthgrpc.Allow(persauth.TenantIs("acme"), persauth.AuthTypeIs(persauth.AuthUser)),
		"/shop.v1.Orders/Sync":   persauthgrpc.AllowMessage(ofTenant),
		"grpc.health.v1.Health":  persauthgrpc.Public(),
		reflectionService:        persauthgrpc.Public(),
	}
}

const reflectionService = "grpc.reflection.v1.ServerReflection"

// orders is the service. Each of its streams does what a test says.
type orders struct {
	pb.UnimplementedOrdersServer
	calls    atomic.Int64  // that reached a handler
	released chan struct{} // what ends a handler that heeds nothing
	watch    func(grpc.ServerStreamingServer[pb.Order]) error
	take     func(grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error
	sync     func(grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error
	create   func() error
}

func (o *orders) Get(context.Context, *pb.GetRequest) (*pb.Order, error) {
	o.calls.Add(1)
	return &pb.Order{}, nil
}

func (o *orders) Create(ctx context.Context, r *pb.CreateRequest) (*pb.Order, error) {
	o.calls.Add(1)
	if o.create != nil {
		if err := o.create(); err != nil {
			return nil, err
		}
	}
	claims, ok := persauth.FromContext(ctx)
	if !ok {
		return nil, status.Error(13, "no caller")
	}
	return &pb.Order{Id: r.GetItem(), TenantId: claims.TenantID()}, nil
}

func (o *orders) Watch(_ *pb.WatchRequest, s grpc.ServerStreamingServer[pb.Order]) error {
	o.calls.Add(1)
	return o.watch(s)
}

func (o *orders) Import(s grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
	o.calls.Add(1)
	return o.take(s)
}

func (o *orders) Sync(s grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
	o.calls.Add(1)
	return o.sync(s)
}

// service is a server, and a client of it.
type service struct {
	*orders
	address string
	client  pb.OrdersClient
	conn    *grpc.ClientConn
	server  *grpc.Server
}

// listen opens a port, so that its address can be the origin of proofs.
func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// serve starts the service on l, with outer interceptors before persauth's.
func serve(t testing.TB, l net.Listener, v *persauth.Verifier, outer ...grpc.ServerOption) *service {
	t.Helper()
	guard, err := persauthgrpc.New(v, rules())
	require.NoError(t, err)
	s := &service{orders: &orders{released: make(chan struct{})}, address: l.Addr().String()}
	s.server = grpc.NewServer(append(outer, guard.ServerOptions()...)...)
	pb.RegisterOrdersServer(s.server, s.orders)
	grpc_health_v1.RegisterHealthServer(s.server, health.NewServer())
	reflection.RegisterV1(s.server)
	go func() { _ = s.server.Serve(l) }()
	t.Cleanup(s.server.Stop)
	s.conn = s.dial(t)
	s.client = pb.NewOrdersClient(s.conn)
	return s
}

func (s *service) dial(t testing.TB, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.address, append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// limited is the context of a test that must not take long.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// with is a context with metadata, in pairs.
func with(ctx context.Context, pairs ...string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func bearer(t testing.TB, token string) context.Context {
	return with(limited(t), "authorization", "Bearer "+token)
}

// infoOf returns the ErrorInfo and the RetryInfo of a status.
func infoOf(err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			info = detail
		case *errdetails.RetryInfo:
			retry = detail
		}
	}
	return info, retry
}

func newIssuer(t testing.TB) *persauthtest.Issuer { return persauthtest.NewIssuer(t) }
