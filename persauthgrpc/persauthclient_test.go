package persauthgrpc_test

// The client's half with the token source of persauthclient: one session for HTTP
// and gRPC.

import (
	"testing"
	"time"

	"github.com/persauth/persauth/persauthclient"
	pb "github.com/persauth/persauth/persauthgrpc/internal/orderspb"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTokenSourceOfPersauthclient(t *testing.T) {
	iss := newIssuer(t)
	pers := persauthtest.NewServer(t, iss)
	source, err := persauthclient.NewTokenSource(persauthclient.Config{BindTo: "ES256",
		Client: &persauthclient.Client{ProjectKey: pers.ProjectKey(), BaseURL: pers.URL(), HTTPClient: pers.Client(), Now: iss.Clock().Now}})
	require.NoError(t, err)
	t.Cleanup(source.Close)
	require.NoError(t, source.SignIn(t.Context(), persauthclient.Request{AuthToken: "x", Tenant: "acme"}))
	for name, secret := range map[string][]byte{"no nonces": nil, "nonces": make([]byte, 32)} {
		t.Run(name, func(t *testing.T) {
			s, origin := bound(t, iss, secret)
			client := pb.NewOrdersClient(s.dial(t, credentialsFor(t, source, origin).DialOptions()...))
			for range 3 {
				order, err := client.Create(limited(t), &pb.CreateRequest{TenantId: "acme"})
				require.NoError(t, err)
				assert.Equal(t, "acme", order.GetTenantId())
				iss.Clock().Advance(16 * time.Minute)
			}
		})
	}
	assert.Positive(t, pers.Count(persauthtest.EndpointRefresh))
	assert.Equal(t, 1, pers.Count(persauthtest.EndpointToken))
}
