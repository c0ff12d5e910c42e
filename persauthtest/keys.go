package persauthtest

// Keys that a repository already has, in any form that jwx reads.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// KeySource is where an issuer's keys come from: [KeyBytes], [KeyFile],
// [KeyFS] or [KeySigner].
type KeySource interface {
	keys() ([]*Key, error)
}

// WithKeys gives the issuer keys of one's own, in order. The first signs. Without
// [WithAlgorithms] it has no others.
func WithKeys(sources ...KeySource) IssuerOption {
	return issuerOption(func(o *issuerOptions) { o.sources = append(o.sources, sources...) })
}

// KeyBytes are private keys as PEM (PKCS #1, PKCS #8 or SEC 1, one block or
// several), as a JWK, or as a JWK Set (RFC 7517). They must not be encrypted. A
// key without a "kid" gets its thumbprint (RFC 7638) for one. One without an
// "alg" gets the usual one of its kind: RS256, ES256, ES384, ES512 or EdDSA.
func KeyBytes(content []byte) KeySource { return keyBytes(bytes.Clone(content)) }

// KeyFile is [KeyBytes] from a file; a path that is not absolute is one from the
// folder of the test.
func KeyFile(path string) KeySource { return keyFile{os.ReadFile, path} }

// KeyFS is [KeyBytes] from a file of fsys, for instance of an [embed.FS].
func KeyFS(fsys fs.FS, name string) KeySource {
	return keyFile{func(name string) ([]byte, error) { return fs.ReadFile(fsys, name) }, name}
}

// KeySigner is a key that signs by itself: an *rsa.PrivateKey, *ecdsa.PrivateKey
// or ed25519.PrivateKey, or one that only a device has. An empty id stands for
// the thumbprint, an empty algorithm for the usual one of its kind.
func KeySigner(id, algorithm string, signer crypto.Signer) KeySource {
	return keySigner{id, algorithm, signer}
}

// ReadKeys reads keys, as [WithKeys] does.
func ReadKeys(source KeySource) ([]*Key, error) {
	keys, err := source.keys()
	if err != nil {
		return nil, fmt.Errorf("persauthtest: %w", err)
	}
	return keys, nil
}

type keyBytes []byte

func (k keyBytes) keys() ([]*Key, error) {
	if err := readable(k); err != nil {
		return nil, err
	}
	isPEM := bytes.Contains(k, []byte("-----BEGIN "))
	set, err := jwk.Parse(k, jwk.WithPEM(isPEM))
	if err != nil {
		// The library's own words may quote what it read.
		return nil, errors.New("this is neither PEM, nor a JWK, nor a JWK Set with keys that can be read")
	}
	var all []*Key
	for i := range set.Len() {
		entry, _ := set.Key(i)
		var raw any
		if err := entry.Raw(&raw); err != nil {
			return nil, fmt.Errorf("key %d cannot be read", i)
		}
		signer, ok := raw.(crypto.Signer)
		if !ok {
			return nil, fmt.Errorf("key %d is %s: want a private key, RSA, EC or Ed25519", i, kindOf(raw))
		}
		key, err := keySigner{entry.KeyID(), entry.Algorithm().String(), signer}.keys()
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i, err)
		}
		all = append(all, key...)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return all, nil
}

// readable says of PEM what can be said better before a library tries.
func readable(content []byte) error {
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED"):
			return errors.New("the key is encrypted: keep fixtures without a passphrase (openssl pkey -in key.pem -out plain.pem)")
		case block.Type == "OPENSSH PRIVATE KEY":
			return errors.New("the key has the form of OpenSSH: want PKCS #8 (ssh-keygen -p -m PKCS8 -f key)")
		case block.Type == "CERTIFICATE":
			return errors.New("there is a certificate in it: want private keys alone")
		}
	}
	return nil
}

func kindOf(key any) string {
	switch key.(type) {
	case []byte:
		return "symmetric"
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		return "public"
	}
	return "of a kind that does not sign"
}

type keyFile struct {
	read func(string) ([]byte, error)
	name string
}

func (k keyFile) keys() ([]*Key, error) {
	content, err := k.read(k.name)
	if err != nil {
		return nil, err
	}
	all, err := keyBytes(content).keys()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.name, err)
	}
	return all, nil
}

type keySigner struct {
	id, algorithm string
	signer        crypto.Signer
}

func (k keySigner) keys() ([]*Key, error) {
	if k.signer == nil {
		return nil, errors.New("the signer is nil")
	}
	usual, err := algorithmsOf(k.signer.Public())
	if err != nil {
		return nil, err
	}
	key := &Key{ID: k.id, Algorithm: k.algorithm, private: k.signer}
	if key.Algorithm == "Ed25519" {
		key.Algorithm = "EdDSA" // RFC 9864 §2.2
	}
	if key.Algorithm == "" {
		key.Algorithm = usual[0]
	}
	if !slices.Contains(usual, key.Algorithm) {
		return nil, fmt.Errorf("the key is not one for %q: want %s", key.Algorithm, strings.Join(usual, ", "))
	}
	if key.ID == "" {
		key.ID = key.Thumbprint()
	}
	return []*Key{key}, nil
}

// algorithmsOf are those that a key is good for, the usual one first.
func algorithmsOf(public crypto.PublicKey) ([]string, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < 2048 {
			return nil, fmt.Errorf("the RSA key has %d bits: a verifier takes none with fewer than 2048", public.N.BitLen())
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		for algorithm, curve := range curves {
			if curve == public.Curve {
				return []string{algorithm}, nil
			}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, errors.New("the key is of another kind than RSA, EC with P-256, P-384 or P-521, and Ed25519")
}
