package persauthtest_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func block(kind string, content []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content})
}

func asJWK(t *testing.T, key any, members map[string]any) []byte {
	t.Helper()
	k, err := jwk.FromRaw(key)
	require.NoError(t, err)
	for name, value := range members {
		require.NoError(t, k.Set(name, value))
	}
	raw, err := json.Marshal(k)
	require.NoError(t, err)
	return raw
}

// opaque is a key that only a device has: it signs, and shows no more than its
// public half.
type opaque struct{ crypto.Signer }

// Keys in every form sign tokens that a verifier takes, which knows nothing but
// their public halves.
func TestWithKeys(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	pkcs8 := func(key any) []byte {
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		return block("PRIVATE KEY", raw, err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	require.NoError(t, err)
	two := append(pkcs8(p384), pkcs8(ed)...)
	file := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, pkcs8(p256), 0o600))
	set := fmt.Appendf(nil, `{"keys":[%s,%s]}`, asJWK(t, ed, map[string]any{"kid": "one"}), asJWK(t, rsaKey, map[string]any{"kid": "two", "alg": "PS384"}))

	for name, c := range map[string]struct {
		source     persauthtest.KeySource
		algorithms []string
		id         string // of the first; empty: the thumbprint
	}{
		"PKCS #1":         {persauthtest.KeyBytes(block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)), []string{"RS256"}, ""},
		"PKCS #8, RSA":    {persauthtest.KeyBytes(pkcs8(rsaKey)), []string{"RS256"}, ""},
		"PKCS #8, EC":     {persauthtest.KeyBytes(pkcs8(p384)), []string{"ES384"}, ""},
		"PKCS #8, Ed":     {persauthtest.KeyBytes(pkcs8(ed)), []string{"EdDSA"}, ""},
		"SEC 1":           {persauthtest.KeyBytes(block("EC PRIVATE KEY", sec1, nil)), []string{"ES256"}, ""},
		"several blocks":  {persauthtest.KeyBytes(two), []string{"ES384", "EdDSA"}, ""},
		"JWK":             {persauthtest.KeyBytes(asJWK(t, p256, map[string]any{"kid": "mine"})), []string{"ES256"}, "mine"},
		"JWK, Ed25519":    {persauthtest.KeyBytes(asJWK(t, ed, map[string]any{"alg": "Ed25519"})), []string{"EdDSA"}, ""},
		"JWK Set":         {persauthtest.KeyBytes(set), []string{"EdDSA", "PS384"}, "one"},
		"a file":          {persauthtest.KeyFile(file), []string{"ES256"}, ""},
		"a file system":   {persauthtest.KeyFS(fstest.MapFS{"keys/a.pem": {Data: two}}, "keys/a.pem"), []string{"ES384", "EdDSA"}, ""},
		"a signer":        {persauthtest.KeySigner("hsm", "", opaque{rsaKey}), []string{"RS256"}, "hsm"},
		"a signer, PS512": {persauthtest.KeySigner("", "PS512", opaque{rsaKey}), []string{"PS512"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			iss := persauthtest.NewIssuer(t, persauthtest.WithKeys(c.source))
			v := iss.Verifier()
			keys := iss.Keys()
			require.Len(t, keys, len(c.algorithms))
			for i, key := range keys {
				assert.Equal(t, c.algorithms[i], key.Algorithm)
				claims, err := v.Verify(t.Context(), iss.TokenBy(key, nil))
				require.NoError(t, err)
				assert.Equal(t, key.ID, claims.Verification().KeyID)
			}
			infos, err := persauth.InspectKeys(iss.JWKS())
			require.NoError(t, err)
			if c.id == "" {
				assert.Equal(t, infos[0].Thumbprint, keys[0].ID)
			} else {
				assert.Equal(t, c.id, keys[0].ID)
			}
			assert.NotContains(t, string(iss.JWKS()), `"d"`, "a private key is published")
			_, err = v.Verify(t.Context(), iss.ForgedToken())
			require.ErrorIs(t, err, persauth.ErrSignature)
		})
	}
	t.Run("beside made ones", func(t *testing.T) {
		iss := persauthtest.NewIssuer(t, persauthtest.WithKeys(persauthtest.KeyBytes(two)), persauthtest.WithAlgorithms("RS256"))
		assert.Len(t, iss.Keys(), 3)
		assert.Equal(t, "ES384", iss.Rotate().Algorithm)
	})
}

// What cannot be used says in a sentence why, and what to do, without a byte of
// the key.
func TestWithKeysRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(p256.Public())
	require.NoError(t, err)
	const legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nc2VjcmV0\n-----END RSA PRIVATE KEY-----\n"
	for name, c := range map[string]struct {
		source persauthtest.KeySource
		says   string
	}{
		"encrypted":         {persauthtest.KeyBytes(block("ENCRYPTED PRIVATE KEY", []byte("secret"), nil)), "the key is encrypted"},
		"encrypted, PKCS 1": {persauthtest.KeyBytes([]byte(legacy)), "the key is encrypted"},
		"OpenSSH":           {persauthtest.KeyBytes(block("OPENSSH PRIVATE KEY", []byte("secret"), nil)), "form of OpenSSH"},
		"a certificate":     {persauthtest.KeyBytes(block("CERTIFICATE", []byte("secret"), nil)), "certificate"},
		"public PEM":        {persauthtest.KeyBytes(block("PUBLIC KEY", public, nil)), "is public"},
		"public JWK":        {persauthtest.KeyBytes(asJWK(t, p256.Public(), nil)), "is public"},
		"symmetric":         {persauthtest.KeyBytes([]byte(`{"kty":"oct","k":"c2VjcmV0"}`)), "is symmetric"},
		"a weak one":        {persauthtest.KeySigner("", "", weak), "1024 bits"},
		"another curve":     {persauthtest.KeySigner("", "", p224), "another kind"},
		"another algorithm": {persauthtest.KeySigner("", "RS256", p256), `not one for "RS256": want ES256`},
		"alg of a JWK":      {persauthtest.KeyBytes(asJWK(t, p256, map[string]any{"alg": "ES384"})), `not one for "ES384"`},
		"an empty set":      {persauthtest.KeyBytes([]byte(`{"keys":[]}`)), "no key in it"},
		"nothing":           {persauthtest.KeyBytes(nil), "neither PEM"},
		"garbage":           {persauthtest.KeyBytes([]byte("secret")), "neither PEM"},
		"no such file":      {persauthtest.KeyFile("testdata/none.pem"), "testdata/none.pem"},
		"no signer":         {persauthtest.KeySigner("", "", nil), "the signer is nil"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failing{TB: t}
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				persauthtest.NewIssuer(f, persauthtest.WithKeys(c.source))
			}()
			require.Nil(t, <-done, "it panicked")
			says := f.why
			assert.Contains(t, says, c.says)
			assert.NotContains(t, says, "secret")
		})
	}
}
