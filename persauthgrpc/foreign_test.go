package persauthgrpc_test

// Clients that share no code with the server: @grpc/grpc-js and grpcurl.

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/foreign"
	pb "github.com/persauth/persauth/persauthgrpc/internal/orderspb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
)

const protoFile = "internal/orderspb/orders.proto"

func TestGRPCJS(t *testing.T) {
	folder, node := foreign.Node(t, "testdata/node")
	iss := newIssuer(t)
	l := listen(t)
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Origin: "http://" + l.Addr().String(), NonceSecret: make([]byte, 32)}
	})
	s := serve(t, l, v)
	s.sync = func(stream grpc.BidiStreamingServer[pb.CreateRequest, pb.Order]) error {
		for {
			m, err := stream.Recv()
			if err != nil {
				return err
			}
			if err := stream.Send(&pb.Order{Id: m.GetItem()}); err != nil {
				return err
			}
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		claims := map[string]any{"tenantId": r.FormValue("tenant"), "authType": "user"}
		if jkt := r.FormValue("jkt"); jkt != "" {
			claims["cnf"] = map[string]string{"jkt": jkt}
		}
		_, _ = io.WriteString(w, iss.Token(claims))
	})
	mux.HandleFunc("POST /revoke", func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, v.Revoke(persauth.Revocation{Token: r.FormValue("token")}))
	})
	control := httptest.NewServer(mux)
	defer control.Close()

	proto, err := filepath.Abs(protoFile)
	require.NoError(t, err)
	out, err := foreign.Run(t, folder, node, "client.mjs", proto, s.address, control.URL)
	require.NoError(t, err, out)
	var outcomes map[string]struct {
		Code                      codes.Code
		Details, Challenge, Nonce string
		MS                        int
	}
	require.NoError(t, json.Unmarshal([]byte(out), &outcomes), out)
	for name, want := range map[string]struct {
		code              codes.Code
		reason, challenge string
	}{
		"good":                     {codes.OK, "", ""},
		"no token":                 {codes.Unauthenticated, "no_token", `Bearer realm="PERS"`},
		"another tenant":           {codes.PermissionDenied, "forbidden", `error="insufficient_scope"`},
		"no rule":                  {codes.PermissionDenied, "forbidden", `error="insufficient_scope"`},
		"no nonce":                 {codes.Unauthenticated, "proof", `error="use_dpop_nonce"`},
		"with nonce":               {codes.OK, "", ""},
		"replay":                   {codes.Unauthenticated, "replay", `error="invalid_dpop_proof"`},
		"proof for another method": {codes.Unauthenticated, "proof", `error="invalid_dpop_proof"`},
		"no proof":                 {codes.Unauthenticated, "proof", `error="invalid_dpop_proof"`},
		"bound as Bearer":          {codes.Unauthenticated, "proof", `error="invalid_token"`},
		"revoked stream":           {codes.Unauthenticated, "revoked", `error="invalid_token"`},
	} {
		got, ok := outcomes[name]
		require.True(t, ok, name)
		assert.Equal(t, want.code, got.Code, name)
		assert.Contains(t, got.Details, want.reason, name)
		assert.Contains(t, got.Challenge, want.challenge, name)
		assert.Equal(t, name == "no nonce", got.Nonce != "", name)
		assert.Less(t, got.MS, int(endsWithin.Milliseconds()), name)
	}
	assert.Len(t, outcomes, 11)
}

func TestGrpcurl(t *testing.T) {
	grpcurl := foreign.GoProgram(t, "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4")
	iss := newIssuer(t)
	s := serve(t, listen(t), iss.Verifier())
	call := func(tenant string, tokens ...string) (string, error) {
		args := []string{"-plaintext", "-d", `{"tenant_id":"` + tenant + `","item":"tea"}`}
		for _, token := range tokens {
			args = append(args, "-H", "Authorization: Bearer "+token)
		}
		return foreign.Run(t, t.TempDir(), grpcurl, append(args, s.address, "shop.v1.Orders/Create")...)
	}
	out, err := foreign.Run(t, t.TempDir(), grpcurl, "-plaintext", s.address, "list")
	require.NoError(t, err, out)
	assert.Contains(t, out, "shop.v1.Orders", "reflection is public")
	out, err = call("acme", iss.UserToken("acme"))
	require.NoError(t, err, out)
	assert.JSONEq(t, `{"id":"tea","tenantId":"acme"}`, out)
	for name, c := range map[string]struct {
		tokens               []string
		tenant, code, reason string
	}{
		"no token":       {nil, "acme", "Unauthenticated", "no_token"},
		"two":            {[]string{iss.UserToken("acme"), iss.UserToken("acme")}, "acme", "Unauthenticated", "malformed"},
		"expired":        {[]string{iss.ExpiredToken()}, "acme", "Unauthenticated", "expired"},
		"another tenant": {[]string{iss.UserToken("acme")}, "bank", "PermissionDenied", "forbidden"},
	} {
		out, err := call(c.tenant, c.tokens...)
		require.Error(t, err, name)
		assert.Contains(t, out, "Code: "+c.code, name)
		assert.Contains(t, out, `"reason": "`+c.reason+`"`, name)
		assert.Contains(t, out, `"domain": "persauth"`, name)
	}
	assert.EqualValues(t, 1, s.calls.Load())
}
