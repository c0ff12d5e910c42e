package sidecar

// The whole way: persauthclient gets tokens from PERS, binds them to a key, and
// sends them with proofs through a real nginx and the sidecar, and straight to a
// service with the middleware. All of it over sockets, by one clock.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// directService is a service of its own that takes bound tokens only.
func directService(t *testing.T, b *behind) string {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	v := b.pers.Verifier(func(cfg *persauth.Config) {
		cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPRequired, Origin: "http://" + s.Listener.Addr().String(), NonceSecret: make([]byte, 32)}
	})
	s.Config.Handler = v.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		claims, _ := persauth.FromContext(r.Context())
		fmt.Fprint(w, claims.TenantID())
	}))
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

// For an hour of the clock there is a request every ten seconds. Tokens live for 15
// minutes, PERS takes a new key three times and lets the old ones go, and fails in
// between, in another way each time. Every request is answered with 200.
func TestClientForAnHour(t *testing.T) {
	b := newBehind(t, "nginx")
	clock := b.iss.Clock()
	direct := directService(t, b)
	source, err := persauthclient.NewTokenSource(persauthclient.Config{
		Client:   &persauthclient.Client{ProjectKey: b.pers.ProjectKey(), BaseURL: b.pers.URL(), HTTPClient: b.pers.Client(), Now: clock.Now},
		BindTo:   "ES256",
		Verifier: b.pers.Verifier(), Tenant: tenant, AuthType: persauth.AuthUser,
	})
	require.NoError(t, err)
	defer source.Close()
	require.NoError(t, source.SignIn(t.Context(), persauthclient.Request{AuthToken: "a provider's"}))

	// What the public name stands for: TLS ends in front of nginx.
	base := &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(b.proxy, "http://"))
	}}
	defer base.CloseIdleConnections()
	transport, err := persauthclient.NewTransport(persauthclient.TransportConfig{Source: source, Base: base,
		Origins: []string{"https://" + publicHost, direct}})
	require.NoError(t, err)
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	send := func(url string) (int, *seen) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		response, err := client.Do(r)
		require.NoError(t, err)
		response, got := read(t, response)
		return response.StatusCode, got
	}

	faults := map[int]persauthtest.Fault{ // by the minute
		3: persauthtest.Down, 11: persauthtest.Down, 22: persauthtest.Status(500), 23: persauthtest.TooManyRequests(20 * time.Second),
		34: persauthtest.CutOff, 45: persauthtest.Garbage, 46: persauthtest.Down, 56: persauthtest.Status(503)}
	tokens := map[string]bool{}
	for step := range 360 {
		if minute := step / 6; step%6 == 0 {
			switch fault, fails := faults[minute]; {
			case fails:
				b.pers.Fault(persauthtest.EndpointAll, fault)
			default:
				b.pers.Heal()
			}
			switch minute {
			case 8, 25, 41:
				b.iss.Rotate()
			case 24, 40, 57: // no token of theirs lives any more
				b.iss.Retire(b.iss.Keys()[0])
			}
		}
		status, got := send("https://" + publicHost + "/me?step=" + fmt.Sprint(step))
		require.Equal(t, http.StatusOK, status, "step %d, through nginx: %+v", step, source.Status())
		require.NotNil(t, got)
		assert.Equal(t, []string{tenant}, got.Header.Values(headerTenant))
		tokens[got.Header.Get("Authorization")] = true
		status, _ = send(direct + "/orders")
		require.Equal(t, http.StatusOK, status, "step %d, direct: %+v", step, source.Status())
		clock.Advance(10 * time.Second)
	}
	assert.GreaterOrEqual(t, len(tokens), 4, "tokens were refreshed")
	assert.Equal(t, 1, b.pers.Count(persauthtest.EndpointToken), "and nobody had to sign in again")
	assert.Len(t, b.iss.Keys(), 1, "all keys but the last have gone")
}
