package persauthconnect_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthconnect"
	shopv1 "github.com/persauth/persauth/persauthconnect/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
)

// shop is a service as one writes it: it finds its caller in the context.
type shop struct {
	shopv1.UnimplementedOrdersHandler
}

func (shop) Create(ctx context.Context, r *connect.Request[shopv1.CreateRequest]) (*connect.Response[shopv1.Order], error) {
	caller, _ := persauth.FromContext(ctx)
	return connect.NewResponse(&shopv1.Order{Id: r.Msg.GetItem(), TenantId: caller.TenantID()}), nil
}

func Example() {
	t := &program{}
	defer t.end()
	iss := persauthtest.NewIssuer(t)
	verifier := iss.Verifier() // in production: persauth.New(persauth.Config{ProjectKey: …})

	// Who may call what. The tenant of an order is in its message.
	guard, err := persauthconnect.New(verifier, persauthconnect.Rules{
		"shop.v1.Orders": persauthconnect.Allow(persauth.TenantIs("acme")),
		"/shop.v1.Orders/Create": persauthconnect.AllowMessage(func(caller *persauth.Claims, r *shopv1.CreateRequest) error {
			return caller.RequireTenant(r.GetTenantId())
		}),
	})
	if err != nil {
		panic(err)
	}
	if err := guard.Check("shop.v1.Orders"); err != nil { // a rule is misspelled, or a method has none
		panic(err)
	}
	mux := http.NewServeMux()
	mux.Handle(persauthconnect.Handler[shopv1.OrdersHandler](guard, shopv1.NewOrdersHandler, shop{}))
	server := httptest.NewServer(mux)
	defer server.Close()

	orders := shopv1.NewOrdersClient(server.Client(), server.URL)
	create := func(tenant string) (*connect.Response[shopv1.Order], error) {
		request := connect.NewRequest(&shopv1.CreateRequest{TenantId: tenant, Item: "tea"})
		request.Header().Set("Authorization", "Bearer "+iss.UserToken("acme"))
		return orders.Create(context.Background(), request)
	}
	order, err := create("acme")
	if err != nil {
		panic(err)
	}
	fmt.Println(order.Msg.GetId(), "for", order.Msg.GetTenantId())
	_, err = create("bank")
	fmt.Println(connect.CodeOf(err))
	// Output:
	// tea for acme
	// permission_denied
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
