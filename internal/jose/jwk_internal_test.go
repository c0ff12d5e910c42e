package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/lestrrat-go/jwx/v2/jwk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A key that is built of its members is the one that the JWK library wrote, and
// the one that it reads. There are so many that some have coordinates with leading
// zeros.
func TestKeysAreThoseOfTheLibrary(t *testing.T) {
	makers := map[string]func() (crypto.Signer, error){
		"RSA 2048": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
		"EC P-256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
		"EC P-384": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
		"EC P-521": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
		"OKP Ed25519": func() (crypto.Signer, error) {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			return private, err
		},
	}
	for name, newKey := range makers {
		many := 600
		if name == "RSA 2048" {
			many = 5
		}
		for range many {
			private, err := newKey()
			require.NoError(t, err)
			theirs, err := jwk.FromRaw(private.Public())
			require.NoError(t, err)
			written, err := json.Marshal(theirs)
			require.NoError(t, err)

			key := ParseKey(0, written)
			require.Empty(t, key.Problem)
			assert.Equal(t, name, key.Type)
			equal := key.Public.(interface{ Equal(crypto.PublicKey) bool }).Equal
			assert.True(t, equal(private.Public()), string(written))

			read, err := jwk.ParseKey(written)
			require.NoError(t, err)
			var public any
			require.NoError(t, read.Raw(&public))
			assert.True(t, equal(public), string(written))
			thumbprint, err := read.Thumbprint(crypto.SHA256)
			require.NoError(t, err)
			assert.Equal(t, base64.RawURLEncoding.EncodeToString(thumbprint), key.Thumbprint)
		}
	}
}

// A key does not keep the set alive that it came in.
func TestKeyOutlivesItsSet(t *testing.T) {
	set := []byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	x, err := ParseKeySet(set)
	require.NoError(t, err)
	raw := string(x.Keys[0].Raw)
	clear(set)
	assert.Equal(t, raw, string(x.Keys[0].Raw))
}

func TestNothingFollowsASet(t *testing.T) {
	_, err := splitSet([]byte(`{"keys":[]}{}`))
	assert.EqualError(t, err, "the key set is not one JSON value: something follows it")
}
