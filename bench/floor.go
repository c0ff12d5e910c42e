package main

// The floor: what every verifier of a token must do, and nothing else, written as
// anybody would write it with the standard library.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
)

// holds reports whether the signature of a token holds: base64 of the signature,
// the hash, and the bare check of the standard library. Like everybody it is given
// the token as text.
func holds(public crypto.PublicKey, token string) bool {
	dot := strings.LastIndexByte(token, '.')
	input := []byte(token[:dot])
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		return false
	}
	switch pub := public.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(input)
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(input)
		return ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(pub, input, signature)
	}
	return false
}

// floorLane checks the signatures of tokens.
func floorLane(w *world, tokens []string) lane {
	public := w.key.Public()
	return clocked("floor", func(from, to int) {
		for i := from; i < to; i++ {
			if !holds(public, tokens[i%len(tokens)]) {
				panic("the floor refused a good token")
			}
		}
	})
}
