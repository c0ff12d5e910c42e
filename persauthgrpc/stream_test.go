package persauthgrpc_test

// Streams: they end with their token, whatever client and handler do.

import (
	"context"
	"errors"
	"io"
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
	"google.golang.org/grpc/status"
)

// endsWithin is how long a stream may outlive its token, with time for a machine
// that is busy.
const endsWithin = 2 * time.Second

// ends are what ends a token, and what the client is told then.
var ends = []struct {
	name   string
	end    func(*testing.T, *persauthtest.Issuer, *persauth.Verifier, string)
	reason string
}{
	{"expiry", func(_ *testing.T, iss *persauthtest.Issuer, _ *persauth.Verifier, _ string) {
		iss.Clock().Advance(16 * time.Minute)
	}, "expired"},
	{"revocation", func(t *testing.T, _ *persauthtest.Issuer, v *persauth.Verifier, token string) {
		require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	}, "revoked"},
}

// handlers are streams that do nothing until something wakes them. started is
// closed once they are there, and left once they have returned.
var handlers = map[string]func(s *service, started, left chan struct{}){
	"waits for a silent client": func(s *service, started, left chan struct{}) {
		s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
			defer close(left)
			close(started)
			_, err := stream.Recv()
			return err
		}
	},
	"waits for its context": func(s *service, started, left chan struct{}) {
		s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
			defer close(left)
			close(started)
			<-stream.Context().Done()
			return stream.Context().Err()
		}
	},
	"takes the end of its context for success": func(s *service, started, left chan struct{}) {
		s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
			defer close(left)
			close(started)
			<-stream.Context().Done()
			return stream.SendAndClose(&pb.ImportReply{Orders: 7})
		}
	},
	"heeds nothing": func(s *service, started, left chan struct{}) {
		s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
			defer close(left)
			close(started)
			<-s.released
			return nil
		}
	},
}

func TestStreamsEndWithTheirToken(t *testing.T) {
	for _, c := range ends {
		for name, handler := range handlers {
			t.Run(c.name+"/"+name, func(t *testing.T) {
				iss := newIssuer(t)
				v := iss.Verifier()
				s := serve(t, listen(t), v)
				started, left := make(chan struct{}), make(chan struct{})
				handler(s, started, left)
				token := iss.UserToken("acme")
				stream, err := s.client.Import(bearer(t, token))
				require.NoError(t, err)
				<-started
				begin := time.Now()
				c.end(t, iss, v, token)
				err = stream.RecvMsg(new(pb.ImportReply)) // and sends nothing, not even an end
				assert.Less(t, time.Since(begin), endsWithin)
				require.Equal(t, codes.Unauthenticated, status.Code(err), "%v", err)
				info, _ := infoOf(err)
				require.NotNil(t, info)
				assert.Equal(t, c.reason, info.GetReason())
				assert.Equal(t, []string{`Bearer realm="PERS", error="invalid_token"`}, stream.Trailer().Get("www-authenticate"))
				close(s.released)
				<-left
			})
		}
	}
}

// A client that does not read cannot hold a stream open: the handler waits for
// room to send, and the stream ends all the same.
func TestStreamEndsUnderASlowReader(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier())
	left := make(chan error, 1)
	blocked := make(chan struct{}, 1)
	s.watch = func(stream grpc.ServerStreamingServer[pb.Order]) error {
		big := &pb.Order{Id: string(make([]byte, 1<<16))}
		for i := 0; ; i++ {
			if i == 1 {
				blocked <- struct{}{}
			}
			if err := stream.Send(big); err != nil {
				left <- err
				return err
			}
		}
	}
	stream, err := s.client.Watch(bearer(t, iss.UserToken("acme")), &pb.WatchRequest{TenantId: "acme"})
	require.NoError(t, err)
	<-blocked
	iss.Clock().Advance(16 * time.Minute)
	select {
	case err := <-left:
		require.Error(t, err)
	case <-time.After(endsWithin):
		t.Fatal("the handler still sends")
	}
	for err == nil { // what was on its way, and then the end
		_, err = stream.Recv()
	}
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
}

// Once the token has ended, the handler gets no message that was already there, and
// sends none.
func TestNothingPassesAfterTheEnd(t *testing.T) {
	iss := newIssuer(t)
	v := iss.Verifier()
	s := serve(t, listen(t), v)
	results := make(chan [2]error, 1)
	s.sync = func(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
		if _, err := stream.Recv(); err != nil {
			return err
		}
		if err := stream.Send(&pb.Order{}); err != nil {
			return err
		}
		<-stream.Context().Done()
		_, received := stream.Recv()
		results <- [2]error{received, stream.Send(&pb.Order{Id: "secret"})}
		return nil
	}
	token := iss.UserToken("acme")
	stream, err := s.client.Sync(bearer(t, token))
	require.NoError(t, err)
	for range 3 {
		require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "acme"}))
	}
	_, err = stream.Recv()
	require.NoError(t, err)
	require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	_, err = stream.Recv()
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	for _, err := range <-results {
		assert.ErrorIs(t, err, persauth.ErrRevoked)
		assert.Equal(t, codes.Unauthenticated, status.Code(err))
	}
}

// Each message of a stream is held against a rule about messages.
func TestMessagesOfStreams(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier())
	token := iss.UserToken("acme")
	t.Run("the second is of another tenant", func(t *testing.T) {
		var got []string
		s.sync = func(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
			for {
				m, err := stream.Recv()
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
		stream, err := s.client.Sync(bearer(t, token))
		require.NoError(t, err)
		require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "acme", Item: "tea"}))
		order, err := stream.Recv()
		require.NoError(t, err)
		assert.Equal(t, "tea", order.GetId())
		require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "other", Item: "gold"}))
		_, err = stream.Recv()
		require.Equal(t, codes.PermissionDenied, status.Code(err))
		info, _ := infoOf(err)
		assert.Equal(t, "forbidden", info.GetReason())
		assert.Equal(t, []string{"tea"}, got)
	})
	t.Run("nothing is sent before one has passed", func(t *testing.T) {
		s.sync = func(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
			_ = stream.Send(&pb.Order{Id: "secret"})
			return nil
		}
		stream, err := s.client.Sync(bearer(t, token))
		require.NoError(t, err)
		order, err := stream.Recv()
		assert.Nil(t, order)
		assert.Equal(t, codes.PermissionDenied, status.Code(err))
	})
}

// What a stream needs is looked at before its handler runs.
func TestStreamsAreRefused(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier())
	for name, c := range map[string]struct {
		ctx  context.Context
		code codes.Code
	}{
		"no token":       {limited(t), codes.Unauthenticated},
		"expired":        {bearer(t, iss.ExpiredToken()), codes.Unauthenticated},
		"another tenant": {bearer(t, iss.UserToken("other")), codes.PermissionDenied},
		"another type":   {bearer(t, iss.BusinessToken("acme", "shop", "ADMIN")), codes.PermissionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			stream, err := s.client.Import(c.ctx)
			require.NoError(t, err)
			_, err = stream.CloseAndRecv()
			assert.Equal(t, c.code, status.Code(err))
		})
	}
	assert.Zero(t, s.calls.Load())
}

// A handler that panics does so for the interceptors around it, and a client that
// goes away ends it.
func TestHandlersOfStreams(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier(), grpc.ChainStreamInterceptor(
		func(srv any, ss grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = status.Errorf(codes.DataLoss, "%v", p)
				}
			}()
			return next(srv, ss)
		}))
	s.take = func(grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error { panic("broken") }
	stream, err := s.client.Import(bearer(t, iss.UserToken("acme")))
	require.NoError(t, err)
	_, err = stream.CloseAndRecv()
	assert.Equal(t, codes.DataLoss, status.Code(err))
	assert.ErrorContains(t, err, "broken")

	left := make(chan error, 1)
	started := make(chan struct{})
	s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
		close(started)
		_, err := stream.Recv()
		left <- err
		return err
	}
	ctx, cancel := context.WithCancel(bearer(t, iss.UserToken("acme")))
	stream, err = s.client.Import(ctx)
	require.NoError(t, err)
	<-started
	cancel()
	assert.Equal(t, codes.Canceled, status.Code(<-left))
	require.Error(t, stream.RecvMsg(new(pb.ImportReply)))

	s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
		n := int32(0)
		for {
			if _, err := stream.Recv(); errors.Is(err, io.EOF) {
				return stream.SendAndClose(&pb.ImportReply{Orders: n})
			} else if err != nil {
				return err
			}
			n++
		}
	}
	stream, err = s.client.Import(bearer(t, iss.UserToken("acme")))
	require.NoError(t, err)
	for range 5 {
		require.NoError(t, stream.Send(&pb.CreateRequest{}))
	}
	reply, err := stream.CloseAndRecv()
	require.NoError(t, err)
	assert.EqualValues(t, 5, reply.GetOrders())
}

// A stream ends when the key of its token leaves the key set.
func TestStreamEndsWhenItsKeyLeaves(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier()
	s := serve(t, listen(t), v)
	started := make(chan struct{})
	s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
		close(started)
		_, err := stream.Recv()
		return err
	}
	old := iss.Keys()[0]
	stream, err := s.client.Import(bearer(t, iss.UserToken("acme")))
	require.NoError(t, err)
	<-started
	iss.Rotate()
	iss.Retire(old)
	iss.Clock().Advance(time.Minute)
	_, err = s.client.Create(bearer(t, iss.UserToken("acme")), &pb.CreateRequest{TenantId: "acme"})
	require.NoError(t, err, "the new key is fetched for the new token")
	err = stream.RecvMsg(new(pb.ImportReply))
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	info, _ := infoOf(err)
	assert.Equal(t, "unknown_key", info.GetReason())
}

// A message that is refused while its client goes away is refused.
func TestRefusedWhileTheClientGoes(t *testing.T) {
	iss := newIssuer(t)
	ctx, cancel := context.WithCancel(bearer(t, iss.UserToken("acme")))
	asked, received := make(chan struct{}), make(chan error, 1)
	guard, err := persauthgrpc.New(iss.Verifier(), persauthgrpc.Rules{
		"shop.v1.Orders": persauthgrpc.AllowMessage(func(c *persauth.Claims, m hasTenant) error {
			cancel()
			<-asked
			return c.RequireTenant(m.GetTenantId())
		}),
	})
	require.NoError(t, err)
	l := listen(t)
	server := grpc.NewServer(guard.ServerOptions()...)
	pb.RegisterOrdersServer(server, &orders{sync: func(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
		go func() {
			<-stream.Context().Done() // the client's end is known here
			close(asked)
		}()
		_, err := stream.Recv()
		received <- err
		return err
	}})
	go func() { _ = server.Serve(l) }()
	defer server.Stop()
	s := &service{address: l.Addr().String()}
	stream, err := pb.NewOrdersClient(s.dial(t)).Sync(ctx)
	require.NoError(t, err)
	require.NoError(t, stream.Send(&pb.CreateRequest{TenantId: "other"}))
	assert.ErrorIs(t, <-received, persauth.ErrForbidden)
}
