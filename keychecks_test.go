package persauth_test

import (
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rsaJWK is an RSA key of a modulus that nobody has the factors of.
func rsaJWK(modulus, exponent *big.Int) string {
	return `{"kty":"RSA","kid":"k","n":"` + b64(modulus.Bytes()) + `","e":"` + b64(exponent.Bytes()) + `"}`
}

// modulus is an odd number of so many bits.
func modulus(bits int) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits)-1)
	return n.Add(n, big.NewInt(12345))
}

func pow2(bits uint, plus int64) *big.Int {
	return new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), bits), big.NewInt(plus))
}

// edPoint is the Ed25519 key of a y coordinate, which is written little-endian.
func edPoint(y *big.Int) string {
	raw := y.FillBytes(make([]byte, 32))
	slices.Reverse(raw)
	return `{"kty":"OKP","crv":"Ed25519","kid":"k","x":"` + b64(raw) + `"}`
}

func coordinate(n *big.Int) string { return b64(n.FillBytes(make([]byte, 32))) }

func ecPoint(x, y string) string {
	return `{"kty":"EC","crv":"P-256","kid":"k","x":"` + x + `","y":"` + y + `"}`
}

// Which keys can be used. What InspectKeys says is what New does.
func TestKeysUsable(t *testing.T) {
	rs, ec, ed := keyFor("RS256"), keyFor("ES256"), keyFor("EdDSA")
	with := func(key *persauthtest.Key, name string, value any) string {
		return jwkOf(t, key, map[string]any{name: value})
	}
	addTo := func(key *persauthtest.Key, member string) string {
		return strings.TrimSuffix(string(key.JWK()), "}") + "," + member + "}"
	}
	f4 := big.NewInt(65537)
	edP := pow2(255, -19)
	// The point of P-256 at x = 5, and the same x as it must not be written.
	p256 := elliptic.P256().Params()
	x5 := big.NewInt(5)
	y5 := new(big.Int).ModSqrt(new(big.Int).Add(big.NewInt(5*5*5-3*5), p256.B), p256.P)
	var members map[string]string
	require.NoError(t, json.Unmarshal(ec.JWK(), &members))
	x, y := members["x"], members["y"]

	for name, c := range map[string]struct {
		jwk    string
		usable bool
	}{
		"RSA":                           {string(rs.JWK()), true},
		"EC":                            {string(ec.JWK()), true},
		"Ed25519":                       {string(ed.JWK()), true},
		"RSA 1024":                      {rsaJWK(modulus(1024), f4), false},
		"RSA 2047":                      {rsaJWK(modulus(2047), f4), false},
		"RSA 2048":                      {rsaJWK(modulus(2048), f4), true},
		"RSA 2049":                      {rsaJWK(modulus(2049), f4), true},
		"RSA 8192":                      {rsaJWK(modulus(8192), f4), true},
		"RSA 8193":                      {rsaJWK(modulus(8193), f4), false},
		"RSA 16384":                     {rsaJWK(modulus(16384), f4), false},
		"RSA even":                      {rsaJWK(pow2(2047, 2), f4), false},
		"e = 0":                         {`{"kty":"RSA","n":"` + b64(modulus(2048).Bytes()) + `","e":"AA"}`, false},
		"e = 1":                         {rsaJWK(modulus(2048), big.NewInt(1)), false},
		"e = 2":                         {rsaJWK(modulus(2048), big.NewInt(2)), false},
		"e = 3":                         {rsaJWK(modulus(2048), big.NewInt(3)), true},
		"e = 4":                         {rsaJWK(modulus(2048), big.NewInt(4)), false},
		"e = 65536":                     {rsaJWK(modulus(2048), big.NewInt(65536)), false},
		"e = 2^31 - 1":                  {rsaJWK(modulus(2048), pow2(31, -1)), true},
		"e = 2^31 + 1":                  {rsaJWK(modulus(2048), pow2(31, 1)), false},
		"e = 2^32 + 1":                  {rsaJWK(modulus(2048), pow2(32, 1)), false},
		"e = 2^32 + F4":                 {rsaJWK(modulus(2048), pow2(32, 65537)), false},
		"e = 2^64 + 1":                  {rsaJWK(modulus(2048), pow2(64, 1)), false},
		"e = 2^64 + F4":                 {rsaJWK(modulus(2048), pow2(64, 65537)), false},
		"e is a number":                 {with(rs, "e", 65537), false},
		"no e":                          {with(rs, "e", nil), false},
		"no n":                          {with(rs, "n", nil), false},
		"n is empty":                    {with(rs, "n", ""), false},
		"n padded":                      {`{"kty":"RSA","n":"` + b64(modulus(2048).Bytes()) + `==","e":"AQAB"}`, false},
		"n and a break":                 {`{"kty":"RSA","n":"` + b64(modulus(2048).Bytes()) + `\n","e":"AQAB"}`, false},
		"n of full groups, and a break": {`{"kty":"RSA","n":"` + b64(modulus(3072).Bytes()) + `\n","e":"AQAB"}`, false},
		"e, standard alphabet":          {`{"kty":"RSA","n":"` + b64(modulus(2048).Bytes()) + `","e":"AQ+/"}`, false},

		"x too short":          {ecPoint(x[:40], y), false},
		"y too short":          {ecPoint(x, b64(make([]byte, 31))), false},
		"x too long":           {ecPoint("AA"+x, y), false},
		"no y":                 {with(ec, "y", nil), false},
		"off the curve":        {ecPoint(y, x), false},
		"at infinity":          {ecPoint(coordinate(new(big.Int)), coordinate(new(big.Int))), false},
		"on the curve at 5":    {ecPoint(coordinate(x5), coordinate(y5)), true},
		"at 5 + p":             {ecPoint(coordinate(new(big.Int).Add(x5, p256.P)), coordinate(y5)), false},
		"at 5, written short":  {ecPoint(b64(x5.Bytes()), coordinate(y5)), false},
		"at 5, written long":   {ecPoint(b64(x5.FillBytes(make([]byte, 33))), coordinate(y5)), false},
		"another curve's name": {with(ec, "crv", "P-384"), false},
		"an unknown curve":     {with(ec, "crv", "secp256k1"), false},
		"no curve":             {with(ec, "crv", nil), false},
		"curve in lower case":  {with(ec, "crv", "p-256"), false},

		"Ed25519 at 3":         {edPoint(big.NewInt(3)), true},
		"Ed25519 at 3 + p":     {edPoint(new(big.Int).Add(edP, big.NewInt(3))), false},
		"Ed25519 off curve":    {edPoint(big.NewInt(2)), false},
		"Ed25519 of order 1":   {edPoint(big.NewInt(1)), false},
		"Ed25519 of order 4":   {edPoint(new(big.Int)), false},
		"Ed25519, all ones":    {edPoint(pow2(256, -1)), false},
		"Ed25519 at 3, short":  {`{"kty":"OKP","crv":"Ed25519","x":"` + b64(append([]byte{3}, make([]byte, 30)...)) + `"}`, false},
		"Ed25519 at 3, long":   {`{"kty":"OKP","crv":"Ed25519","x":"` + b64(append([]byte{3}, make([]byte, 32)...)) + `"}`, false},
		"Ed25519, short":       {`{"kty":"OKP","crv":"Ed25519","x":"` + b64(make([]byte, 31)) + `"}`, false},
		"Ed25519, long":        {`{"kty":"OKP","crv":"Ed25519","x":"` + b64(make([]byte, 33)) + `"}`, false},
		"Ed25519, no x":        {`{"kty":"OKP","crv":"Ed25519"}`, false},
		"X25519":               {with(ed, "crv", "X25519"), false},
		"Ed448":                {`{"kty":"OKP","crv":"Ed448","x":"` + b64(make([]byte, 57)) + `"}`, false},
		"no type":              {with(ec, "kty", nil), false},
		"type in lower case":   {with(ec, "kty", "ec"), false},
		"an unknown type":      {`{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`, false},
		"a type of many cases": {addTo(rs, `"KTY":"EC","Kty":"oct"`), true}, // RFC 7517 §4: other names, so other members

		"use sig":              {with(ec, "use", "sig"), true},
		"no use":               {with(ec, "use", nil), true},
		"use enc":              {with(ec, "use", "enc"), false},
		"use, empty":           {with(ec, "use", ""), false},
		"use, a list":          {with(ec, "use", []string{"sig"}), false},
		"ops verify":           {with(ec, "key_ops", []string{"verify"}), true},
		"ops sign and verify":  {with(ec, "key_ops", []string{"sign", "verify"}), true},
		"ops sign":             {with(ec, "key_ops", []string{"sign"}), false},
		"ops, none":            {with(ec, "key_ops", []string{}), false},
		"ops, other case":      {with(ec, "key_ops", []string{"Verify"}), false},
		"ops, a string":        {with(ec, "key_ops", "verify"), false},
		"verify, but use enc":  {jwkOf(t, ec, map[string]any{"use": "enc", "key_ops": []string{"verify"}}), false},
		"no alg":               {with(ec, "alg", nil), true},
		"alg of another type":  {with(ec, "alg", "RS256"), false},
		"alg of another curve": {with(ec, "alg", "ES384"), false},
		"alg none":             {with(ec, "alg", "none"), false},
		"alg HS256":            {with(rs, "alg", "HS256"), false},
		"alg for encryption":   {with(rs, "alg", "RSA-OAEP-256"), false},
		"alg, empty":           {with(rs, "alg", ""), false},
		"alg, a list":          {with(rs, "alg", []string{"RS256"}), false},
		"alg Ed25519":          {with(ed, "alg", "Ed25519"), true}, // RFC 9864 §2.2
		"alg Ed25519 of RSA":   {with(rs, "alg", "Ed25519"), false},
		"alg Ed25519 of EC":    {with(ec, "alg", "Ed25519"), false},
		"alg Ed448":            {with(ed, "alg", "Ed448"), false},
		"alg ed25519":          {with(ed, "alg", "ed25519"), false},
		"kid, a number":        {with(ec, "kid", 7), false},
		"kid, empty":           {with(ec, "kid", ""), true},
		"no kid":               {with(ec, "kid", nil), true},

		"private EC":            {addTo(ec, `"d":"AAAA"`), false},
		"private EC, d empty":   {addTo(ec, `"d":""`), false},
		"private EC, d null":    {addTo(ec, `"d":null`), false},
		"alg null":              {with(ec, "alg", json.RawMessage("null")), false},
		"use null":              {with(ec, "use", json.RawMessage("null")), false},
		"key_ops null":          {with(ec, "key_ops", json.RawMessage("null")), false},
		"key_ops null within":   {addTo(ec, `"key_ops":[null]`), false},
		"private RSA":           {addTo(rs, `"d":"AAAA"`), false},
		"a prime of RSA":        {addTo(rs, `"p":"AAAA"`), false},
		"the other prime":       {addTo(rs, `"q":"AAAA"`), false},
		"an exponent of RSA":    {addTo(rs, `"dp":"AAAA"`), false}, // the factors follow from it
		"the other exponent":    {addTo(rs, `"dq":"AAAA"`), false},
		"a coefficient of RSA":  {addTo(rs, `"qi":"AAAA"`), false},
		"further primes of RSA": {addTo(rs, `"oth":[]`), false},
		"private Ed25519":       {addTo(ed, `"d":"AAAA"`), false},
		"symmetric":             {`{"kty":"oct","k":"AAAA","alg":"HS256"}`, false},
		"a secret beside":       {addTo(ec, `"k":"AAAA"`), false},
		"private, in capitals":  {addTo(rs, `"D":"AAAA"`), false},
		"secret, in capitals":   {addTo(ec, `"K":null`), false},
		"a certificate amiss":   {addTo(rs, `"x5t":5,"x5u":5,"x5c":"EC"`), true}, // a key does not bring its own trust
		"members of no meaning": {addTo(ec, `"x5t#S256":"AAAA","iat":1,"":[{"d":1}]`), true},
		"a member twice":        {addTo(ec, `"use":"sig"`), false},
		"twice, by an escape":   {addTo(ec, `"us\u0065":"sig"`), false},
		"twice inside of one":   {addTo(ec, `"a":{"b":1,"b":1}`), false},
		"32 deep":               {addTo(ec, `"a":`+nested(31)), true},
		"33 deep":               {addTo(ec, `"a":`+nested(32)), false},
		"a string":              {`"key"`, false},
		"null":                  {`null`, false},
		"an empty object":       {`{}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			infos, err := persauth.InspectKeys([]byte(setOf(c.jwk)))
			require.NoError(t, err)
			require.Len(t, infos, 1)
			assert.Equal(t, c.usable, infos[0].Problem == "", "%+v", infos[0])
			assert.Equal(t, c.usable, len(infos[0].Algorithms) > 0)

			_, err = persauth.New(persauth.Config{Keys: persauth.StaticKeys([]byte(setOf(c.jwk)))})
			assert.Equal(t, c.usable, err == nil)

			// Beside a good one it is skipped, and does no harm.
			good := jwkOf(t, keyFor("ES384"), nil)
			v := holding(t, setOf(c.jwk, good))
			answers(t, v, tokenWith(keyFor("ES384"), goodClaims), nil)
			status := v.Status().Keys
			assert.Equal(t, !c.usable, len(status.Skipped) == 1)
		})
	}
}

// A key has one name, also where its numbers are written with leading zeros.
func TestOneKeyHasOneName(t *testing.T) {
	key := keyFor("RS256")
	pub := key.Public().(*rsa.PublicKey)
	padded := jwkOf(t, key, map[string]any{"n": b64("\x00\x00" + string(pub.N.Bytes())), "e": "AAEAAQ"})
	infos, err := persauth.InspectKeys([]byte(setOf(jwkOf(t, key, nil), padded)))
	require.NoError(t, err)
	require.Empty(t, infos[1].Problem)
	assert.Equal(t, infos[0].Thumbprint, infos[1].Thumbprint)
	assert.Equal(t, infos[0].Type, infos[1].Type)
}

// A key that is published as Ed25519 (RFC 9864 §2.2) checks EdDSA tokens. Tokens
// themselves are only accepted under the name EdDSA.
func TestKeyNamedEd25519(t *testing.T) {
	key := keyFor("EdDSA")
	jwk := jwkOf(t, key, map[string]any{"alg": "Ed25519"})
	infos, err := persauth.InspectKeys([]byte(setOf(jwk)))
	require.NoError(t, err)
	assert.Equal(t, []string{"EdDSA"}, infos[0].Algorithms)
	v := holding(t, setOf(jwk))
	answers(t, v, tokenWith(key, goodClaims), nil)
	answers(t, v, key.Sign([]byte(`{"alg":"Ed25519","kid":"kid-EdDSA"}`), []byte(goodClaims)), persauth.ErrAlgorithm)
}
