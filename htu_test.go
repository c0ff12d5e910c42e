package persauth_test

// Addresses: which are the same, and which a server may take for two.

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The address of a request is the configured one and the path that the client
// sent, whatever the Host header says and whoever rewrote the path since.
func TestRequestAddress(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	client := iss.DPoPClient("EdDSA")
	token := iss.BoundToken(client, map[string]any{})
	origin := func(origin string) persauth.DPoP { return persauth.DPoP{Origin: origin} }
	trusting := persauth.DPoP{TrustForwarded: true}
	for _, c := range []struct {
		name    string
		dpop    persauth.DPoP
		target  string
		htu     string
		ok      bool
		headers []string
	}{
		{"the same", origin("https://h"), "/orders", "https://h/orders", true, nil},
		{"another path", origin("https://h"), "/orders", "https://h/order", false, nil},
		{"another host", origin("https://h"), "/orders", "https://g/orders", false, nil},
		{"another scheme", origin("https://h"), "/orders", "http://h/orders", false, nil},
		{"another port", origin("https://h"), "/orders", "https://h:8443/orders", false, nil},
		{"the usual port", origin("https://h:443/"), "/orders", "https://H/orders", true, nil},
		{"a query on either side", origin("https://h"), "/orders?page=2", "https://h/orders?page=3", true, nil},
		{"the root", origin("https://h"), "/", "https://h", true, nil},
		{"case of the path", origin("https://h"), "/Orders", "https://h/orders", false, nil},
		{"an escaped slash for a slash", origin("https://h"), "/a/b", "https://h/a%2Fb", false, nil},
		{"a slash for an escaped slash", origin("https://h"), "/a%2fb", "https://h/a/b", false, nil},
		{"an escaped slash", origin("https://h"), "/a%2fb", "https://h/a%2Fb", true, nil},
		{"an escaped slash beside a byte that needs an escape", origin("https://h"), `/a%2fb"`, "https://h/a/b%22", false, nil},
		{"an escape that need not be", origin("https://h"), "/%61", "https://h/a", true, nil},
		{"two slashes", origin("https://h"), "//a", "https://h/a", false, nil},
		{"two slashes, both", origin("https://h"), "//a", "https://h//a", true, nil},
		{"dot segments in the proof", origin("https://h"), "/b", "https://h/a/../b", true, nil},
		{"dot segments in the request", origin("https://h"), "/a/../b", "https://h/b", false, nil},
		{"dot segments in disguise", origin("https://h"), "/a/%2e%2e/b", "https://h/b", false, nil},
		{"a path that the proxy takes away", origin("https://h/api/"), "/orders", "https://h/api/orders", true, nil},
		{"a path that the proxy takes away, missing", origin("https://h/api"), "/orders", "https://h/orders", false, nil},
		{"what follows the host counts", origin("https://h"), "/", "https://h.evil/", false, nil},
		{"no address", persauth.DPoP{}, "/orders", "https://h/orders", false, nil},
		{"no address, and the Host header", persauth.DPoP{}, "/orders", "http://example.com/orders", false, nil},
		{"the Host header", origin("https://h"), "/orders", "http://example.com/orders", false, nil},
		{"forwarding headers that are not trusted", origin("https://h"), "/orders", "https://g/orders", false,
			[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g", "Forwarded", "proto=https;host=g"}},

		{"trusted", trusting, "/orders", "https://g/orders", true, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g"}},
		{"trusted, with a port", trusting, "/orders", "https://g:8443/orders", true, []string{"X-Forwarded-Proto", "HTTPS", "X-Forwarded-Host", "G:8443"}},
		{"trusted, another host", trusting, "/orders", "https://h/orders", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g"}},
		{"trusted, missing", trusting, "/orders", "http://example.com/orders", false, nil},
		{"trusted, no scheme", trusting, "/orders", "https://g/orders", false, []string{"X-Forwarded-Host", "g"}},
		{"trusted, no host", trusting, "/orders", "https://g/orders", false, []string{"X-Forwarded-Proto", "https"}},
		{"trusted, two hosts", trusting, "/orders", "https://g/orders", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g", "X-Forwarded-Host", "h"}},
		{"trusted, a list", trusting, "/orders", "https://g/orders", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g, h"}},
		{"trusted, a host that eats the path", trusting, "/orders", "https://g/", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g?"}},
		{"trusted, a host with a path", trusting, "/orders", "https://g/x/orders", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "g/x"}},
		{"trusted, a host with a user", trusting, "/orders", "https://g/orders", false, []string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "u@g"}},
		{"trusted, another scheme", trusting, "/orders", "ftp://g/orders", false, []string{"X-Forwarded-Proto", "ftp", "X-Forwarded-Host", "g"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP = c.dpop })
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			u, err := url.ParseRequestURI(c.target)
			require.NoError(t, err)
			r.RequestURI, r.URL = c.target, u
			for i := 0; i < len(c.headers); i += 2 {
				r.Header.Add(c.headers[i], c.headers[i+1])
			}
			again := r.Clone(t.Context())
			client.Authorize(r, token, persauthtest.ProofClaim("htu", c.htu))
			_, err = v.VerifyRequest(r)
			if c.ok {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, persauth.ErrProof)
			}

			// A request that was made by hand has no request line.
			again.RequestURI = ""
			client.Authorize(again, token, persauthtest.ProofClaim("htu", c.htu))
			_, err = v.VerifyRequest(again)
			assert.Equal(t, c.ok, err == nil, "without the request line")

			// The path as the client sent it counts, and not what became of it.
			if c.ok {
				r.URL.Path, r.URL.RawPath = "/rewritten", ""
				client.Authorize(r, token, persauthtest.ProofClaim("htu", c.htu))
				_, err = v.VerifyRequest(r)
				require.NoError(t, err, "behind a handler that changed the path")
			}
		})
	}
}
