package persauth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/require"
)

// What forgers try: tokens made without any private key of the set.

func TestAlgorithmSpellings(t *testing.T) {
	key := keyFor("ES256")
	v := holding(t, setFor(allAlgorithms...))
	for header, want := range map[string]error{
		`{"alg":"ES256","kid":"kid-ES256"}`:              nil,
		`{"alg":"\u0045S256","kid":"kid-ES256"}`:         nil, // the same text
		`{"\u0061lg":"ES256","kid":"kid-ES256"}`:         nil,
		`{"alg":"es256","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":"Es256","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":"ES256 ","kid":"kid-ES256"}`:             persauth.ErrAlgorithm,
		`{"alg":"ES256\u0000","kid":"kid-ES256"}`:        persauth.ErrAlgorithm,
		`{"alg":"ES256K","kid":"kid-ES256"}`:             persauth.ErrAlgorithm,
		`{"alg":"ECDSA","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":"none","kid":"kid-ES256"}`:               persauth.ErrAlgorithm,
		`{"alg":"None","kid":"kid-ES256"}`:               persauth.ErrAlgorithm,
		`{"alg":"NONE","kid":"kid-ES256"}`:               persauth.ErrAlgorithm,
		`{"alg":"nOnE","kid":"kid-ES256"}`:               persauth.ErrAlgorithm,
		`{"alg":"none ","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":"\u006eone","kid":"kid-ES256"}`:          persauth.ErrAlgorithm,
		`{"alg":"n\u043ene","kid":"kid-ES256"}`:          persauth.ErrAlgorithm, // a Cyrillic o
		`{"alg":"","kid":"kid-ES256"}`:                   persauth.ErrAlgorithm,
		`{"kid":"kid-ES256"}`:                            persauth.ErrAlgorithm,
		`{"ALG":"ES256","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":"none"}`:                                 persauth.ErrAlgorithm,
		`{"alg":"RS1","kid":"kid-ES256"}`:                persauth.ErrAlgorithm,
		`{"alg":"dir","kid":"kid-ES256"}`:                persauth.ErrAlgorithm,
		`{"alg":"HS256","kid":"kid-ES256"}`:              persauth.ErrAlgorithm,
		`{"alg":null,"kid":"kid-ES256"}`:                 persauth.ErrMalformed,
		`{"alg":["ES256"],"kid":"kid-ES256"}`:            persauth.ErrMalformed,
		`{"alg":{"ES256":1},"kid":"kid-ES256"}`:          persauth.ErrMalformed,
		`{"alg":256,"kid":"kid-ES256"}`:                  persauth.ErrMalformed,
		`{"alg":false,"kid":"kid-ES256"}`:                persauth.ErrMalformed,
		`{"alg":"none","alg":"ES256","kid":"kid-ES256"}`: persauth.ErrMalformed,
	} {
		t.Run(header, func(t *testing.T) {
			// With a signature that would be right, and with none.
			answers(t, v, key.Sign([]byte(header), []byte(goodClaims)), want)
			if want == nil {
				want = persauth.ErrSignature
			}
			answers(t, v, b64(header)+"."+b64(goodClaims)+".", want)
		})
	}
}

// The public key, in any form, as the secret of an HMAC.
func TestHMACWithPublicKey(t *testing.T) {
	hashes := map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512}
	for _, alg := range []string{"RS256", "ES256", "EdDSA"} {
		key := keyFor(alg)
		v := holding(t, setFor(alg))
		answers(t, v, tokenWith(key, goodClaims), nil)
		for form, secret := range publicForms(t, key) {
			for hs, hash := range hashes {
				for _, named := range []string{hs, alg} {
					t.Run(fmt.Sprintf("%s as %s, %s under %s", alg, form, hs, named), func(t *testing.T) {
						input := b64(`{"alg":"`+named+`","kid":"`+key.ID+`"}`) + "." + b64(goodClaims)
						mac := hmac.New(hash.New, secret)
						mac.Write([]byte(input))
						want := persauth.ErrAlgorithm
						if named == alg {
							want = persauth.ErrSignature
						}
						answers(t, v, input+"."+b64(mac.Sum(nil)), want)
					})
				}
			}
		}
	}
}

func publicForms(t *testing.T, key *persauthtest.Key) map[string][]byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	forms := map[string][]byte{
		"nothing": {}, "DER": der, "PEM": block, "trimmed PEM": []byte(strings.TrimSpace(string(block))),
		"JWK": key.JWK(), "JWK Set": []byte(setOf(string(key.JWK()))), "kid": []byte(key.ID),
	}
	switch pub := key.Public().(type) {
	case *rsa.PublicKey:
		forms["PKCS #1"] = x509.MarshalPKCS1PublicKey(pub)
		forms["modulus"], forms["modulus in base64url"] = pub.N.Bytes(), []byte(b64(pub.N.Bytes()))
	case *ecdsa.PublicKey:
		forms["point"], err = pub.Bytes()
		require.NoError(t, err)
	case ed25519.PublicKey:
		forms["point"], forms["point in base64url"] = pub, []byte(b64(pub))
	}
	return forms
}

// A symmetric token is no better for a set that holds its secret.
func TestHMACWithKeyInSet(t *testing.T) {
	secret := []byte("a secret of thirty-two bytes, yes")
	oct := `{"kty":"oct","kid":"shared","alg":"HS256","k":"` + b64(secret) + `"}`
	v := holding(t, setOf(oct, string(keyFor("ES256").JWK())))
	input := b64(`{"alg":"HS256","kid":"shared"}`) + "." + b64(goodClaims)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	answers(t, v, input+"."+b64(mac.Sum(nil)), persauth.ErrAlgorithm)
	answers(t, v, tokenWith(keyFor("ES256"), goodClaims), nil)
}

// A token does not bring its own key. The members that would are ignored: a
// token by a key of the set is good with them, one by their key is not.
func TestEmbeddedKeys(t *testing.T) {
	good := keyFor("ES256")
	evil, err := persauthtest.NewKey("evil", "ES256", "forger")
	require.NoError(t, err)
	v := holding(t, setFor("ES256", "EdDSA"))
	point, err := x509.MarshalPKIXPublicKey(evil.Public())
	require.NoError(t, err)

	for name, member := range map[string]string{
		"jwk":            `"jwk":` + string(evil.JWK()),
		"jwk, null":      `"jwk":null`,
		"jku":            `"jku":"https://evil.example/jwks.json"`,
		"x5u":            `"x5u":"https://evil.example/cert.pem"`,
		"x5u, a number":  `"x5u":5`,
		"x5c":            `"x5c":["` + b64(point) + `"]`,
		"x5t":            `"x5t":"AAAA","x5t#S256":"AAAA"`,
		"all of them":    `"jwk":` + string(evil.JWK()) + `,"jku":"https://evil.example","x5u":"https://evil.example","x5c":[]`,
		"a whole JWKSet": `"keys":[` + string(evil.JWK()) + `]`,
	} {
		t.Run(name, func(t *testing.T) {
			for kid, want := range map[string]error{
				`,"kid":"kid-ES256"`: persauth.ErrSignature,
				`,"kid":"evil"`:      persauth.ErrUnknownKey,
				``:                   persauth.ErrSignature, // one key of the set fits
			} {
				header := []byte(`{"alg":"ES256"` + kid + `,` + member + `}`)
				answers(t, v, evil.Sign(header, []byte(goodClaims)), want)
			}
			answers(t, v, good.Sign([]byte(`{"alg":"ES256","kid":"kid-ES256",`+member+`}`), []byte(goodClaims)), nil)
		})
	}
}

// Under a key of small order a signature of R neutral and S zero holds without
// any private key: with crypto/ed25519 it does, and so such a key is refused.
func TestEd25519SmallOrderForgery(t *testing.T) {
	neutral := append([]byte{1}, make([]byte, 63)...)
	for name, point := range map[string]string{
		"order 1":                "0100000000000000000000000000000000000000000000000000000000000000",
		"order 2":                "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4":                "0000000000000000000000000000000000000000000000000000000000000000",
		"order 4, negative":      "0000000000000000000000000000000000000000000000000000000000000080",
		"order 8, low":           "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"order 8, low, negative": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"order 8, high":          "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"order 8, high, neg":     "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		// The same points, written with y + p.
		"order 1, not canonical":      "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4, not canonical":      "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"order 4, not canonical, neg": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		// Zero has no sign, but bits for one.
		"order 1, sign of zero": "0100000000000000000000000000000000000000000000000000000000000080",
		"order 2, sign of zero": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		t.Run(name, func(t *testing.T) {
			weak, err := hex.DecodeString(point)
			require.NoError(t, err)
			var forged string
			for n := range 200 {
				input := b64(`{"alg":"EdDSA","kid":"weak"}`) + "." + b64(fmt.Sprintf(`{"n":%d,%s`, n, goodClaims[1:]))
				if ed25519.Verify(weak, []byte(input), neutral) {
					forged = input + "." + b64(neutral)
					break
				}
			}
			require.NotEmpty(t, forged, "the forgery should hold under the bare check")

			jwk := `{"kty":"OKP","crv":"Ed25519","kid":"weak","x":"` + b64(weak) + `"}`
			v := holding(t, setOf(jwk, string(keyFor("EdDSA").JWK())))
			answers(t, v, forged, persauth.ErrUnknownKey)
			answers(t, v, tokenWith(keyFor("EdDSA"), goodClaims), nil)
			_, err = persauth.New(persauth.Config{Keys: persauth.StaticKeys([]byte(setOf(jwk)))})
			require.Error(t, err)
		})
	}
}
