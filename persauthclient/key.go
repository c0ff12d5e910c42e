package persauthclient

// Keys that tokens are bound to, and their proofs (RFC 9449).

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/redact"
)

const (
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

// Key is a private key that tokens are bound to. It signs a proof for each
// request. It is immutable, and safe for concurrent use as far as its signer is.
type Key struct {
	signer     crypto.Signer
	algorithm  string
	thumbprint string
	header     string // of its proofs, base64url, and a dot
}

// GenerateKey makes a key for "ES256", the algorithm that every service knows, or
// "EdDSA" (Ed25519).
func GenerateKey(algorithm string) (*Key, error) {
	switch algorithm {
	case algES256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return NewKey(private)
	case algEdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return NewKey(private)
	}
	return nil, fmt.Errorf("persauthclient: no key for algorithm %q: want ES256 or EdDSA", algorithm)
}

// NewKey makes a key of a signer: an *ecdsa.PrivateKey on P-256, an
// ed25519.PrivateKey, or one that a token, a TPM or a service holds. It signs once
// to see that the signer works.
func NewKey(signer crypto.Signer) (*Key, error) {
	k := &Key{signer: signer}
	var jwk string // with its members in the order of RFC 7638 §3.2
	switch public := signer.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, errors.New("persauthclient: want an ECDSA key on P-256")
		}
		point, err := public.Bytes() // 4, X, Y
		if err != nil {
			return nil, fmt.Errorf("persauthclient: %w", err)
		}
		k.algorithm = algES256
		jwk = `{"crv":"P-256","kty":"EC","x":"` + encode(point[1:33]) + `","y":"` + encode(point[33:]) + `"}`
	case ed25519.PublicKey:
		k.algorithm = algEdDSA
		jwk = `{"crv":"Ed25519","kty":"OKP","x":"` + encode(public) + `"}`
	default:
		return nil, fmt.Errorf("persauthclient: want a key for ES256 or EdDSA, got %T", public)
	}
	sum := sha256.Sum256([]byte(jwk))
	k.thumbprint = encode(sum[:])
	k.header = encode([]byte(`{"typ":"dpop+jwt","alg":"`+k.algorithm+`","jwk":`+jwk+`}`)) + "."
	if err := k.try(); err != nil {
		return nil, fmt.Errorf("persauthclient: the signer does not work: %w", err)
	}
	return k, nil
}

// Algorithm is the "alg" of the key's proofs: "ES256" or "EdDSA".
func (k *Key) Algorithm() string { return k.algorithm }

// Thumbprint is what a token that is bound to the key has as "cnf.jkt" (RFC 7638).
func (k *Key) Thumbprint() string { return k.thumbprint }

// Format writes the thumbprint, for every verb.
func (k *Key) Format(f fmt.State, _ rune) {
	if k == nil {
		fmt.Fprint(f, "<nil>")
		return
	}
	fmt.Fprintf(f, "%s key %s", k.algorithm, k.thumbprint)
}

// Proof makes a proof for one request (RFC 9449 §4.2). Query and fragment of the
// URL are left out. Without an access token it is one for PERS' own endpoints. A
// proof is good once: make a new one for each try.
func (k *Key) Proof(method string, target *url.URL, accessToken, nonce string) (string, error) {
	hash := ""
	if accessToken != "" {
		hash = tokenHash(accessToken)
	}
	return k.prove(method, target, hash, nonce, time.Now())
}

// tokenHash is "ath" (RFC 9449 §4.2).
func tokenHash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return encode(sum[:])
}

// prove makes a proof, with the hash of a token or without.
func (k *Key) prove(method string, target *url.URL, hash, nonce string, now time.Time) (string, error) {
	if method == "" {
		method = http.MethodGet // as in net/http
	}
	if strings.ContainsFunc(method, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
		return "", redact.Text("the method of the request is not one")
	}
	if target.Scheme == "" || target.Host == "" {
		return "", redact.Text("the request has no address")
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	claims := make([]byte, 0, 512)
	claims = append(claims, `{"jti":"`...)
	claims = base64.RawURLEncoding.AppendEncode(claims, id[:])
	claims = append(claims, `","htm":"`...)
	claims = append(claims, method...)
	claims = append(claims, `","htu":`...)
	claims, err := appendTarget(claims, target)
	if err != nil {
		return "", err
	}
	claims = append(claims, `,"iat":`...)
	claims = strconv.AppendInt(claims, now.Unix(), 10)
	if hash != "" {
		claims = append(claims, `,"ath":"`...)
		claims = append(claims, hash...)
		claims = append(claims, '"')
	}
	if nonce != "" {
		claims = append(claims, `,"nonce":"`...)
		claims = append(claims, nonce...) // of isNonce
		claims = append(claims, '"')
	}
	claims = append(claims, '}')

	proof := make([]byte, 0, len(k.header)+base64.RawURLEncoding.EncodedLen(len(claims))+1+86)
	proof = append(proof, k.header...)
	proof = base64.RawURLEncoding.AppendEncode(proof, claims)
	signature, err := k.sign(proof)
	if err != nil {
		return "", redact.Text("the key did not sign") // the text of a signer is foreign
	}
	proof = append(proof, '.')
	proof = base64.RawURLEncoding.AppendEncode(proof, signature)
	return string(proof), nil
}

// appendTarget appends "htu" as a JSON string: the address without query and
// fragment (RFC 9449 §4.2), with its origin in lower case and without the port
// that goes without saying.
func appendTarget(b []byte, target *url.URL) ([]byte, error) {
	scheme, host := strings.ToLower(target.Scheme), strings.ToLower(target.Host)
	host = strings.TrimSuffix(host, ":"+defaultPorts[scheme])
	path := target.EscapedPath()
	if path == "" {
		path = "/"
	}
	start := len(b)
	b = append(b, '"')
	b = append(b, scheme...)
	b = append(b, "://"...)
	b = append(b, host...)
	b = append(b, path...)
	b = append(b, '"')
	for _, c := range b[start+1 : len(b)-1] {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return jsontext.AppendQuote(b[:start], scheme+"://"+host+path)
		}
	}
	return b, nil
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}

// sign returns a signature as a JWS has it (RFC 7518 §3.4, RFC 8037 §3.1).
func (k *Key) sign(input []byte) ([]byte, error) {
	if k.algorithm == algEdDSA {
		signature, err := k.signer.Sign(rand.Reader, input, crypto.Hash(0))
		if err == nil && len(signature) != ed25519.SignatureSize {
			err = errors.New("a signature of another length")
		}
		return signature, err
	}
	digest := sha256.Sum256(input)
	der, err := k.signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return fixedSignature(der)
}

// fixedSignature turns an ECDSA signature on P-256 from its ASN.1 form into that of
// a JWS: R and S in 32 bytes each. encoding/asn1 would take longer than all else
// that a proof needs beside its signature.
func fixedSignature(der []byte) ([]byte, error) {
	wrong := errors.New("a signature of another form")
	if len(der) < 2 || der[0] != 0x30 || int(der[1]) != len(der)-2 { // at most 70 bytes: one byte of length
		return nil, wrong
	}
	rest := der[2:]
	signature := make([]byte, 64)
	for _, into := range [][]byte{signature[:32], signature[32:]} {
		if len(rest) < 3 || rest[0] != 0x02 || int(rest[1]) == 0 || int(rest[1]) > len(rest)-2 {
			return nil, wrong
		}
		number := rest[2 : 2+int(rest[1])]
		rest = rest[2+len(number):]
		if number[0]&0x80 != 0 || len(number) > 1 && number[0] == 0 && number[1] < 0x80 { // negative, or not DER
			return nil, wrong
		}
		number = bytes.TrimLeft(number, "\x00")
		if len(number) == 0 || len(number) > len(into) {
			return nil, wrong
		}
		copy(into[len(into)-len(number):], number)
	}
	if len(rest) > 0 {
		return nil, wrong
	}
	return signature, nil
}

// try signs something, and checks the signature.
func (k *Key) try() error {
	input := []byte("persauth")
	signature, err := k.sign(input)
	if err != nil {
		return err
	}
	good := false
	switch public := k.signer.Public().(type) {
	case ed25519.PublicKey:
		good = ed25519.Verify(public, input, signature)
	case *ecdsa.PublicKey:
		digest := sha256.Sum256(input)
		good = ecdsa.Verify(public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	}
	if !good {
		return errors.New("its signature is not good")
	}
	return nil
}

// private returns the key in PKCS #8, or nil where it is somebody else's to keep.
func (k *Key) private() []byte {
	switch k.signer.(type) {
	case *ecdsa.PrivateKey, ed25519.PrivateKey:
		der, err := x509.MarshalPKCS8PrivateKey(k.signer)
		if err == nil {
			return der
		}
	}
	return nil
}

// parseKey reads a key of private.
func parseKey(der []byte) (*Key, error) {
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("the key cannot be read")
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return nil, errors.New("the key does not sign")
	}
	return NewKey(signer)
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
