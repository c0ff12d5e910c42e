package persauthconnect_test

// A client that shares no code with the server: @connectrpc/connect-node.

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"connectrpc.com/connect"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthconnect"
	pb "github.com/persauth/persauth/persauthconnect/internal/orderspb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

func TestConnectNode(t *testing.T) {
	folder, node := foreign.Node(t, "testdata/node")
	iss := newIssuer(t)
	server := httptest.NewUnstartedServer(nil)
	service := "http://" + server.Listener.Addr().String()
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: service, NonceSecret: make([]byte, 32)}
	})
	guard, err := persauthconnect.New(v, rules())
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle(persauthconnect.Handler[pb.OrdersHandler](guard, pb.NewOrdersHandler, &orders{
		sync: func(_ context.Context, stream *connect.BidiStream[pb.CreateRequest, pb.Order]) error {
			for {
				m, err := stream.Receive()
				if err != nil {
					return err
				}
				if err := stream.Send(&pb.Order{Id: m.GetItem()}); err != nil {
					return err
				}
			}
		}}))
	server.Config.Handler = mux
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	defer server.Close()

	tokens := http.NewServeMux()
	tokens.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		claims := map[string]any{"tenantId": r.FormValue("tenant")}
		if jkt := r.FormValue("jkt"); jkt != "" {
			claims["cnf"] = map[string]string{"jkt": jkt}
		}
		_, _ = io.WriteString(w, iss.Token(claims))
	})
	tokens.HandleFunc("POST /revoke", func(_ http.ResponseWriter, r *http.Request) {
		assert.NoError(t, v.Revoke(persauth.Revocation{Token: r.FormValue("token")}))
	})
	control := httptest.NewServer(tokens)
	defer control.Close()

	set, err := proto.Marshal(&descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{protodesc.ToFileDescriptorProto(pb.File_orders_proto)}})
	require.NoError(t, err)
	descriptors := filepath.Join(folder, "orders.binpb")
	require.NoError(t, os.WriteFile(descriptors, set, 0o600))
	out, err := foreign.Run(t, folder, node, "client.mjs", descriptors, service, control.URL)
	require.NoError(t, err, out)
	var all map[string]map[string]struct {
		Code                               uint32
		Message, Details, Challenge, Nonce string
		MS                                 int
	}
	require.NoError(t, json.Unmarshal([]byte(out), &all), out)
	wanted := map[string]struct {
		code              connect.Code
		reason, challenge string
	}{
		"good":                     {0, "", ""},
		"no token":                 {connect.CodeUnauthenticated, "no_token", `Bearer realm="PERS"`},
		"garbage":                  {connect.CodeUnauthenticated, "malformed", `error="invalid_token"`},
		"another tenant":           {connect.CodePermissionDenied, "forbidden", `error="insufficient_scope"`},
		"no nonce":                 {connect.CodeUnauthenticated, "proof", `error="use_dpop_nonce"`},
		"with nonce":               {0, "", ""},
		"replay":                   {connect.CodeUnauthenticated, "replay", `error="invalid_dpop_proof"`},
		"proof for another method": {connect.CodeUnauthenticated, "proof", `error="invalid_dpop_proof"`},
		"no proof":                 {connect.CodeUnauthenticated, "proof", `error="invalid_dpop_proof"`},
		"revoked stream":           {connect.CodeUnauthenticated, "revoked", `error="invalid_token"`},
	}
	for _, protocol := range []string{"connect", "grpc", "grpc-web"} {
		require.Len(t, all[protocol], len(wanted), protocol)
		for name, want := range wanted {
			got := all[protocol][name]
			at := protocol + ": " + name
			assert.Equal(t, want.code, connect.Code(got.Code), "%s: %s", at, got.Message)
			assert.Contains(t, got.Details, want.reason, at)
			if protocol != "grpc" || name != "revoked stream" {
				assert.Contains(t, got.Challenge, want.challenge, at)
			}
			assert.Equal(t, name == "no nonce", got.Nonce != "", at)
			assert.Less(t, got.MS, int(endsWithin.Milliseconds()), at)
		}
	}
}
