package persauthclient_test

// Keys and proofs, held against the library's own verifier and against jwx.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jws"
	"github.com/persauth/persauth/persauthclient"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// base64Claims reads the claims of a compact JWS.
func base64Claims(token string) (claims map[string]any, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("not a compact JWS")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	return claims, json.Unmarshal(payload, &claims)
}

func TestProof(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	v := iss.Verifier(dpopRequired)
	for _, algorithm := range []string{"ES256", "EdDSA"} {
		key, err := persauthclient.GenerateKey(algorithm)
		require.NoError(t, err)
		assert.Equal(t, algorithm, key.Algorithm())
		token := iss.Token(map[string]any{"cnf": map[string]string{"jkt": key.Thumbprint()}})
		seen := map[any]bool{}
		for range 100 {
			proof, err := key.Proof("GET", target, token, "")
			require.NoError(t, err)
			r := httptest.NewRequest("GET", target.String(), nil)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", proof)
			_, err = v.VerifyRequest(r)
			require.NoError(t, err)

			message, err := jws.ParseString(proof)
			require.NoError(t, err)
			header := message.Signatures()[0].ProtectedHeaders()
			payload, err := jws.Verify([]byte(proof), jws.WithKey(header.Algorithm(), header.JWK()))
			require.NoError(t, err)
			thumbprint, err := header.JWK().Thumbprint(crypto.SHA256)
			require.NoError(t, err)
			assert.Equal(t, key.Thumbprint(), base64.RawURLEncoding.EncodeToString(thumbprint))
			var claims map[string]any
			require.NoError(t, json.Unmarshal(payload, &claims))
			assert.False(t, seen[claims["jti"]], "each has an id of its own")
			seen[claims["jti"]] = true
		}
		without, err := key.Proof("POST", target, "", "")
		require.NoError(t, err)
		claims, err := base64Claims(without)
		require.NoError(t, err)
		assert.NotContains(t, claims, "ath")
		assert.NotContains(t, claims, "nonce")
	}
}

func TestProofTargets(t *testing.T) {
	key, err := persauthclient.GenerateKey("EdDSA")
	require.NoError(t, err)
	for from, want := range map[string]string{
		"https://api.example.com":                     "https://api.example.com/",
		"https://API.example.com:443/a?b=c#d":         "https://api.example.com/a",
		"http://localhost:80/":                        "http://localhost/",
		"https://api.example.com:80/":                 "https://api.example.com:80/",
		"https://api.example.com/a%2Fb/%7e/caf%C3%A9": "https://api.example.com/a%2Fb/%7e/caf%C3%A9",
		"https://api.example.com/a b\"c\\d":           "https://api.example.com/a%20b%22c%5Cd",
		"https://[::1]:8443/x":                        "https://[::1]:8443/x",
		"https://user:pass@api.example.com/x":         "https://api.example.com/x",
	} {
		u, err := url.Parse(from)
		require.NoError(t, err)
		proof, err := key.Proof("", u, "", "n")
		require.NoError(t, err)
		claims, err := base64Claims(proof)
		require.NoError(t, err, from)
		assert.Equal(t, want, claims["htu"])
		assert.Equal(t, "GET", claims["htm"])
		assert.Equal(t, "n", claims["nonce"])
	}
	for name, f := range map[string]func() (string, error){
		"a method with a quote": func() (string, error) { return key.Proof(`A"`, target, "", "") },
		"no host":               func() (string, error) { return key.Proof("GET", &url.URL{Path: "/x"}, "", "") },
	} {
		_, err := f()
		assert.Error(t, err, name)
	}
	odd := &url.URL{Scheme: "https", Host: "a\"b", Path: "/x"}
	proof, err := key.Proof("GET", odd, "", "")
	require.NoError(t, err)
	claims, err := base64Claims(proof)
	require.NoError(t, err)
	assert.Equal(t, `https://a"b/x`, claims["htu"], "nothing gets out of its quotes")
}

// odd is a signer of another kind.
type odd struct {
	crypto.Signer
	sign func(digest []byte) ([]byte, error)
}

func (o odd) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	return o.sign(digest)
}

// Keys that are elsewhere sign as well, and those that do not work are noticed.
func TestNewKey(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	remote := odd{p256, func(digest []byte) ([]byte, error) { return p256.Sign(rand.Reader, digest, crypto.SHA256) }}
	for name, signer := range map[string]crypto.Signer{"P-256": p256, "Ed25519": ed, "elsewhere": remote} {
		key, err := persauthclient.NewKey(signer)
		require.NoError(t, err, name)
		_, err = key.Proof("GET", target, "", "")
		assert.NoError(t, err, name)
	}
	for name, signer := range map[string]crypto.Signer{
		"P-384": p384, "RSA": rsa2048,
		"a signer that fails": odd{p256, func([]byte) ([]byte, error) { return nil, errors.New("gone") }},
		"of another key": odd{p256, func(digest []byte) ([]byte, error) {
			other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			return other.Sign(rand.Reader, digest, crypto.SHA256)
		}},
		"of another form": odd{p256, func([]byte) ([]byte, error) { return make([]byte, 64), nil }},
		"with a negative number": odd{p256, func(digest []byte) ([]byte, error) {
			for { // until R needs the zero that makes it positive
				der, err := p256.Sign(rand.Reader, digest, crypto.SHA256)
				if err != nil || der[3] == 33 {
					der[1], der[3] = der[1]-1, 32
					return append(der[:4:4], der[5:]...), err
				}
			}
		}},
		"with a tail": odd{p256, func(digest []byte) ([]byte, error) {
			s, err := p256.Sign(rand.Reader, digest, crypto.SHA256)
			return append(s, 0), err
		}},
		"Ed25519, of no length": odd{ed, func([]byte) ([]byte, error) { return []byte{1}, nil }},
	} {
		_, err := persauthclient.NewKey(signer)
		assert.Error(t, err, name)
	}
	_, err = persauthclient.GenerateKey("RS256")
	assert.Error(t, err)
	working := true
	key, err := persauthclient.NewKey(odd{p256, func(digest []byte) ([]byte, error) {
		if !working {
			return nil, errors.New("secret PIN 1234 is wrong")
		}
		return p256.Sign(rand.Reader, digest, crypto.SHA256)
	}})
	require.NoError(t, err)
	working = false
	_, err = key.Proof("GET", target, "", "")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "1234")
}
