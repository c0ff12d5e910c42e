package jose

// From the "alg" of a header to a check by the standard library (RFC 7518 §3,
// RFC 8037 §3.1). Nothing here computes; it only picks, measures and converts.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// Algorithm is one way to sign that a public key can check.
type Algorithm struct {
	name  string
	kty   string         // the "kty" of the keys it takes
	curve elliptic.Curve // for "EC": the one curve it takes
	hash  crypto.Hash    // zero for EdDSA, which hashes by itself
	pss   bool
}

var (
	// AlgorithmNames is the default of [Config.Algorithms], in the order of
	// RFC 7518 §3.1.
	AlgorithmNames = []string{
		"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA",
	}
	Algorithms = map[string]*Algorithm{
		"RS256": {name: "RS256", kty: "RSA", hash: crypto.SHA256},
		"RS384": {name: "RS384", kty: "RSA", hash: crypto.SHA384},
		"RS512": {name: "RS512", kty: "RSA", hash: crypto.SHA512},
		"PS256": {name: "PS256", kty: "RSA", hash: crypto.SHA256, pss: true},
		"PS384": {name: "PS384", kty: "RSA", hash: crypto.SHA384, pss: true},
		"PS512": {name: "PS512", kty: "RSA", hash: crypto.SHA512, pss: true},
		"ES256": {name: "ES256", kty: "EC", curve: elliptic.P256(), hash: crypto.SHA256},
		"ES384": {name: "ES384", kty: "EC", curve: elliptic.P384(), hash: crypto.SHA384},
		"ES512": {name: "ES512", kty: "EC", curve: elliptic.P521(), hash: crypto.SHA512},
		"EdDSA": {name: "EdDSA", kty: "OKP"},
	}
)

// Takes reports whether pub is of the type, and on the curve, that the
// algorithm is defined for.
func (a *Algorithm) Takes(pub crypto.PublicKey) bool {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return a.kty == "RSA"
	case *ecdsa.PublicKey:
		return a.kty == "EC" && pub.Curve == a.curve
	case ed25519.PublicKey:
		return a.kty == "OKP"
	}
	return false
}

// Verify reports whether signature is pub's over input. It answers false for a
// key that the algorithm does not take.
func (a *Algorithm) Verify(pub crypto.PublicKey, input, signature []byte) bool {
	if !a.Takes(pub) {
		return false
	}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		var sum [sha512.Size]byte
		digest := a.digest(sum[:0], input)
		if a.pss {
			// RFC 7518 §3.5: the salt is as long as the hash.
			options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
			return rsa.VerifyPSS(pub, a.hash, digest, signature, options) == nil
		}
		return rsa.VerifyPKCS1v15(pub, a.hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		// RFC 7518 §3.4: R and S, each of the curve's full size, one after
		// the other. DER, or a short form, is not that.
		size := (a.curve.Params().BitSize + 7) / 8
		if len(signature) != 2*size {
			return false
		}
		var sum [sha512.Size]byte
		r := new(big.Int).SetBytes(signature[:size])
		s := new(big.Int).SetBytes(signature[size:])
		return ecdsa.Verify(pub, a.digest(sum[:0], input), r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, input, signature)
	}
	return false
}

// digest appends the hash of input to dst.
func (a *Algorithm) digest(dst, input []byte) []byte {
	switch a.hash {
	case crypto.SHA256:
		sum := sha256.Sum256(input)
		return append(dst, sum[:]...)
	case crypto.SHA384:
		sum := sha512.Sum384(input)
		return append(dst, sum[:]...)
	default:
		sum := sha512.Sum512(input)
		return append(dst, sum[:]...)
	}
}
