package persauth_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// Whatever the header says, claims come only of the scheme, spaces, and the one
// good token; never where there is a second header; and no error repeats it.
func FuzzAuthorization(f *testing.F) {
	v := offline(f)
	good := exampleToken(3)
	for _, value := range []string{
		"", "Bearer", "Bearer ", "Bearer " + good, "bEARER  " + good, "DPoP " + good, "Basic eDp5", good,
		"Bearer " + good + ", Bearer " + good, "Bearer\t" + good, "Bearer " + good + " ", " Bearer " + good,
	} {
		f.Add(value, "", false)
		f.Add(value, "Bearer "+good, true)
	}
	f.Fuzz(func(t *testing.T, value, second string, two bool) {
		r := newRequest(http.MethodGet, "/")
		r.Header["Authorization"] = []string{value}
		if two {
			r.Header["Authorization"] = append(r.Header["Authorization"], second)
		}
		claims, err := v.VerifyRequest(r)
		scheme, token, _ := strings.Cut(value, " ")
		want := !two && strings.EqualFold(scheme, "Bearer") && strings.TrimLeft(token, " ") == good
		require.Equal(t, want, err == nil)
		require.Equal(t, err == nil, claims != nil)
		if err != nil {
			require.NotEqual(t, "internal", persauth.Code(err))
			require.NotContains(t, err.Error(), good)
		}
	})
}

// A proof of any bytes that is signed well is accepted only if another reading
// of it finds all that the RFC asks for.
func FuzzProof(f *testing.F) {
	const now = 1_900_000_000
	key, err := persauthtest.NewKey("", "EdDSA", "fuzz")
	require.NoError(f, err)
	var members map[string]string
	require.NoError(f, json.Unmarshal(key.JWK(), &members))
	jwk := `{"kty":"OKP","crv":"Ed25519","x":"` + members["x"] + `"}`
	infos, err := persauth.InspectKeys([]byte(`{"keys":[` + jwk + `]}`))
	require.NoError(f, err)
	v, err := persauth.New(persauth.Config{
		Keys: persauth.StaticKeys(fixtureKeys),
		DPoP: persauth.DPoP{Origin: "https://shop.example"},
		Now:  func() time.Time { return time.Unix(now, 0) },
	})
	require.NoError(f, err)
	f.Cleanup(v.Close)
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
		proof := key.Sign([]byte(header), []byte(claims))
		if !signed {
			proof = header + "." + claims
		}
		err := v.VerifyProof(proof, "GET", shopOrders, token, infos[0].Thumbprint)
		if err != nil {
			require.ErrorIs(t, err, persauth.ErrProof)
			return
		}
		require.True(t, signed)
		var h map[string]any
		require.NoError(t, json.Unmarshal([]byte(header), &h))
		require.Equal(t, "dpop+jwt", strings.TrimPrefix(strings.ToLower(h["typ"].(string)), "application/"))
		require.Contains(t, []string{"EdDSA", "Ed25519"}, h["alg"])
		inside := h["jwk"].(map[string]any)
		require.Equal(t, members["x"], inside["x"])
		for _, secret := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			require.Nil(t, inside[secret])
		}
		var c map[string]any
		require.NoError(t, json.Unmarshal([]byte(claims), &c))
		require.Equal(t, "GET", c["htm"])
		htu, ok := persauth.NormalURL(c["htu"].(string))
		require.True(t, ok)
		require.Equal(t, shopOrders, htu)
		require.Equal(t, ath, c["ath"])
		require.NotEmpty(t, c["jti"])
		require.InDelta(t, now-15, c["iat"], 45)
	})
}
