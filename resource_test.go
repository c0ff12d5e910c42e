package persauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/internal/pages"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResourceMetadata(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	described := func(change func(*persauth.Config)) func(*persauth.Config) {
		return func(cfg *persauth.Config) {
			cfg.Resource.Identifier = "https://api.example.com/shop"
			change(cfg)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*persauth.Config)
		path   string
		want   string // JSON
	}{
		{"the address alone", func(cfg *persauth.Config) { cfg.Resource.Identifier = "https://api.example.com" },
			"/.well-known/oauth-protected-resource", `{"resource": "https://api.example.com", "bearer_methods_supported": ["header"]}`},
		{"with a path", described(func(*persauth.Config) {}),
			"/.well-known/oauth-protected-resource/shop", `{"resource": "https://api.example.com/shop", "bearer_methods_supported": ["header"]}`},
		{"the issuer hands out tokens", described(func(cfg *persauth.Config) { cfg.Issuer = "https://login.example.com" }),
			"/.well-known/oauth-protected-resource/shop", `{"resource": "https://api.example.com/shop", "authorization_servers": ["https://login.example.com"], "bearer_methods_supported": ["header"]}`},
		{"all", described(func(cfg *persauth.Config) {
			cfg.Issuer = "https://login.example.com"
			cfg.Resource.AuthorizationServers = []string{"https://other.example.com/a"}
			cfg.Resource.Scopes, cfg.Resource.Name, cfg.Resource.Documentation = []string{"orders"}, "Der Läden", "https://docs.example.com/"
			cfg.DPoP = persauth.DPoP{Mode: persauth.DPoPRequired, Origin: "https://api.example.com", Algorithms: []string{"ES256", "EdDSA"}}
		}), "/.well-known/oauth-protected-resource/shop", `{"resource": "https://api.example.com/shop", "authorization_servers": ["https://other.example.com/a"],
			"scopes_supported": ["orders"], "bearer_methods_supported": ["header"], "resource_name": "Der Läden", "resource_documentation": "https://docs.example.com/",
			"dpop_signing_alg_values_supported": ["ES256", "EdDSA"], "dpop_bound_access_tokens_required": true}`},
		{"an issuer that is no address, and a cookie", described(func(cfg *persauth.Config) {
			cfg.Issuer = "pers"
			cfg.TokenSources = []persauth.TokenSource{persauth.TokenCookie("session")}
		}), "/.well-known/oauth-protected-resource/shop", `{"resource": "https://api.example.com/shop", "bearer_methods_supported": []}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := iss.Verifier(c.change)
			mux := http.NewServeMux()
			mux.Handle(v.ResourceMetadata())
			mux.Handle("/", v.Middleware(callerOf))
			answer := serveRequest(mux, newRequest(http.MethodGet, c.path))
			require.Equal(t, http.StatusOK, answer.StatusCode)
			body, err := io.ReadAll(answer.Body)
			require.NoError(t, err)
			assert.JSONEq(t, c.want, string(body))
			assert.Equal(t, "application/json", answer.Header.Get("Content-Type"))
			assert.Equal(t, "*", answer.Header.Get("Access-Control-Allow-Origin"))

			// Each challenge says where it is (RFC 9728 §5.1).
			refused := serveRequest(mux, newRequest(http.MethodGet, "/orders", "Authorization", "Bearer "+iss.ForgedToken()))
			require.Equal(t, http.StatusUnauthorized, refused.StatusCode)
			require.NotEmpty(t, refused.Header.Values("WWW-Authenticate"))
			for _, challenge := range refused.Header.Values("WWW-Authenticate") {
				assert.Contains(t, challenge, `, resource_metadata="https://api.example.com`+c.path+`"`)
			}
		})
	}
}

// Where the service is not described, there is no document and no word of it.
func TestNoResourceMetadata(t *testing.T) {
	v := persauthtest.NewIssuer(t).Verifier()
	mux := http.NewServeMux()
	mux.Handle(v.ResourceMetadata())
	assert.Equal(t, http.StatusNotFound, serveRequest(mux, newRequest(http.MethodGet, "/.well-known/oauth-protected-resource")).StatusCode)
	assert.Equal(t, []string{`Bearer realm="PERS"`}, v.Refusal(persauth.ErrNoToken, nil).Challenges)
}

func TestResourceIsChecked(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for name, r := range map[string]persauth.ProtectedResource{
		"no scheme":             {Identifier: "api.example.com"},
		"http":                  {Identifier: "http://api.example.com"},
		"a query":               {Identifier: "https://api.example.com?a=b"},
		"a fragment":            {Identifier: "https://api.example.com#a"},
		"an empty fragment":     {Identifier: "https://api.example.com#"},
		"a user":                {Identifier: "https://a:b@api.example.com"},
		"a quote":               {Identifier: `https://api.example.com/"`},
		"a line break":          {Identifier: "https://api.example.com/\r\nX: y"},
		"a wildcard of a route": {Identifier: "https://api.example.com/{x}"},
		"no identifier":         {Name: "shop"},
		"a server over http":    {Identifier: "https://api.example.com", AuthorizationServers: []string{"http://login.example.com"}},
		"an empty server":       {Identifier: "https://api.example.com", AuthorizationServers: []string{""}},
		"a page that is none":   {Identifier: "https://api.example.com", Documentation: "javascript:alert(1)"},
		"text that is not text": {Identifier: "https://api.example.com", Name: "\xff"},
	} {
		_, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(iss.JWKS()), Resource: r})
		assert.ErrorContains(t, err, "Resource", name)
	}
	for _, identifier := range []string{"http://localhost:8080", "http://127.0.0.1:8080/a", "http://[::1]/", "https://api.example.com:8443/a/b/"} {
		v, err := persauth.New(persauth.Config{Keys: persauth.StaticKeys(iss.JWKS()), Resource: persauth.ProtectedResource{Identifier: identifier}})
		require.NoError(t, err, identifier)
		v.Close()
	}
}

// A client that knows the address of the service alone finds out where to get a
// token.
func ExampleVerifier_ResourceMetadata() {
	verifier, err := persauth.New(persauth.Config{
		Keys:     persauth.FileKeys("testdata/jwks.json"),
		Resource: persauth.ProtectedResource{Identifier: "https://api.example.com", AuthorizationServers: []string{"https://login.example.com"}},
	})
	if err != nil {
		panic(err)
	}
	defer verifier.Close()
	mux := http.NewServeMux()
	mux.Handle(verifier.ResourceMetadata())
	mux.Handle("/orders", verifier.Middleware(http.NotFoundHandler()))
	server := httptest.NewServer(mux)
	defer server.Close()

	refused, err := http.Get(server.URL + "/orders")
	if err != nil {
		panic(err)
	}
	_ = refused.Body.Close()
	fmt.Println(refused.Header.Get("WWW-Authenticate"))
	answer, err := http.Get(server.URL + "/.well-known/oauth-protected-resource")
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	var metadata struct {
		Servers []string `json:"authorization_servers"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&metadata); err != nil {
		panic(err)
	}
	fmt.Println(metadata.Servers)
	// Output:
	// Bearer realm="PERS", resource_metadata="https://api.example.com/.well-known/oauth-protected-resource"
	// [https://login.example.com]
}

func TestResourceMetadataPage(t *testing.T) {
	pages.CheckCode(t, "docs/resource-metadata.md", "resource_test.go")
}
