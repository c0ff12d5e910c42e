package persauth

import (
	"context"
	"slices"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/persapi"
)

// Key sets (RFC 7517) as users see them: what is in one.

// KeyInfo describes a key of a key set.
type KeyInfo struct {
	// Position is the key's place in the "keys" array, from 0.
	Position int `json:"position"`
	// KeyID is the key's "kid", which may be empty.
	KeyID string `json:"keyId"`
	// Type is the key's "kty", with the curve or the length: "RSA 2048",
	// "EC P-256", "OKP Ed25519".
	Type string `json:"type"`
	// Algorithms are the algorithms that the key may be used for.
	Algorithms []string `json:"algorithms,omitempty"`
	// Thumbprint is the key's SHA-256 thumbprint (RFC 7638) in base64url.
	Thumbprint string `json:"thumbprint,omitempty"`
	// Problem says why the key cannot be used. It is empty for a good key.
	Problem string `json:"problem,omitempty"`
}

// InspectKeys reads a JWK Set and describes each of its keys, in order, with
// what is wrong with those that cannot be used. The error says that jwks is no
// JWK Set at all.
func InspectKeys(jwks []byte) ([]KeyInfo, error) {
	keys, err := jose.InspectKeySet(jwks)
	if err != nil {
		return nil, err
	}
	return publicInfos(keys), nil
}

// publicInfos are copies that the caller may change.
func publicInfos(keys []jose.KeyInfo) []KeyInfo {
	infos := make([]KeyInfo, len(keys))
	for i, k := range keys {
		infos[i] = KeyInfo{k.Position, k.KeyID, k.Type, slices.Clone(k.Algorithms), k.Thumbprint, k.Problem}
	}
	return infos
}

// persOrigin reads the tenant's key set from PERS.
type persOrigin struct{ pers *persapi.Client }

func (o persOrigin) name() string { return "remote" }

func (o persOrigin) read(ctx context.Context, fresh bool) (reading, error) {
	body, freshFor, err := o.pers.Keys(ctx, fresh)
	return reading{body: body, freshFor: freshFor}, apiErr(err)
}
