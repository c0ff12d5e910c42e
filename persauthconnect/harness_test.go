package persauthconnect_test

// A service behind a guard, on a real port, and clients of each protocol.

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthconnect"
	pb "github.com/persauth/persauth/persauthconnect/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newIssuer(t testing.TB) *persauthtest.Issuer { return persauthtest.NewIssuer(t) }

type hasTenant interface{ GetTenantId() string }

// rules of the service of the tests.
func rules() persauthconnect.Rules {
	ofTenant := func(c *persauth.Claims, m hasTenant) error { return c.RequireTenant(m.GetTenantId()) }
	return persauthconnect.Rules{
		"/shop.v1.Orders/Get":    persauthconnect.Authenticated(),
		"/shop.v1.Orders/Create": persauthconnect.AllowMessage(ofTenant),
		"/shop.v1.Orders/Import": persauthconnect.Allow(persauth.TenantIs("acme"), persauth.AuthTypeIs(persauth.AuthUser)),
		"/shop.v1.Orders/Sync":   persauthconnect.AllowMessage(ofTenant),
		"/shop.v1.Orders/Watch":  persauthconnect.Allow(persauth.TenantIs("acme")),
	}
}

// orders is the service. What some of its methods do, a test says.
type orders struct {
	calls  atomic.Int64 // that reached a handler
	create func() error
	watch  func(context.Context, *connect.ServerStream[pb.Order]) error
	take   func(context.Context, *connect.ClientStream[pb.CreateRequest]) error
	sync   func(context.Context, *connect.BidiStream[pb.CreateRequest, pb.Order]) error
}

func (o *orders) Get(context.Context, *connect.Request[pb.GetRequest]) (*connect.Response[pb.Order], error) {
	o.calls.Add(1)
	return connect.NewResponse(&pb.Order{Id: "tea"}), nil
}

func (o *orders) Create(ctx context.Context, r *connect.Request[pb.CreateRequest]) (*connect.Response[pb.Order], error) {
	o.calls.Add(1)
	if o.create != nil {
		if err := o.create(); err != nil {
			return nil, err
		}
	}
	caller, _ := persauth.FromContext(ctx)
	return connect.NewResponse(&pb.Order{Id: r.Msg.GetItem(), TenantId: caller.TenantID()}), nil
}

func (o *orders) Watch(ctx context.Context, _ *connect.Request[pb.WatchRequest], s *connect.ServerStream[pb.Order]) error {
	o.calls.Add(1)
	return o.watch(ctx, s)
}

func (o *orders) Import(ctx context.Context, s *connect.ClientStream[pb.CreateRequest]) (*connect.Response[pb.ImportReply], error) {
	o.calls.Add(1)
	if err := o.take(ctx, s); err != nil {
		return nil, err
	}
	return connect.NewResponse(&pb.ImportReply{Orders: 7}), nil
}

func (o *orders) Sync(ctx context.Context, s *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
	o.calls.Add(1)
	return o.sync(ctx, s)
}

// service is a server.
type service struct {
	*orders
	*httptest.Server
	handler http.Handler
}

// serve starts the service. Its verifier may need its address.
func serve(t testing.TB, verifier func(origin string) *persauth.Verifier, options ...connect.HandlerOption) *service {
	t.Helper()
	s := &service{orders: new(orders), Server: httptest.NewUnstartedServer(nil)}
	guard, err := persauthconnect.New(verifier("https://"+s.Listener.Addr().String()), rules())
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(persauthconnect.Handler[pb.OrdersHandler](guard, pb.NewOrdersHandler, s.orders, options...))
	s.handler = mux
	s.Config.Handler = mux
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// by makes a verifier that needs no address.
func by(v *persauth.Verifier) func(string) *persauth.Verifier {
	return func(string) *persauth.Verifier { return v }
}

// protocols are those that connect-go speaks.
var protocols = map[string][]connect.ClientOption{
	"connect":      nil,
	"connect json": {connect.WithProtoJSON()},
	"grpc":         {connect.WithGRPC()},
	"grpc-web":     {connect.WithGRPCWeb()},
}

func (s *service) client(protocol string) pb.OrdersClient {
	return pb.NewOrdersClient(s.Client(), s.URL, protocols[protocol]...)
}

// http1 is a client that speaks HTTP/1.1.
func (s *service) http1(t testing.TB) pb.OrdersClient {
	transport := s.Client().Transport.(*http.Transport).Clone()
	transport.ForceAttemptHTTP2 = false
	transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	t.Cleanup(transport.CloseIdleConnections)
	return pb.NewOrdersClient(&http.Client{Transport: transport}, s.URL)
}

// limited is the context of a test that must not take long.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// request is a request with headers, in pairs.
func request[M any](message *M, pairs ...string) *connect.Request[M] {
	r := connect.NewRequest(message)
	for i := 0; i < len(pairs); i += 2 {
		r.Header().Add(pairs[i], pairs[i+1])
	}
	return r
}

// told is what a client was told.
type told struct {
	code      connect.Code
	reason    string
	challenge string
	retry     time.Duration
	nonce     string
}

func toldBy(t testing.TB, err error) told {
	t.Helper()
	var e *connect.Error
	require.ErrorAs(t, err, &e)
	got := told{code: e.Code(), challenge: strings.Join(e.Meta().Values("WWW-Authenticate"), "; "), nonce: e.Meta().Get("DPoP-Nonce")}
	for _, detail := range e.Details() {
		value, err := detail.Value()
		require.NoError(t, err)
		switch value := value.(type) {
		case *errdetails.ErrorInfo:
			require.Equal(t, persauthconnect.Domain, value.GetDomain())
			got.reason = value.GetReason()
		case *errdetails.RetryInfo:
			got.retry = value.GetRetryDelay().AsDuration()
		}
	}
	return got
}
