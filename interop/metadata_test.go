package interop_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client of the npm package "oauth4webapi" finds the metadata of a service, believes
// it, and reads the challenges.
func TestNpmResourceMetadata(t *testing.T) {
	folder, node := foreign.Node(t, ".")
	iss := persauthtest.NewIssuer(t)
	server := httptest.NewUnstartedServer(nil)
	service := "http://" + server.Listener.Addr().String() + "/shop"
	v := iss.Verifier(func(cfg *persauth.Config) {
		cfg.Resource = persauth.ProtectedResource{Identifier: service, AuthorizationServers: []string{"https://login.example.com"}, Name: "Shop"}
		cfg.DPoP.Origin = service
	})
	mux := http.NewServeMux()
	mux.Handle(v.ResourceMetadata())
	mux.Handle("/shop/", v.Middleware(http.NotFoundHandler()))
	server.Config.Handler = mux
	server.Start()
	defer server.Close()

	out, err := foreign.Run(t, folder, node, "metadata.mjs", service)
	require.NoError(t, err, out)
	var got struct {
		Metadata struct {
			Resource string
			Servers  []string `json:"authorization_servers"`
			Name     string   `json:"resource_name"`
		}
		Challenges []struct {
			Scheme     string
			Parameters map[string]string
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &got), out)
	assert.Equal(t, service, got.Metadata.Resource)
	assert.Equal(t, []string{"https://login.example.com"}, got.Metadata.Servers)
	assert.Equal(t, "Shop", got.Metadata.Name)
	require.Len(t, got.Challenges, 2, out)
	document := server.URL + "/.well-known/oauth-protected-resource/shop"
	for i, scheme := range []string{"bearer", "dpop"} {
		assert.Equal(t, scheme, got.Challenges[i].Scheme)
		assert.Equal(t, document, got.Challenges[i].Parameters["resource_metadata"])
	}
	assert.Equal(t, "invalid_token", got.Challenges[0].Parameters["error"])
}
