package persauthgrpc_test

import (
	"context"
	"fmt"
	"net"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthgrpc"
	pb "github.com/persauth/persauth/persauthgrpc/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// shop is a service as one writes it: it finds its caller in the context.
type shop struct{ pb.UnimplementedOrdersServer }

func (shop) Create(ctx context.Context, r *pb.CreateRequest) (*pb.Order, error) {
	caller, _ := persauth.FromContext(ctx)
	return &pb.Order{Id: r.GetItem(), TenantId: caller.TenantID()}, nil
}

func Example() {
	t := &program{}
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	verifier := iss.Verifier() // in production: persauth.New(persauth.Config{ProjectKey: …})

	// Who may call what. The tenant of an order is in its message.
	guard, err := persauthgrpc.New(verifier, persauthgrpc.Rules{
		"shop.v1.Orders": persauthgrpc.Allow(persauth.TenantIs("acme")),
		"/shop.v1.Orders/Create": persauthgrpc.AllowMessage(func(caller *persauth.Claims, r *pb.CreateRequest) error {
			return caller.RequireTenant(r.GetTenantId())
		}),
		"grpc.health.v1.Health": persauthgrpc.Public(),
	})
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer(guard.ServerOptions()...)
	pb.RegisterOrdersServer(server, shop{})
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	if err := guard.Check(server); err != nil { // a rule is misspelled, or a method has none
		panic(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = server.Serve(listener) }()
	defer server.Stop()

	// A client, with a token for each call. In production its source is the
	// TokenSource of persauthclient, and the origin https.
	source := iss.TokenSource(map[string]any{"tenantId": "acme"})
	credentials, err := persauthgrpc.NewCredentials(source, "http://"+listener.Addr().String())
	if err != nil {
		panic(err)
	}
	conn, err := grpc.NewClient(listener.Addr().String(),
		append(credentials.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	orders := pb.NewOrdersClient(conn)
	order, err := orders.Create(context.Background(), &pb.CreateRequest{TenantId: "acme", Item: "tea"})
	fmt.Println(order.GetId(), "for", order.GetTenantId(), err)
	_, err = orders.Create(context.Background(), &pb.CreateRequest{TenantId: "bank", Item: "gold"})
	fmt.Println(status.Code(err))
	// Output:
	// tea for acme <nil>
	// PermissionDenied
}

// program stands in for a *testing.T, which an Example does not have.
type program struct{ cleanups []func() }

func (*program) Helper()                           {}
func (*program) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (p *program) Cleanup(f func())                { p.cleanups = append(p.cleanups, f) }
func (p *program) end() {
	for _, f := range p.cleanups {
		f()
	}
}
