package persauthtest_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A client of each kind is taken with its own key, and not with another's.
func TestDPoPClient(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.DPoP.Origin = "https://shop.example" })
	stranger := iss.DPoPClient("ES256")
	for _, algorithm := range []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			client := iss.DPoPClient(algorithm)
			token := iss.BoundToken(client, map[string]any{"tenantId": "acme"})
			r := httptest.NewRequest(http.MethodGet, "https://shop.example/orders?page=2", nil)
			client.Authorize(r, token)
			claims, err := v.VerifyRequest(r)
			require.NoError(t, err)
			assert.Equal(t, "acme", claims.TenantID())
			assert.Equal(t, client.Thumbprint(), claims.Confirmation())

			// The thumbprint is the one that the library under test computes.
			infos, err := persauth.InspectKeys([]byte(`{"keys":[` + string(client.JWK()) + `]}`))
			require.NoError(t, err)
			assert.Equal(t, infos[0].Thumbprint, client.Thumbprint())

			stranger.Authorize(r, token)
			_, err = v.VerifyRequest(r)
			require.ErrorIs(t, err, persauth.ErrProof)
		})
	}
}

func TestProofChanges(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	client := iss.DPoPClient("EdDSA")
	parts := strings.Split(client.Proof("GET", "https://shop.example/", "token",
		persauthtest.ProofHeader("typ", nil), persauthtest.ProofClaim("nonce", "n"), persauthtest.ProofClaim("ath", nil)), ".")
	var header, claims map[string]any
	for i, into := range []any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, into))
	}
	assert.NotContains(t, header, "typ")
	assert.Equal(t, "EdDSA", header["alg"])
	assert.NotContains(t, header["jwk"], "d")
	assert.Equal(t, "n", claims["nonce"])
	assert.Equal(t, "GET", claims["htm"])
	assert.NotContains(t, claims, "ath")
	assert.NotEmpty(t, claims["jti"])
}

// A change reaches into the key, too.
func TestProofWithAnotherKey(t *testing.T) {
	client := persauthtest.NewIssuer(t).DPoPClient("ES256")
	proof := client.Proof("GET", "https://api.example.com", "", func(header, _ map[string]any) {
		header["jwk"].(map[string]any)["d"] = "private"
	})
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(proof, ".")[0])
	require.NoError(t, err)
	var header struct {
		Key map[string]any `json:"jwk"`
	}
	require.NoError(t, json.Unmarshal(raw, &header))
	assert.Equal(t, "private", header.Key["d"])
	assert.Equal(t, "EC", header.Key["kty"])
}
