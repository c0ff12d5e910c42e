package persauthconnect_test

// Streams: they end with their token, whatever the client does.

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthconnect"
	pb "github.com/persauth/persauth/persauthconnect/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// endsWithin is how long a stream may outlive its token, with time for a machine
// that is busy.
const endsWithin = 2 * time.Second

var ends = map[string]func(*testing.T, *persauthtest.Issuer, *persauth.Verifier, string){
	"expired": func(_ *testing.T, iss *persauthtest.Issuer, _ *persauth.Verifier, _ string) {
		iss.Clock().Advance(16 * time.Minute)
	},
	"revoked": func(t *testing.T, _ *persauthtest.Issuer, v *persauth.Verifier, token string) {
		require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	},
}

// handlers are streams that do nothing until something wakes them.
var handlers = map[string]func(ctx context.Context, s *connect.ClientStream[pb.CreateRequest]) error{
	"waits for a silent client": func(_ context.Context, s *connect.ClientStream[pb.CreateRequest]) error {
		for s.Receive() {
			continue
		}
		return s.Err()
	},
	"takes the end for success": func(ctx context.Context, _ *connect.ClientStream[pb.CreateRequest]) error {
		<-ctx.Done()
		return nil
	},
}

func TestStreamsEndWithTheirToken(t *testing.T) {
	for reason, end := range ends {
		for name, handler := range handlers {
			for _, protocol := range []string{"connect", "grpc", "grpc-web", "connect over HTTP/1.1"} {
				t.Run(reason+"/"+name+"/"+protocol, func(t *testing.T) {
					iss := newIssuer(t)
					v := iss.Verifier()
					s := serve(t, by(v))
					started := make(chan struct{})
					s.take = func(ctx context.Context, stream *connect.ClientStream[pb.CreateRequest]) error {
						if !stream.Receive() {
							return stream.Err()
						}
						close(started)
						return handler(ctx, stream)
					}
					client := s.client(protocol)
					if protocol == "connect over HTTP/1.1" {
						client = s.http1(t)
					}
					token := iss.UserToken("acme")
					stream := client.Import(limited(t))
					stream.RequestHeader().Set("Authorization", "Bearer "+token)
					require.NoError(t, stream.Send(&pb.CreateRequest{}))
					<-started
					begin := time.Now()
					end(t, iss, v, token)
					conn, err := stream.Conn()
					require.NoError(t, err)
					err = conn.Receive(new(pb.ImportReply)) // and says nothing, not even an end
					assert.Less(t, time.Since(begin), endsWithin)
					got := toldBy(t, err)
					assert.Equal(t, connect.CodeUnauthenticated, got.code)
					assert.Equal(t, reason, got.reason)
					if protocol != "grpc" {
						assert.Equal(t, `Bearer realm="PERS", error="invalid_token"`, got.challenge)
					}
					_ = conn.CloseRequest()
					_ = conn.CloseResponse()
				})
			}
		}
	}
}

// A client that does not read cannot hold a handler.
func TestStreamEndsUnderASlowReader(t *testing.T) {
	for _, protocol := range []string{"connect", "grpc"} {
		iss := newIssuer(t)
		s := serve(t, by(iss.Verifier()))
		left := make(chan error, 1)
		started := make(chan struct{})
		s.watch = func(_ context.Context, stream *connect.ServerStream[pb.Order]) error {
			big := &pb.Order{Id: string(make([]byte, 1<<18))}
			for i := 0; ; i++ {
				if i == 1 {
					close(started)
				}
				if err := stream.Send(big); err != nil {
					left <- err
					return err
				}
			}
		}
		ctx, cancel := context.WithCancel(limited(t))
		_, err := s.client(protocol).Watch(ctx, request(&pb.WatchRequest{}, "Authorization", "Bearer "+iss.UserToken("acme")))
		require.NoError(t, err)
		<-started
		iss.Clock().Advance(16 * time.Minute)
		select {
		case err := <-left:
			require.Error(t, err)
		case <-time.After(endsWithin + time.Second):
			t.Error("the handler still sends")
		}
		cancel()
	}
}

// Once the token has ended, the handler gets no message that was already there, and
// sends none.
func TestNothingPassesAfterTheEnd(t *testing.T) {
	iss := newIssuer(t)
	v := iss.Verifier()
	s := serve(t, by(v))
	results := make(chan [2]error, 1)
	s.sync = func(ctx context.Context, stream *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
		if _, err := stream.Receive(); err != nil {
			return err
		}
		if err := stream.Send(&pb.Order{}); err != nil {
			return err
		}
		<-ctx.Done()
		_, received := stream.Receive()
		results <- [2]error{received, stream.Send(&pb.Order{Id: "secret"})}
		return nil
	}
	token := iss.UserToken("acme")
	stream := s.client("grpc").Sync(limited(t))
	stream.RequestHeader().Set("Authorization", "Bearer "+token)
	for range 3 {
		require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "acme"}))
	}
	_, err := stream.Receive()
	require.NoError(t, err)
	require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	_, err = stream.Receive()
	assert.Equal(t, "revoked", toldBy(t, err).reason)
	for _, err := range <-results {
		assert.ErrorIs(t, err, persauth.ErrRevoked)
	}
	_ = stream.CloseRequest()
	_ = stream.CloseResponse()
}

// Each message of a stream is held against a rule about messages, and none is sent
// before one has passed.
func TestMessagesOfStreams(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	open := func() *connect.BidiStreamForClient[pb.CreateRequest, pb.Order] {
		stream := s.client("connect").Sync(limited(t))
		stream.RequestHeader().Set("Authorization", "Bearer "+iss.UserToken("acme"))
		return stream
	}
	var got []string
	s.sync = func(_ context.Context, stream *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
		for {
			m, err := stream.Receive()
			if err != nil {
				_ = stream.Send(&pb.Order{Id: "after the refusal"})
				return nil // a handler that does not care
			}
			got = append(got, m.GetItem())
			if err := stream.Send(&pb.Order{Id: m.GetItem()}); err != nil {
				return err
			}
		}
	}
	stream := open()
	require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "acme", Item: "tea"}))
	order, err := stream.Receive()
	require.NoError(t, err)
	assert.Equal(t, "tea", order.GetId())
	require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "other", Item: "gold"}))
	_, err = stream.Receive()
	assert.Equal(t, "forbidden", toldBy(t, err).reason)
	assert.Equal(t, []string{"tea"}, got)
	_ = stream.CloseRequest()
	_ = stream.CloseResponse()

	s.sync = func(_ context.Context, stream *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
		_ = stream.Send(&pb.Order{Id: "secret"})
		return nil
	}
	stream = open()
	_ = stream.Send(nil) // the headers alone
	order, err = stream.Receive()
	assert.Nil(t, order)
	assert.Equal(t, connect.CodePermissionDenied, toldBy(t, err).code)
	_ = stream.CloseRequest()
	_ = stream.CloseResponse()
}

// A message that is refused while its client goes away is refused.
func TestRefusedWhileTheClientGoes(t *testing.T) {
	iss := newIssuer(t)
	ctx, cancel := context.WithCancel(limited(t))
	asked, received := make(chan struct{}), make(chan error, 1)
	guard, err := persauthconnect.New(iss.Verifier(), persauthconnect.Rules{
		"shop.v1.Orders": persauthconnect.AllowMessage(func(c *persauth.Claims, m hasTenant) error {
			cancel()
			<-asked
			return c.RequireTenant(m.GetTenantId())
		}),
	})
	require.NoError(t, err)
	all := &orders{sync: func(ctx context.Context, stream *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
		go func() {
			<-ctx.Done() // the client's end is known here
			close(asked)
		}()
		_, err := stream.Receive()
		received <- err
		return err
	}}
	mux := http.NewServeMux()
	mux.Handle(persauthconnect.Handler[pb.OrdersHandler](guard, pb.NewOrdersHandler, all))
	server := httptest.NewUnstartedServer(mux)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	stream := pb.NewOrdersClient(server.Client(), server.URL).Sync(ctx)
	stream.RequestHeader().Set("Authorization", "Bearer "+iss.UserToken("acme"))
	require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "other"}))
	assert.ErrorIs(t, <-received, persauth.ErrForbidden)
	_ = stream.CloseRequest()
	_ = stream.CloseResponse()
}

// A client that goes away is not told that its token has ended, and its handler is.
func TestClientGoesAway(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	left := make(chan error, 1)
	started := make(chan struct{})
	s.take = func(ctx context.Context, stream *connect.ClientStream[pb.CreateRequest]) error {
		close(started)
		<-ctx.Done()
		left <- context.Cause(ctx)
		return ctx.Err()
	}
	ctx, cancel := context.WithCancel(limited(t))
	stream := s.client("connect").Import(ctx)
	stream.RequestHeader().Set("Authorization", "Bearer "+iss.UserToken("acme"))
	require.NoError(t, stream.Send(&pb.CreateRequest{}))
	<-started
	cancel()
	assert.ErrorIs(t, <-left, context.Canceled)
	_, err := stream.CloseAndReceive()
	assert.Equal(t, connect.CodeCanceled, connect.CodeOf(err))
}
