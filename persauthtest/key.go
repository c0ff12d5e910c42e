package persauthtest

// Signing keys of every supported kind, random or made from a seed.

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // for crypto.Hash
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	mathrand "math/rand/v2"
	"slices"
	"strings"

	"github.com/lestrrat-go/jwx/v2/jwk"
)

// Key is a private key that signs tokens, with the kid and the algorithm that
// its tokens name. Make one with [NewKey]: a literal has no private key, and
// cannot sign. It is immutable and safe for concurrent use.
type Key struct {
	// ID is the key's "kid".
	ID string
	// Algorithm is the "alg" it signs with, for example "ES256".
	Algorithm string

	private crypto.Signer
	// fixed makes the same signature each time (RFC 6979), for files that must
	// not change.
	fixed bool
}

// hashes names the algorithms that a Key can have.
var hashes = map[string]crypto.Hash{
	"RS256": crypto.SHA256, "RS384": crypto.SHA384, "RS512": crypto.SHA512,
	"PS256": crypto.SHA256, "PS384": crypto.SHA384, "PS512": crypto.SHA512,
	"ES256": crypto.SHA256, "ES384": crypto.SHA384, "ES512": crypto.SHA512,
	"EdDSA": 0,
}

var curves = map[string]elliptic.Curve{
	"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(),
}

// NewKey makes a key for an algorithm: one of RS256, RS384, RS512, PS256, PS384,
// PS512, ES256, ES384, ES512 and EdDSA. With a seed it is always the same key
// for the same kid, algorithm and seed; such a key is no secret.
func NewKey(id, algorithm, seed string) (*Key, error) {
	key := &Key{ID: id, Algorithm: algorithm}
	if _, ok := hashes[algorithm]; !ok {
		return nil, fmt.Errorf("persauthtest: no key for algorithm %q: want one of %s", algorithm, strings.Join(slices.Sorted(maps.Keys(hashes)), ", "))
	}
	var err error
	switch {
	case seed != "":
		key.private, err = seededKey(algorithm, seed+"\x00"+id)
	case curves[algorithm] != nil:
		key.private, err = ecdsa.GenerateKey(curves[algorithm], rand.Reader)
	case algorithm == "EdDSA":
		_, key.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		key.private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, fmt.Errorf("persauthtest: %w", err)
	}
	return key, nil
}

// seededKey derives a private key from a seed.
func seededKey(algorithm, seed string) (crypto.Signer, error) {
	bits, err := hkdf.Key(sha256.New, []byte(seed), nil, "persauthtest "+algorithm, 32)
	if err != nil {
		return nil, err
	}
	stream := mathrand.NewChaCha8([32]byte(bits))
	if algorithm == "EdDSA" {
		return ed25519.NewKeyFromSeed(bits), nil
	}
	if curve := curves[algorithm]; curve != nil {
		order := curve.Params().N
		wide := make([]byte, 80)
		_, _ = stream.Read(wide)
		scalar := new(big.Int).Mod(new(big.Int).SetBytes(wide), new(big.Int).Sub(order, big.NewInt(1)))
		scalar.Add(scalar, big.NewInt(1))
		return ecdsa.ParseRawPrivateKey(curve, scalar.FillBytes(make([]byte, (order.BitLen()+7)/8)))
	}
	for {
		p, q := seededPrime(stream), seededPrime(stream)
		one := big.NewInt(1)
		totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(65537), totient)
		if d == nil || p.Cmp(q) == 0 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key, key.Validate()
	}
}

// seededPrime returns the first prime of 1024 bits, its top two bits set, that
// the stream leads to.
func seededPrime(stream *mathrand.ChaCha8) *big.Int {
	raw := make([]byte, 128)
	_, _ = stream.Read(raw)
	raw[0] |= 0xc0
	raw[127] |= 1
	p := new(big.Int).SetBytes(raw)
	for !p.ProbablyPrime(20) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// Public returns the public key: an *rsa.PublicKey, *ecdsa.PublicKey or
// ed25519.PublicKey.
func (k *Key) Public() crypto.PublicKey { return k.signer().Public() }

// signer returns the private key. A Key literal has none.
func (k *Key) signer() crypto.Signer {
	if k == nil || k.private == nil {
		panic("persauthtest: the key cannot sign: it was not made by NewKey")
	}
	return k.private
}

// JWK returns the public key as a JSON Web Key (RFC 7517).
func (k *Key) JWK() []byte {
	key := k.public()
	for name, value := range map[string]string{jwk.KeyIDKey: k.ID, jwk.AlgorithmKey: k.Algorithm, jwk.KeyUsageKey: "sig"} {
		must(key.Set(name, value))
	}
	return marshal(key)
}

// Thumbprint is the SHA-256 thumbprint of the public key (RFC 7638): the usual
// "kid", and what a token that is bound to the key has as "jkt".
func (k *Key) Thumbprint() string {
	sum, err := k.public().Thumbprint(crypto.SHA256)
	must(err)
	return encode(sum)
}

// public is the public key in the hands of a library that is not the one under
// test: what that reads, another has written.
func (k *Key) public() jwk.Key {
	key, err := jwk.FromRaw(k.Public())
	must(err)
	return key
}

// Sign returns the compact serialization of exactly this header and payload,
// signed with the key, whatever the header says. It is for tests that need a
// token with something odd in it; for ordinary ones use [Issuer.Token].
func (k *Key) Sign(header, payload []byte) string {
	input := encode(header) + "." + encode(payload)
	return input + "." + encode(k.Signature([]byte(input)))
}

// Signature returns the key's signature over input, as a JWS holds it.
func (k *Key) Signature(input []byte) []byte {
	hash := hashes[k.Algorithm]
	digest := input
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	var options crypto.SignerOpts = hash
	if k.Algorithm[0] == 'P' {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
	}
	random := rand.Reader
	if _, ok := k.signer().(*ecdsa.PrivateKey); ok && k.fixed {
		random = nil
	}
	signature, err := k.signer().Sign(random, digest, options)
	must(err)
	if curve := curves[k.Algorithm]; curve != nil {
		var der struct{ R, S *big.Int }
		_, err = asn1.Unmarshal(signature, &der)
		must(err)
		size := (curve.Params().BitSize + 7) / 8
		signature = append(der.R.FillBytes(make([]byte, size)), der.S.FillBytes(make([]byte, size))...)
	}
	return signature
}

// verifies reports whether signature is the key's over input. It is written for
// itself, and does not lean on the code that it helps to test.
func (k *Key) verifies(input, signature []byte) bool {
	hash := hashes[k.Algorithm]
	digest := input
	if hash != 0 {
		h := hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch pub := k.Public().(type) {
	case *rsa.PublicKey:
		if k.Algorithm[0] == 'P' {
			return rsa.VerifyPSS(pub, hash, digest, signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(pub, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		size := (pub.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return false
		}
		return ecdsa.Verify(pub, digest, new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:]))
	case ed25519.PublicKey:
		return ed25519.Verify(pub, input, signature)
	}
	return false
}

// header returns the ordinary header of the key's tokens, with changes: a nil
// value takes a member out.
func (k *Key) header(changes map[string]any) []byte {
	members := map[string]any{"alg": k.Algorithm, "typ": "JWT", "kid": k.ID}
	for name, value := range changes {
		change(members, name, value)
	}
	return marshal(members)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

// marshal is for values that are known to be JSON.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	must(e.Encode(v))
	return bytes.TrimSpace(b.Bytes())
}

// must is for what only a mistake in this package makes fail.
func must(err error) {
	if err != nil {
		panic("persauthtest: " + err.Error())
	}
}
