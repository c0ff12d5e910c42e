package dpop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth/internal/dpop"
	"github.com/stretchr/testify/require"
)

// A proof of any bytes that is signed well is accepted only if another reading
// of it finds all that the RFC asks for.
func FuzzProof(f *testing.F) {
	const now = 1_900_000_000
	key := newSigner("fuzz")
	jwk := key.jwk
	checker := newChecker("https://shop.example", func() time.Time { return time.Unix(now, 0) })
	const token = "token"
	hash := sha256.Sum256([]byte(token))
	ath := base64.RawURLEncoding.EncodeToString(hash[:])

	header := `{"typ":"dpop+jwt","alg":"EdDSA","jwk":` + jwk + `}`
	claims := `{"jti":"1","htm":"GET","htu":"https://shop.example/orders","iat":1900000000,"ath":"` + ath + `"}`
	f.Add(header, claims, true)
	f.Add(header, claims, false)
	f.Add(strings.Replace(header, "EdDSA", "Ed25519", 1), strings.Replace(claims, "/orders", "/./orders?x", 1), true)
	f.Add(strings.Replace(header, `"kty"`, `"d":"AA","kty"`, 1), claims, true)
	f.Add(header, strings.Replace(claims, "1900000000", "1.9e9", 1), true)
	f.Add(header, strings.Replace(claims, `"htm"`, `"\u0068tm"`, 1), true)
	f.Add(`{}`, `{}`, true)
	f.Fuzz(func(t *testing.T, header, claims string, signed bool) {
		proof := key.sign(header, claims)
		if !signed {
			proof = header + "." + claims
		}
		err := checker.Inspect(dpop.Presented{Proofs: []string{proof}, Method: "GET", Target: shopOrders, Token: token, Thumbprint: key.thumbprint})
		if err != nil {
			var refused *dpop.Error
			require.ErrorAs(t, err, &refused)
			return
		}
		require.True(t, signed)
		var h map[string]any
		require.NoError(t, json.Unmarshal([]byte(header), &h))
		require.Equal(t, "dpop+jwt", strings.TrimPrefix(strings.ToLower(h["typ"].(string)), "application/"))
		require.Contains(t, []string{"EdDSA", "Ed25519"}, h["alg"])
		inside := h["jwk"].(map[string]any)
		require.Equal(t, key.x, inside["x"])
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			require.Nil(t, inside[secret])
		}
		var c map[string]any
		require.NoError(t, json.Unmarshal([]byte(claims), &c))
		require.Equal(t, "GET", c["htm"])
		htu, ok := dpop.NormalURL(c["htu"].(string))
		require.True(t, ok)
		require.Equal(t, shopOrders, htu)
		require.Equal(t, ath, c["ath"])
		require.NotEmpty(t, c["jti"])
		require.InDelta(t, now-15, c["iat"], 45)
	})
}
