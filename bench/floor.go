package main

// The floor: what every verifier of a token must do, and nothing else.

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

// cut is a token in the two parts that a check of its signature is about.
type cut struct {
	input     []byte
	signature string
}

func cutToken(token string) cut {
	dot := strings.LastIndexByte(token, '.')
	return cut{[]byte(token[:dot]), token[dot+1:]}
}

// holds reports whether the signature holds: base64 of the signature, the hash,
// and the bare check of the standard library.
func (c cut) holds(public crypto.PublicKey) bool {
	var room [512]byte
	signature, err := base64.RawURLEncoding.AppendDecode(room[:0], []byte(c.signature))
	if err != nil {
		return false
	}
	switch pub := public.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256(c.input)
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], signature) == nil
	case *ecdsa.PublicKey:
		if len(signature) != 64 {
			return false
		}
		digest := sha256.Sum256(c.input)
		return ecdsa.Verify(pub, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	case ed25519.PublicKey:
		return ed25519.Verify(pub, c.input, signature)
	}
	return false
}

// floorLane checks the signatures of tokens.
func floorLane(w *world, tokens []string) lane {
	public := w.key.Public()
	cuts := make([]cut, len(tokens))
	for i, token := range tokens {
		cuts[i] = cutToken(token)
	}
	return clocked("floor", func(from, to int) {
		for i := from; i < to; i++ {
			if !cuts[i%len(cuts)].holds(public) {
				panic("the floor refused a good token")
			}
		}
	})
}
