package persauthgrpc_test

// Proofs, and the client's half.

import (
	"errors"
	"fmt"
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
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// bound is a service that takes bound tokens.
func bound(t testing.TB, iss *persauthtest.Issuer, secret []byte) (s *service, origin string) {
	t.Helper()
	l := listen(t)
	origin = "http://" + l.Addr().String()
	return serve(t, l, iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: origin, NonceSecret: secret}
	})), origin
}

func TestProofs(t *testing.T) {
	iss := newIssuer(t)
	client := iss.DPoPClient("ES256")
	token := iss.BoundToken(client, map[string]any{"tenantId": "acme"})
	s, origin := bound(t, iss, nil)
	create := origin + "/shop.v1.Orders/Create"
	used := client.Proof("POST", create, token)
	for _, c := range []struct {
		name     string
		metadata []string
		reason   string // "": let through
		code     string // of the challenge
	}{
		{"good", []string{"authorization", "DPoP " + token, "dpop", used}, "", ""},
		{"used before", []string{"authorization", "DPoP " + token, "dpop", used}, "replay", "invalid_dpop_proof"},
		{"none", []string{"authorization", "DPoP " + token}, "proof", "invalid_dpop_proof"},
		{"two", []string{"authorization", "DPoP " + token, "dpop", client.Proof("POST", create, token), "dpop", client.Proof("POST", create, token)}, "proof", "invalid_dpop_proof"},
		{"GET", []string{"authorization", "DPoP " + token, "dpop", client.Proof("GET", create, token)}, "proof", "invalid_dpop_proof"},
		{"another method", []string{"authorization", "DPoP " + token, "dpop", client.Proof("POST", origin+"/shop.v1.Orders/Get", token)}, "proof", "invalid_dpop_proof"},
		{"another host", []string{"authorization", "DPoP " + token, "dpop", client.Proof("POST", "https://evil.example/shop.v1.Orders/Create", token)}, "proof", "invalid_dpop_proof"},
		{"another key", []string{"authorization", "DPoP " + token, "dpop", iss.DPoPClient("ES256").Proof("POST", create, token)}, "proof", "invalid_token"},
		{"as Bearer", []string{"authorization", "Bearer " + token, "dpop", client.Proof("POST", create, token)}, "proof", "invalid_token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var trailer metadata.MD
			_, err := s.client.Create(with(limited(t), c.metadata...), &pb.CreateRequest{TenantId: "acme"}, grpc.Trailer(&trailer))
			if c.reason == "" {
				require.NoError(t, err)
				return
			}
			require.Equal(t, codes.Unauthenticated, status.Code(err))
			info, _ := infoOf(err)
			assert.Equal(t, c.reason, info.GetReason())
			assert.Contains(t, fmt.Sprint(trailer.Get("www-authenticate")), `error="`+c.code+`"`)
		})
	}
	assert.EqualValues(t, 1, s.calls.Load())
}

func credentialsFor(t testing.TB, source persauthgrpc.Source, origin string) *persauthgrpc.Credentials {
	t.Helper()
	c, err := persauthgrpc.NewCredentials(source, origin)
	require.NoError(t, err)
	return c
}

// The client's half answers what the server's half asks for: a proof for each call,
// with the nonce of the moment.
func TestCredentialsKeepUpWithNonces(t *testing.T) {
	iss := newIssuer(t)
	source := iss.BoundTokenSource(iss.DPoPClient("EdDSA"), map[string]any{"tenantId": "acme", "authType": "user"})
	s, origin := bound(t, iss, make([]byte, 32))
	credentials := credentialsFor(t, source, origin)
	orders := pb.NewOrdersClient(s.dial(t, credentials.DialOptions()...))

	// A stream cannot be tried again, but the next one has the nonce.
	s.watch = func(stream grpc.ServerStreamingServer[pb.Order]) error { return stream.Send(&pb.Order{Id: "tea"}) }
	stream, err := orders.Watch(limited(t), &pb.WatchRequest{})
	require.NoError(t, err)
	_, err = stream.Recv()
	require.Equal(t, codes.Unauthenticated, status.Code(err))
	stream, err = orders.Watch(limited(t), &pb.WatchRequest{})
	require.NoError(t, err)
	order, err := stream.Recv()
	require.NoError(t, err)
	assert.Equal(t, "tea", order.GetId())

	// Unary calls are, and go on while nonces change.
	credentials = credentialsFor(t, source, origin)
	orders = pb.NewOrdersClient(s.dial(t, credentials.DialOptions()...))
	for range 8 {
		_, err := orders.Create(limited(t), &pb.CreateRequest{TenantId: "acme"})
		require.NoError(t, err)
		iss.Clock().Advance(4 * time.Minute)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := orders.Create(limited(t), &pb.CreateRequest{TenantId: "acme"})
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.EqualValues(t, 1+8+20, s.calls.Load())
	assert.Zero(t, source.Refused(), "a nonce is no reason for another token")
}

// A token that the service does not accept is renewed once, and the call tried
// again.
func TestCredentialsRenew(t *testing.T) {
	iss := newIssuer(t)
	v := iss.Verifier()
	s := serve(t, listen(t), v)
	source := iss.TokenSource(map[string]any{"tenantId": "acme"})
	orders := pb.NewOrdersClient(s.dial(t, credentialsFor(t, source, "http://"+s.address).DialOptions()...))
	call := func() error {
		_, err := orders.Create(limited(t), &pb.CreateRequest{TenantId: "acme"})
		return err
	}
	require.NoError(t, call())
	token, err := source.AccessToken()
	require.NoError(t, err)
	require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	require.NoError(t, call())
	assert.Equal(t, 1, source.Refused())
	assert.Equal(t, 2, source.Issued())

	// What no other token can put right is not tried again.
	_, err = orders.Create(limited(t), &pb.CreateRequest{TenantId: "other"})
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	_, err = orders.Get(limited(t), &pb.GetRequest{})
	assert.Equal(t, codes.PermissionDenied, status.Code(err))
	s.create = func() error { return status.Error(codes.Unauthenticated, "the handler's own") }
	assert.Equal(t, codes.Unauthenticated, status.Code(call()))
	assert.Equal(t, 1, source.Refused())

	// Without a token there is no call.
	calls := s.calls.Load()
	source.Fail(errors.New("sign in again"))
	err = call()
	assert.Equal(t, codes.Unauthenticated, status.Code(err))
	assert.ErrorContains(t, err, "sign in again")
	source.Fail(fmt.Errorf("PERS is away: %w", persauth.ErrUnavailable))
	assert.Equal(t, codes.Unavailable, status.Code(call()))
	assert.Equal(t, calls, s.calls.Load())
}

// A stream whose token is revoked makes the source get another one.
func TestCredentialsRenewAfterAStream(t *testing.T) {
	iss := newIssuer(t)
	v := iss.Verifier()
	s := serve(t, listen(t), v)
	started := make(chan struct{}, 1)
	s.take = func(stream grpc.ClientStreamingServer[pb.CreateRequest, pb.ImportReply]) error {
		started <- struct{}{}
		<-stream.Context().Done()
		return nil
	}
	source := iss.TokenSource(map[string]any{"tenantId": "acme", "authType": "user"})
	orders := pb.NewOrdersClient(s.dial(t, credentialsFor(t, source, "http://"+s.address).DialOptions()...))
	stream, err := orders.Import(limited(t))
	require.NoError(t, err)
	<-started
	token, err := source.AccessToken()
	require.NoError(t, err)
	require.NoError(t, v.Revoke(persauth.Revocation{Token: token}))
	require.Equal(t, codes.Unauthenticated, status.Code(stream.RecvMsg(new(pb.ImportReply))))
	next, err := source.AccessToken()
	require.NoError(t, err)
	assert.NotEqual(t, token, next)
}

// Tokens go to their own service, and over TLS.
func TestTokensGoNowhereElse(t *testing.T) {
	iss := newIssuer(t)
	source := iss.TokenSource(map[string]any{"tenantId": "acme"})
	for _, origin := range []string{"", "api.example.com", "http://api.example.com", "ftp://api.example.com", "https://user@api.example.com",
		"https://api.example.com?x", "https://api.example.com#x", "https://", "http://localhost.example.com"} {
		_, err := persauthgrpc.NewCredentials(source, origin)
		assert.Error(t, err, origin)
	}
	_, err := persauthgrpc.NewCredentials(nil, "https://api.example.com")
	require.Error(t, err)
	secure := credentialsFor(t, source, "https://api.example.com")
	assert.True(t, secure.RequireTransportSecurity())
	_, err = secure.GetRequestMetadata(t.Context(), "https://api.example.com/shop.v1.Orders")
	require.Error(t, err, "without the word of grpc-go")

	s := serve(t, listen(t), iss.Verifier())
	for name, conn := range map[string]*grpc.ClientConn{
		"another authority": s.dial(t, append(credentialsFor(t, source, "http://127.0.0.1:1").DialOptions(), grpc.WithAuthority(s.address))...),
		"another port":      s.dial(t, credentialsFor(t, source, "http://127.0.0.1:1").DialOptions()...),
	} {
		_, err := pb.NewOrdersClient(conn).Create(limited(t), &pb.CreateRequest{TenantId: "acme"})
		assert.Equal(t, codes.Unauthenticated, status.Code(err), name)
		assert.ErrorContains(t, err, "another authority", name)
	}
	assert.Zero(t, s.calls.Load())
	assert.Zero(t, source.Issued())
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s", secure, secure, secure, secure), "Issuer")
}
