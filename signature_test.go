package persauth_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// typeOf tells which algorithms share a type of key: all of RSA, each curve.
func typeOf(alg string) string {
	if alg[0] == 'R' || alg[0] == 'P' {
		return "RSA"
	}
	return alg
}

// Every key, signing in each way that it can, under every "alg" in the header:
// the token is good only where header, signature and key agree. A key without an
// "alg" of its own may do all that its type can.
func TestAlgorithmsCrossed(t *testing.T) {
	var bound, free []string
	for _, alg := range allAlgorithms {
		bound = append(bound, jwkOf(t, keyFor(alg), nil))
		free = append(free, jwkOf(t, keyFor(alg), map[string]any{"alg": nil}))
	}
	withAlg, withoutAlg := holding(t, setOf(bound...)), holding(t, setOf(free...))

	for _, own := range allAlgorithms {
		key := keyFor(own)
		for _, signed := range allAlgorithms {
			if typeOf(signed) != typeOf(own) {
				continue
			}
			for _, named := range allAlgorithms {
				t.Run(fmt.Sprintf("key for %s, signed as %s, header says %s", own, signed, named), func(t *testing.T) {
					token := signingAs(key, signed).Sign([]byte(`{"alg":"`+named+`","kid":"`+key.ID+`"}`), []byte(goodClaims))

					want := persauth.ErrAlgorithm
					if typeOf(named) == typeOf(own) {
						want = persauth.ErrSignature
						if named == signed {
							want = nil
						}
					}
					claims := answers(t, withoutAlg, token, want)
					if want == nil {
						assert.Equal(t, persauth.Verification{Method: persauth.VerifiedLocally, KeyID: key.ID, Algorithm: named}, claims.Verification())
					}
					if named != own {
						want = persauth.ErrAlgorithm
					}
					answers(t, withAlg, token, want)
				})
			}
		}
	}
}

// A good token under the kid of every other key.
func TestKeysCrossed(t *testing.T) {
	v := holding(t, setFor(allAlgorithms...))
	for _, own := range allAlgorithms {
		for _, other := range allAlgorithms {
			t.Run(own+" under the kid of "+other, func(t *testing.T) {
				want := persauth.ErrAlgorithm
				if other == own {
					want = nil
				}
				token := keyFor(own).Sign([]byte(`{"alg":"`+own+`","kid":"kid-`+other+`"}`), []byte(goodClaims))
				answers(t, v, token, want)

				// Another key of the same type and "alg" is another key all the same.
				stranger := jwkOf(t, keyFor(other), map[string]any{"kid": "kid-" + own, "alg": own})
				if other != own && typeOf(other) == typeOf(own) {
					answers(t, holding(t, setOf(stranger)), tokenWith(keyFor(own), goodClaims), persauth.ErrSignature)
				}
			})
		}
	}
}

// signatureOf returns an input as it is signed, and the signature over it.
func signatureOf(alg, claims string) (input string, signature []byte) {
	key := keyFor(alg)
	input = b64(headerFor(key)) + "." + b64(claims)
	return input, key.Signature([]byte(input))
}

func TestECDSASignatures(t *testing.T) {
	for alg, curve := range map[string]elliptic.Curve{
		"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521(),
	} {
		v := holding(t, setFor(alg))
		input, signature := signatureOf(alg, goodClaims)
		size := len(signature) / 2
		r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
		order := curve.Params().N
		all := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*size)), big.NewInt(1))
		pair := func(r, s *big.Int) []byte {
			return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
		plus := func(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }
		zero := new(big.Int)
		der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		require.NoError(t, err)

		rows := map[string]struct {
			signature []byte
			want      error
		}{
			"as signed": {pair(r, s), nil},
			// Of each ECDSA signature anyone can make a second one that holds,
			// so the text of a token is not what identifies it.
			"s negated":           {pair(r, new(big.Int).Sub(order, s)), nil},
			"both zero":           {pair(zero, zero), persauth.ErrSignature},
			"r zero":              {pair(zero, s), persauth.ErrSignature},
			"s zero":              {pair(r, zero), persauth.ErrSignature},
			"r is the order":      {pair(order, s), persauth.ErrSignature},
			"s is the order":      {pair(r, order), persauth.ErrSignature},
			"both the order":      {pair(order, order), persauth.ErrSignature},
			"one above the order": {pair(plus(order, big.NewInt(1)), plus(order, big.NewInt(1))), persauth.ErrSignature},
			"all ones":            {pair(all, all), persauth.ErrSignature},
			"r is one":            {pair(big.NewInt(1), s), persauth.ErrSignature},
			"r negated":           {pair(new(big.Int).Sub(order, r), s), persauth.ErrSignature},
			"swapped":             {pair(s, r), persauth.ErrSignature},
			"DER":                 {der, persauth.ErrSignature},
			"one byte short":      {signature[:2*size-1], persauth.ErrSignature},
			"one byte long":       {append(slices.Clone(signature), 0), persauth.ErrSignature},
			"a zero before":       {append([]byte{0}, signature...), persauth.ErrSignature},
			"a zero before s":     {slices.Concat(signature[:size], []byte{0}, signature[size:]), persauth.ErrSignature},
			"two longer halves":   {slices.Concat([]byte{0}, signature[:size], []byte{0}, signature[size:]), persauth.ErrSignature},
			"only r":              {signature[:size], persauth.ErrSignature},
			"twice":               {append(slices.Clone(signature), signature...), persauth.ErrSignature},
			"nothing":             {nil, persauth.ErrSignature},
		}
		if alg == "ES512" { // here there is room for it
			rows["r plus the order"] = struct {
				signature []byte
				want      error
			}{pair(plus(r, order), s), persauth.ErrSignature}
			rows["s plus the order"] = struct {
				signature []byte
				want      error
			}{pair(r, plus(s, order)), persauth.ErrSignature}
		}
		for name, c := range rows {
			t.Run(alg+" "+name, func(t *testing.T) { answers(t, v, input+"."+b64(c.signature), c.want) })
		}
	}
}

func TestRSASignatures(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256"} {
		v := holding(t, setFor(alg))
		pub := keyFor(alg).Public().(*rsa.PublicKey)

		// A signature that begins with a zero byte, which must be written.
		var input string
		var signature []byte
		for n := 0; signature == nil || signature[0] != 0; n++ {
			input, signature = signatureOf(alg, fmt.Sprintf(`{"n":%d,%s`, n, goodClaims[1:]))
		}
		n := new(big.Int).SetBytes(signature)
		fill := func(n *big.Int) []byte { return n.FillBytes(make([]byte, pub.Size())) }
		other := slices.Clone(signature)
		other[100] ^= 1

		for name, c := range map[string]struct {
			signature []byte
			want      error
		}{
			"as signed":                 {signature, nil},
			"without its leading zero":  {signature[1:], persauth.ErrSignature},
			"with one more zero before": {append([]byte{0}, signature...), persauth.ErrSignature},
			"with one more zero after":  {append(slices.Clone(signature), 0), persauth.ErrSignature},
			"one byte short":            {signature[:len(signature)-1], persauth.ErrSignature},
			"one bit changed":           {other, persauth.ErrSignature},
			"plus the modulus":          {fill(new(big.Int).Add(n, pub.N)), persauth.ErrSignature},
			"the modulus less it":       {fill(new(big.Int).Sub(pub.N, n)), persauth.ErrSignature},
			"zero":                      {fill(new(big.Int)), persauth.ErrSignature},
			"one":                       {fill(big.NewInt(1)), persauth.ErrSignature},
			"the modulus":               {fill(pub.N), persauth.ErrSignature},
			"the modulus less one":      {fill(new(big.Int).Sub(pub.N, big.NewInt(1))), persauth.ErrSignature},
			"nothing":                   {nil, persauth.ErrSignature},
			"twice":                     {append(slices.Clone(signature), signature...), persauth.ErrSignature},
			"the hash in clear":         {fill(new(big.Int).SetBytes(sum(input))), persauth.ErrSignature},
		} {
			t.Run(alg+" "+name, func(t *testing.T) { answers(t, v, input+"."+b64(c.signature), c.want) })
		}
	}
}

func sum(input string) []byte {
	digest := sha256.Sum256([]byte(input))
	return digest[:]
}

// The salt of PSS is as long as the hash (RFC 7518 §3.5), and PKCS #1 v1.5 names
// its hash; other ways to sign with the same key are not the token's "alg".
func TestRSAPaddings(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	v := holding(t, setOf(`{"kty":"RSA","kid":"k","e":"AQAB","n":"`+b64(private.N.Bytes())+`"}`))
	pss := func(salt int) func([]byte) ([]byte, error) {
		return func(digest []byte) ([]byte, error) {
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest, &rsa.PSSOptions{SaltLength: salt})
		}
	}
	pkcs1 := func(hash crypto.Hash) func([]byte) ([]byte, error) {
		return func(digest []byte) ([]byte, error) { return rsa.SignPKCS1v15(nil, private, hash, digest) }
	}
	for name, c := range map[string]struct {
		alg  string
		sign func(digest []byte) ([]byte, error)
		want error
	}{
		"PS256, salt of 32":        {"PS256", pss(32), nil},
		"PS256, salt of 31":        {"PS256", pss(31), persauth.ErrSignature},
		"PS256, salt of 33":        {"PS256", pss(33), persauth.ErrSignature},
		"PS256, salt of 20":        {"PS256", pss(20), persauth.ErrSignature},
		"PS256, as long as it can": {"PS256", pss(rsa.PSSSaltLengthAuto), persauth.ErrSignature},
		"RS256":                    {"RS256", pkcs1(crypto.SHA256), nil},
		"RS256, no hash named":     {"RS256", pkcs1(0), persauth.ErrSignature},
		"RS256, another of 32":     {"RS256", pkcs1(crypto.SHA512_256), persauth.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) {
			input := b64(`{"alg":"`+c.alg+`","kid":"k"}`) + "." + b64(goodClaims)
			signature, err := c.sign(sum(input))
			require.NoError(t, err)
			answers(t, v, input+"."+b64(signature), c.want)
		})
	}
}

func TestEd25519Signatures(t *testing.T) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	v := holding(t, setOf(`{"kty":"OKP","crv":"Ed25519","kid":"k","x":"`+b64(public)+`"}`))
	input := b64(`{"alg":"EdDSA","kid":"k"}`) + "." + b64(goodClaims)
	signature := ed25519.Sign(private, []byte(input))

	// The order of the group; S is written below it (RFC 8032 §5.1.7).
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	scalar := littleEndian(signature[32:])
	withScalar := func(s *big.Int) []byte {
		raw := s.FillBytes(make([]byte, 32))
		slices.Reverse(raw)
		return append(slices.Clone(signature[:32]), raw...)
	}
	digest := crypto.SHA512.New()
	digest.Write([]byte(input))
	prehashed, err := private.Sign(nil, digest.Sum(nil), &ed25519.Options{Hash: crypto.SHA512})
	require.NoError(t, err)
	inContext, err := private.Sign(nil, []byte(input), &ed25519.Options{Context: "JWT"})
	require.NoError(t, err)

	for name, c := range map[string]struct {
		signature []byte
		want      error
	}{
		"as signed":              {signature, nil},
		"S plus the order":       {withScalar(new(big.Int).Add(scalar, order)), persauth.ErrSignature},
		"S plus twice the order": {withScalar(new(big.Int).Add(scalar, new(big.Int).Lsh(order, 1))), persauth.ErrSignature},
		"S is the order":         {withScalar(order), persauth.ErrSignature},
		"S is zero":              {withScalar(new(big.Int)), persauth.ErrSignature},
		"all zero":               {make([]byte, 64), persauth.ErrSignature},
		"R is the neutral point": {slices.Concat([]byte{1}, make([]byte, 31), signature[32:]), persauth.ErrSignature},
		"R with its sign turned": {slices.Concat(signature[:31], []byte{signature[31] ^ 0x80}, signature[32:]), persauth.ErrSignature},
		"swapped":                {slices.Concat(signature[32:], signature[:32]), persauth.ErrSignature},
		"one byte short":         {signature[:63], persauth.ErrSignature},
		"one byte long":          {append(slices.Clone(signature), 0), persauth.ErrSignature},
		"nothing":                {nil, persauth.ErrSignature},
		"Ed25519ph":              {prehashed, persauth.ErrSignature},
		"Ed25519ctx":             {inContext, persauth.ErrSignature},
	} {
		t.Run(name, func(t *testing.T) { answers(t, v, input+"."+b64(c.signature), c.want) })
	}
}

func littleEndian(raw []byte) *big.Int {
	raw = slices.Clone(raw)
	slices.Reverse(raw)
	return new(big.Int).SetBytes(raw)
}
