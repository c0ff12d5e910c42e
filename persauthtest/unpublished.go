package persauthtest

// Tokens that PERS takes and the published keys cannot check: signed by a key
// that is not published, or with a secret.

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
)

// UnpublishedToken is [Issuer.Token], signed by a key that PERS knows and has
// not published: to the keys at hand it is a stranger's, and /auth/verify takes
// it. All such tokens have the same key, until that key is published.
func (iss *Issuer) UnpublishedToken(claims any) string {
	iss.t.Helper()
	return iss.TokenBy(iss.UnpublishedKey(), claims)
}

// UnpublishedKey is the key that signs [Issuer.UnpublishedToken].
func (iss *Issuer) UnpublishedKey() *Key {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	if iss.hidden == nil {
		iss.unseen++
		iss.hidden = iss.ownKey(fmt.Sprintf("unpublished-key-%d", iss.unseen), iss.signer.Algorithm)
	}
	return iss.hidden
}

// Publish adds keys to the published set: the unpublished one, retired ones, or
// any that [NewKey] made. It does not change which key signs.
func (iss *Issuer) Publish(keys ...*Key) {
	iss.mu.Lock()
	defer iss.mu.Unlock()
	for _, key := range keys {
		if !slices.Contains(iss.keys, key) {
			iss.keys = append(iss.keys, key)
		}
		if !slices.Contains(iss.known, key) {
			iss.known = append(iss.known, key)
		}
		if iss.hidden == key {
			iss.hidden = nil
		}
	}
}

// Forget takes keys away altogether, as one does with keys that were stolen:
// they are published no longer, and /auth/verify takes none of their tokens.
func (iss *Issuer) Forget(keys ...*Key) {
	iss.Retire(keys...)
	iss.mu.Lock()
	defer iss.mu.Unlock()
	iss.known = slices.DeleteFunc(iss.known, func(k *Key) bool { return slices.Contains(keys, k) })
	if slices.Contains(keys, iss.hidden) {
		iss.hidden = nil
	}
}

// SymmetricToken is [Issuer.Token], signed by HS256 with a secret of PERS. Only
// /auth/verify can check it.
func (iss *Issuer) SymmetricToken(claims any) string {
	iss.t.Helper()
	input := encode(marshal(map[string]string{"alg": "HS256", "typ": "JWT"})) + "." + encode(iss.payload(claims))
	return input + "." + encode(iss.mac([]byte(input)))
}

func (iss *Issuer) mac(input []byte) []byte {
	h := hmac.New(sha256.New, iss.secret)
	h.Write(input)
	return h.Sum(nil)
}

// signed reports whether PERS signed input.
func (iss *Issuer) signed(algorithm string, input, signature []byte) bool {
	if algorithm == "HS256" {
		return hmac.Equal(iss.mac(input), signature)
	}
	iss.mu.Lock()
	known := slices.Clone(iss.known)
	iss.mu.Unlock()
	return slices.ContainsFunc(known, func(k *Key) bool { return k.Algorithm == algorithm && k.verifies(input, signature) })
}

// derive returns 32 bytes for a purpose: random, or from the seed.
func (iss *Issuer) derive(purpose string) []byte {
	if iss.seed == "" {
		bits := make([]byte, 32)
		_, _ = rand.Read(bits) // it never fails
		return bits
	}
	bits, err := hkdf.Key(sha256.New, []byte(iss.seed), nil, "persauthtest "+purpose, 32)
	if err != nil {
		iss.t.Fatalf("persauthtest: %v", err)
	}
	return bits
}
