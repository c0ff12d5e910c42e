package persauthtest

// The tokens of WriteFixtures.

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"time"

	"github.com/persauth/persauth"
)

// fixtureMaker collects them. Its issuer's tokens live long.
type fixtureMaker struct {
	*Issuer
	all []Fixture
}

func (f *fixtureMaker) valid(name, why, token string) {
	f.all = append(f.all, Fixture{Name: name, Expect: "valid", Why: why, Token: token})
}

func (f *fixtureMaker) invalid(rule, name, code, why, token string) {
	f.all = append(f.all, Fixture{Name: name, Expect: "invalid", Error: code, Rule: rule, Why: why, Token: token})
}

func (f *fixtureMaker) good() {
	tenant := f.tenant()
	for _, key := range f.Keys() {
		f.valid("user-"+strings.ToLower(key.Algorithm), "an end user, "+key.Algorithm, f.TokenBy(key, map[string]any{"authType": persauth.AuthUser}))
	}
	f.valid("business-admin", "a business session with its role", f.BusinessToken(tenant, DefaultBusiness, "ADMIN"))
	f.valid("business-roles", "several roles: an array", f.BusinessToken(tenant, DefaultBusiness, "ADMIN", "EDITOR"))
	f.valid("tenant-admin", "an admin of the tenant", f.TenantToken(tenant, "TENANT_ADMIN"))
	f.valid("system", "a program of the tenant", f.SystemToken(tenant))
	f.valid("at-jwt", "the type of RFC 9068", f.TokenWithHeader(map[string]any{"typ": "at+jwt"}, nil))
	f.valid("no-typ", "a header without a type", f.TokenWithHeader(map[string]any{"typ": nil}, nil))
	f.valid("nbf-past", "nbf has passed", f.Token(map[string]any{"nbf": fixtureTime.Unix()}))
	f.valid("fraction", "exp has a fraction of a second", f.Token(map[string]any{"exp": float64(fixtureExpiry.Unix()) + 0.5}))
	f.valid("more-claims", "claims that nobody knows", f.Token(map[string]any{"x": map[string]any{"y": []any{1, nil, "z"}}}))
}

// tenant is that of tokens that name none.
func (f *fixtureMaker) tenant() string {
	if tenant := f.tokenDefaults().tenant; tenant != "" {
		return tenant
	}
	return DefaultTenant
}

func (f *fixtureMaker) late() {
	hour := fixtureTime.Add(time.Hour).Unix()
	f.invalid("jwt", "expired", "expired", "exp has passed", f.Token(map[string]any{"exp": hour}))
	f.invalid("jwt", "not-yet", "not_yet_valid", "nbf is in the future", f.Token(map[string]any{"nbf": fixtureExpiry.Add(-time.Hour).Unix()}))
	f.invalid("strict", "issued-later", "not_yet_valid", "iat is in the future", f.Token(map[string]any{"iat": fixtureExpiry.Add(-time.Hour).Unix()}))
	f.invalid("strict", "no-exp", "claims", "no exp", f.Token(map[string]any{"exp": nil}))
	f.invalid("jwt", "exp-text", "claims", "exp is a text", f.Token(map[string]any{"exp": "2099-01-01"}))
}

func (f *fixtureMaker) forged() {
	signer := f.current()
	good := f.Token(nil)
	stranger := func(id string) *Key {
		key, err := NewKey(id, signer.Algorithm, f.seed+" stranger")
		if err != nil {
			f.t.Fatalf("%v", err)
		}
		key.fixed = true
		return key
	}
	f.all = append(f.all, Fixture{Name: "unknown-key", Expect: "unknown-key", Error: "unknown_key", Rule: "jwt",
		Why: "a key that is not in the set: PERS decides, or nobody", Token: f.TokenBy(stranger("unknown-key"), nil)})
	f.invalid("jwt", "wrong-key", "signature", "the kid of a published key, signed by another", f.TokenBy(stranger(signer.ID), nil))
	f.invalid("jwt", "tampered", "signature", "claims of an admin under the signature of a user",
		join(part(good, 0), part(f.TenantToken(f.tenant(), "TENANT_ADMIN"), 1), part(good, 2)))
	f.invalid("jwt", "no-signature", "signature", "an empty signature", join(part(good, 0), part(good, 1), ""))
	f.invalid("jwt", "alg-none", "algorithm", "alg none (RFC 8725 §2.1)", join(encode([]byte(`{"alg":"none"}`)), part(good, 1), ""))
	input := join(encode(marshal(map[string]string{"alg": "HS256", "typ": "JWT", "kid": signer.ID})), part(good, 1))
	f.invalid("jwt", "hs256-public-key", "algorithm", "HS256 with the public key for a secret (RFC 8725 §2.1)", input+"."+encode(macWithPublicKey(signer, input)))
	f.invalid("jwt", "hs256-refresh", "algorithm", "symmetric, as refresh tokens of PERS are", f.SymmetricToken(map[string]any{"tokenType": "refresh"}))
	attacker := stranger(signer.ID)
	f.invalid("jwt", "jwk-in-header", "signature", "signed by a key that it brings along (RFC 8725 §3.10)",
		f.SignedBy(attacker, map[string]any{"jwk": rawJSON(attacker.JWK())}))
	for _, key := range f.Keys() {
		if _, ok := key.Public().(*ecdsa.PublicKey); ok {
			token := f.TokenBy(key, nil)
			f.invalid("jwt", "ecdsa-der", "signature", "an ECDSA signature as DER (RFC 7518 §3.4)",
				join(part(token, 0), part(token, 1), encode(asDER(decode(part(token, 2))))))
			break
		}
	}
}

// SignedBy is a token with a header of one's own, by a key of one's own.
func (f *fixtureMaker) SignedBy(key *Key, header map[string]any) string {
	return f.sign(key, header, nil)
}

func (f *fixtureMaker) odd() {
	signer := f.current()
	good := f.Token(nil)
	payload := decode(part(good, 1))
	signed := func(header, payload string) string { return signer.Sign([]byte(header), []byte(payload)) }
	header := string(signer.header(nil))
	f.invalid("jwt", "two-parts", "malformed", "two parts", join(part(good, 0), part(good, 1)))
	f.invalid("jwt", "four-parts", "malformed", "four parts", good+".AA")
	f.invalid("strict", "padding", "malformed", "base64 with padding", join(part(good, 0), part(good, 1), part(good, 2)+"="))
	f.invalid("strict", "white-space", "malformed", "a line break at its end", good+"\n")
	f.invalid("strict", "claim-twice", "malformed", "tenantId twice: two parsers see two tenants",
		signed(header, strings.TrimSuffix(string(payload), "}")+`,"tenantId":"other","tenantId":"another"}`))
	f.invalid("strict", "alg-twice", "malformed", "alg twice", signed(`{"alg":"none",`+header[1:], string(payload)))
	f.invalid("jwt", "crit", "malformed", "a critical extension that nobody knows (RFC 7515 §4.1.11)",
		signed(strings.TrimSuffix(header, "}")+`,"crit":["x"],"x":1}`, string(payload)))
	f.invalid("jwt", "claims-array", "malformed", "claims that are an array", signed(header, `[`+string(payload)+`]`))
	f.invalid("strict", "proof-type", "malformed", "the type of a DPoP proof", f.TokenWithHeader(map[string]any{"typ": "dpop+jwt"}, nil))
	f.invalid("strict", "too-long", "malformed", "more than 16 KiB", f.Token(map[string]any{"filler": strings.Repeat("a", 16<<10)}))
}

// foreign are those that only who knows PERS can tell.
func (f *fixtureMaker) foreign() {
	f.invalid("pers", "no-tenant", "claims", "no tenant", f.Token(map[string]any{"tenantId": nil}))
	f.invalid("pers", "empty-tenant", "claims", "an empty tenant", f.Token(map[string]any{"tenantId": ""}))
	f.invalid("pers", "tenant-number", "claims", "a tenant that is a number", f.Token(map[string]any{"tenantId": 1}))
	f.invalid("pers", "refresh-kind", "claims", "a refresh token, signed like an access token", f.Token(map[string]any{"type": "USER_JWT_REFRESH_TOKEN"}))
	f.invalid("pers", "bound", "proof", "bound to a key (RFC 9449): worth nothing without a proof",
		f.Token(map[string]any{"cnf": map[string]string{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}))
}

// rawJSON is JSON as it is.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// macWithPublicKey is what an attacker sends who hopes that a library takes a
// public key for a secret.
func macWithPublicKey(key *Key, input string) []byte {
	raw, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	h := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: raw}))
	h.Write([]byte(input))
	return h.Sum(nil)
}

// asDER writes an ECDSA signature as X.509 has it.
func asDER(signature []byte) []byte {
	half := len(signature) / 2
	raw, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:])})
	must(err)
	return raw
}
