package persauthconnect_test

// Unary calls: who may, and what everybody else is told.

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
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

func TestUnary(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier()
	require.NoError(t, v.Warm(t.Context()))
	s := serve(t, by(v))
	stranger := iss.UnpublishedToken(map[string]any{"tenantId": "acme"})
	pers.Fault(persauthtest.EndpointAll, persauthtest.Status(500))
	good := "Bearer " + iss.UserToken("acme")
	for protocol := range protocols {
		for _, c := range []struct {
			name          string
			authorization []string
			want          told
		}{
			{"good", []string{good}, told{}},
			{"no token", nil, told{code: connect.CodeUnauthenticated, reason: "no_token", challenge: `Bearer realm="PERS"`}},
			{"another scheme", []string{"Basic dXNlcjpwYXNz"}, told{code: connect.CodeUnauthenticated, reason: "no_token", challenge: `Bearer realm="PERS"`}},
			{"two", []string{good, good}, told{code: connect.CodeUnauthenticated, reason: "malformed", challenge: `Bearer realm="PERS", error="invalid_request"`}},
			{"expired", []string{"Bearer " + iss.ExpiredToken()}, told{code: connect.CodeUnauthenticated, reason: "expired", challenge: `Bearer realm="PERS", error="invalid_token"`}},
			{"forged", []string{"Bearer " + iss.ForgedToken()}, told{code: connect.CodeUnauthenticated, reason: "signature", challenge: `Bearer realm="PERS", error="invalid_token"`}},
			{"the tenant of the message is another", []string{"Bearer " + iss.UserToken("other")}, told{code: connect.CodePermissionDenied, reason: "forbidden", challenge: `Bearer realm="PERS", error="insufficient_scope"`}},
			{"nobody can tell", []string{"Bearer " + stranger}, told{code: connect.CodeUnavailable, reason: "unavailable", retry: time.Second}},
		} {
			t.Run(protocol+"/"+c.name, func(t *testing.T) {
				before := s.calls.Load()
				r := request(&pb.CreateRequest{TenantId: "acme", Item: "tea"})
				r.Header()["Authorization"] = c.authorization
				response, err := s.client(protocol).Create(limited(t), r)
				if c.want == (told{}) {
					require.NoError(t, err)
					assert.Equal(t, "acme", response.Msg.GetTenantId())
					assert.Equal(t, before+1, s.calls.Load())
					return
				}
				got := toldBy(t, err)
				got.retry = min(got.retry, time.Second)
				assert.Equal(t, c.want, got)
				assert.Equal(t, before, s.calls.Load(), "the handler was reached")
				assert.NotContains(t, fmt.Sprint(err), "eyJ")
			})
		}
	}
}

// untouched is a body that must not be read.
type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

// A call is refused before its body is read, and so before it is decompressed.
func TestRefusedBeforeTheBody(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	for contentType, compression := range map[string]string{
		"application/proto":         "Content-Encoding",
		"application/json":          "Content-Encoding",
		"application/connect+proto": "Connect-Content-Encoding",
		"application/grpc":          "Grpc-Encoding",
		"application/grpc-web":      "Grpc-Encoding",
	} {
		method := "Create"
		if contentType == "application/connect+proto" {
			method = "Watch"
		}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/shop.v1.Orders/"+method, untouched{t})
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Header.Set("Content-Type", contentType)
		r.Header.Set(compression, "gzip")
		r.Header.Set("Authorization", "Bearer "+iss.ForgedToken())
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		answer := w.Result()
		body, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		if answer.Header.Get("Connect-Content-Encoding") == "gzip" {
			packed, err := gzip.NewReader(bytes.NewReader(body[5:])) // behind the prefix of the message
			require.NoError(t, err)
			body, err = io.ReadAll(packed)
			require.NoError(t, err)
		}
		assert.Contains(t, fmt.Sprint(answer.Header, answer.Trailer, string(body)), "invalid_token", contentType)
		assert.Equal(t, "no-store", answer.Header.Get("Cache-Control"), contentType)
	}
	assert.Zero(t, s.calls.Load())
}

// Of Connect's own requests, the HTTP status says the same.
func TestStatusOfConnect(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	for token, status := range map[string]int{"": 401, iss.UserToken("acme"): 200, iss.UserToken("other"): 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/shop.v1.Orders/Create", bytes.NewBufferString(`{"tenantId":"acme"}`))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := s.Client().Do(r)
		require.NoError(t, err)
		_ = answer.Body.Close()
		assert.Equal(t, status, answer.StatusCode)
		assert.Equal(t, status != 200, answer.Header.Get("Www-Authenticate") != "")
	}
}

// Reading without effects is a GET of Connect, with the same guard.
func TestConnectGet(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	client := pb.NewOrdersClient(s.Client(), s.URL, connect.WithHTTPGet())
	response, err := client.Get(limited(t), request(&pb.GetRequest{Id: "1"}, "Authorization", "Bearer "+iss.UserToken("acme")))
	require.NoError(t, err)
	assert.Equal(t, "tea", response.Msg.GetId())
	_, err = client.Get(limited(t), request(&pb.GetRequest{Id: "1"}))
	assert.Equal(t, "no_token", toldBy(t, err).reason)
}

// Proofs are for the method and the path that the client used.
func TestProofs(t *testing.T) {
	iss := newIssuer(t)
	key := iss.DPoPClient("ES256")
	token := iss.BoundToken(key, map[string]any{"tenantId": "acme"})
	for _, secret := range [][]byte{nil, make([]byte, 32)} {
		s := serve(t, func(origin string) *persauth.Verifier {
			return iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP = persauth.DPoP{Origin: origin, NonceSecret: secret} })
		})
		address := s.URL + "/shop.v1.Orders/"
		for protocol := range protocols {
			create := func(proof string, more ...string) (*connect.Response[pb.Order], error) {
				pairs := append([]string{"Authorization", "DPoP " + token, "DPoP", proof}, more...)
				return s.client(protocol).Create(limited(t), request(&pb.CreateRequest{TenantId: "acme"}, pairs...))
			}
			var with []persauthtest.ProofChange
			if secret != nil {
				_, err := create(key.Proof("POST", address+"Create", token))
				got := toldBy(t, err)
				assert.Contains(t, got.challenge, "use_dpop_nonce", protocol)
				require.NotEmpty(t, got.nonce, protocol)
				with = append(with, persauthtest.ProofClaim("nonce", got.nonce))
			}
			used := key.Proof("POST", address+"Create", token, with...)
			response, err := create(used)
			require.NoError(t, err, protocol)
			assert.Equal(t, secret != nil, response.Header().Get("DPoP-Nonce") != "", protocol)
			for name, err := range map[string]func() error{
				"replay":         func() error { _, err := create(used); return err },
				"GET":            func() error { _, err := create(key.Proof("GET", address+"Create", token, with...)); return err },
				"another method": func() error { _, err := create(key.Proof("POST", address+"Get", token, with...)); return err },
				"two": func() error {
					_, err := create(key.Proof("POST", address+"Create", token, with...), "DPoP", used)
					return err
				},
			} {
				assert.Contains(t, toldBy(t, err()).challenge, `error="invalid_dpop_proof"`, protocol+" "+name)
			}
		}
		assert.EqualValues(t, len(protocols), s.calls.Load())
		client := pb.NewOrdersClient(s.Client(), s.URL, connect.WithHTTPGet())
		if secret == nil {
			_, err := client.Get(limited(t), request(&pb.GetRequest{}, "Authorization", "DPoP "+token, "DPoP", key.Proof("GET", address+"Get", token)))
			require.NoError(t, err)
			_, err = client.Get(limited(t), request(&pb.GetRequest{}, "Authorization", "DPoP "+token, "DPoP", key.Proof("POST", address+"Get", token)))
			assert.Equal(t, "proof", toldBy(t, err).reason)
		}
	}
}

// A handler that asks about rights itself says so with the error that it gets; its
// other errors stay as they are.
func TestErrorsOfHandlers(t *testing.T) {
	iss := newIssuer(t)
	s := serve(t, by(iss.Verifier()))
	for name, c := range map[string]struct {
		err  error
		code connect.Code
	}{
		"forbidden":   {fmt.Errorf("the till: %w", persauth.ErrForbidden), connect.CodePermissionDenied},
		"unavailable": {fmt.Errorf("the till: %w", persauth.ErrUnavailable), connect.CodeUnavailable},
		"its own":     {connect.NewError(connect.CodeNotFound, errors.New("no such till")), connect.CodeNotFound},
		"any":         {errors.New("broken"), connect.CodeUnknown},
	} {
		s.create = func() error { return c.err }
		_, err := s.client("grpc").Create(limited(t), request(&pb.CreateRequest{TenantId: "acme"}, "Authorization", "Bearer "+iss.UserToken("acme")))
		assert.Equal(t, c.code, connect.CodeOf(err), name)
	}
}

// The caller's own context is told in Connect's words, and as nothing else.
func TestEndedContexts(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	pers.Fault(persauthtest.EndpointAll, persauthtest.Hanging)
	s := serve(t, by(pers.Verifier()))
	r := request(&pb.CreateRequest{TenantId: "acme"}, "Authorization", "Bearer "+iss.UserToken("acme"))
	short, cancel := context.WithTimeout(limited(t), 100*time.Millisecond)
	defer cancel()
	_, err := s.client("connect").Create(short, r)
	assert.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err))

	// And by the server, which knows the client's deadline.
	raw, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/shop.v1.Orders/Create", bytes.NewBufferString(`{}`))
	require.NoError(t, err)
	raw.Header = http.Header{"Content-Type": {"application/json"}, "Connect-Timeout-Ms": {"100"}, "Authorization": r.Header()["Authorization"]}
	answer, err := s.Client().Do(raw)
	require.NoError(t, err)
	defer answer.Body.Close()
	assert.Equal(t, http.StatusGatewayTimeout, answer.StatusCode)
	assert.Empty(t, answer.Header.Get("Retry-After"))

	gone, cancel := context.WithCancel(limited(t))
	time.AfterFunc(100*time.Millisecond, cancel)
	_, err = s.client("grpc").Create(gone, r)
	assert.Equal(t, connect.CodeCanceled, connect.CodeOf(err))
	assert.Zero(t, s.calls.Load())
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	v := newIssuer(t).Verifier()
	for name, rules := range map[string]persauthconnect.Rules{
		"none": {}, "an empty one": {"shop.v1.Orders": {}}, "a path": {"/shop.v1.Orders/": persauthconnect.Authenticated()},
	} {
		_, err := persauthconnect.New(v, rules)
		assert.Error(t, err, name)
	}
	_, err := persauthconnect.New(nil, rules())
	assert.Error(t, err)
}

func TestCheck(t *testing.T) {
	v := newIssuer(t).Verifier()
	guard, err := persauthconnect.New(v, rules())
	require.NoError(t, err)
	require.NoError(t, guard.Check(pb.OrdersName))
	guard, err = persauthconnect.New(v, persauthconnect.Rules{"/shop.v1.Orders/Gat": persauthconnect.Public()})
	require.NoError(t, err)
	err = guard.Check(pb.OrdersName, "shop.v1.Nothing")
	for _, name := range []string{"/shop.v1.Orders/Get:", "/shop.v1.Orders/Gat", "shop.v1.Nothing"} {
		assert.ErrorContains(t, err, name)
	}
}

// What no rule names is refused, also of a service that has rules.
func TestNoRule(t *testing.T) {
	iss := newIssuer(t)
	guard, err := persauthconnect.New(iss.Verifier(), persauthconnect.Rules{"/shop.v1.Orders/Get": persauthconnect.Public()})
	require.NoError(t, err)
	all := new(orders)
	mux := http.NewServeMux()
	mux.Handle(persauthconnect.Handler[pb.OrdersHandler](guard, pb.NewOrdersHandler, all))
	server := httptest.NewServer(mux)
	defer server.Close()
	client := pb.NewOrdersClient(server.Client(), server.URL)
	_, err = client.Get(limited(t), request(&pb.GetRequest{}))
	require.NoError(t, err, "what is public needs no token")
	_, err = client.Create(limited(t), request(&pb.CreateRequest{}, "Authorization", "Bearer "+iss.UserToken("acme")))
	assert.Equal(t, connect.CodePermissionDenied, connect.CodeOf(err))
	_, err = client.Create(limited(t), request(&pb.CreateRequest{}))
	assert.Equal(t, connect.CodeUnauthenticated, connect.CodeOf(err))
	assert.EqualValues(t, 1, all.calls.Load())
}

// Strangers at the door cost PERS a bounded number of calls, and callers who are
// known go on.
func TestFlood(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss, persauthtest.InMemory())
	v := pers.Verifier(func(cfg *persauth.Config) { cfg.UnknownKeyCallsPerHour = 100 })
	require.NoError(t, v.Warm(t.Context()))
	s := serve(t, by(v))
	good := iss.UserToken("acme")
	create := func(token string) error {
		_, err := s.client("connect").Create(limited(t), request(&pb.CreateRequest{TenantId: "acme"}, "Authorization", "Bearer "+token))
		return err
	}
	var strangers sync.WaitGroup
	for range 300 {
		token := iss.UnknownKeyToken()
		strangers.Go(func() {
			assert.Contains(t, []connect.Code{connect.CodeUnauthenticated, connect.CodeUnavailable}, connect.CodeOf(create(token)))
		})
	}
	for range 50 {
		require.NoError(t, create(good))
	}
	strangers.Wait()
	assert.Less(t, pers.Count(persauthtest.EndpointVerify), 60)
	assert.EqualValues(t, 50, s.calls.Load())
}
