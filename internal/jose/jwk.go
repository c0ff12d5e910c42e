package jose

// From the members of a JWK to a public key and its name, and what it must be before
// it is trusted with a signature: strong enough, on its curve, and meant for signatures.

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

const (
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // a larger one only costs time
)

// ecCurves are the curves of EC keys by "crv" (RFC 7518 §6.2.1.1).
var ecCurves = map[string]struct {
	elliptic.Curve
	points ecdh.Curve
}{
	"P-256": {elliptic.P256(), ecdh.P256()},
	"P-384": {elliptic.P384(), ecdh.P384()},
	"P-521": {elliptic.P521(), ecdh.P521()},
}

// jwkMembers are the members of a JWK that decide whether it can be used.
type jwkMembers struct {
	kty, crv, n, e, x, y jwkMember
	kid, alg, use        jwkMember
	keyOps               bool  // there is "key_ops"
	verifies             bool  // and "verify" is in it
	private, symmetric   bool  // there is what no public key has
	wrong                error // a member is of another type
}

// jwkMember is a member that is a string.
type jwkMember struct {
	value string
	given bool
}

// take stores a member.
func (m *jwkMembers) take(name string, v jsontext.Value) {
	switch name {
	case "kty":
		m.text(&m.kty, name, v)
	case "crv":
		m.text(&m.crv, name, v)
	case "n":
		m.text(&m.n, name, v)
	case "e":
		m.text(&m.e, name, v)
	case "x":
		m.text(&m.x, name, v)
	case "y":
		m.text(&m.y, name, v)
	case "kid":
		m.restriction(&m.kid, name, v)
	case "alg":
		m.restriction(&m.alg, name, v)
	case "use":
		m.restriction(&m.use, name, v)
	case "key_ops":
		m.operations(v)
	}
	// What no public key has, not even as null (RFC 7518 §6.2.2, §6.3.2, §6.4.1). Of
	// RSA even dp alone is enough to factor n. In capitals it is no less out.
	switch strings.ToLower(name) {
	case "d", "p", "q", "dp", "dq", "qi", "oth":
		m.private = true
	case "k":
		m.symmetric = true
	}
}

// text stores a member that is a string. Null is as good as no such member.
func (m *jwkMembers) text(into *jwkMember, name string, v jsontext.Value) {
	if v.Kind() != 'n' {
		m.restriction(into, name, v)
	}
}

// restriction stores a member that is a string. It must not be null: that would
// be a restriction taken back.
func (m *jwkMembers) restriction(into *jwkMember, name string, v jsontext.Value) {
	s, ok := strictjson.String(v)
	if !ok {
		m.wrong = fmt.Errorf("its %q is %s, not a string", name, strictjson.KindName(v))
	}
	*into = jwkMember{string(s), true}
}

// operations stores "key_ops".
func (m *jwkMembers) operations(v jsontext.Value) {
	m.keyOps = true
	if v.Kind() != '[' {
		m.wrong = fmt.Errorf(`its "key_ops" is %s, not an array`, strictjson.KindName(v))
		return
	}
	for _, element := range strictjson.Elements(v) {
		operation, ok := strictjson.String(element)
		if !ok {
			m.wrong = fmt.Errorf(`its "key_ops" has %s in it, not only strings`, strictjson.KindName(element))
		}
		m.verifies = m.verifies || string(operation) == "verify"
	}
}

// build makes the public key of the members of a JWK, and looks at both. The bytes
// that are looked at are those that the key is made of.
func (k *Key) build(m *jwkMembers) error {
	switch {
	case m.wrong != nil:
		return m.wrong
	case m.use.given && m.use.value != "sig":
		return fmt.Errorf(`its "use" is %s, not "sig"`, redact.Quote(m.use.value))
	case m.keyOps && !m.verifies:
		return errors.New(`its "key_ops" do not include "verify"`)
	}
	switch m.kty.value {
	case "RSA":
		return k.buildRSA(m)
	case "EC":
		return k.buildEC(m)
	case "OKP":
		return k.buildEd25519(m)
	case "":
		return errors.New(`it has no "kty"`)
	}
	return fmt.Errorf("keys of type %s are not supported", redact.Quote(m.kty.value))
}

func (k *Key) buildRSA(m *jwkMembers) error {
	e, err := member("e", m.e.value, 0)
	if err != nil {
		return err
	}
	n, err := member("n", m.n.value, 0)
	if err != nil {
		return err
	}
	exponent := new(big.Int).SetBytes(e)
	if exponent.BitLen() > 31 {
		return errors.New("its public exponent has more than 31 bits") // as the standard library has it
	}
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}
	k.Public, k.Type = pub, fmt.Sprintf("RSA %d", pub.N.BitLen())
	if err := checkRSA(pub); err != nil {
		return err
	}
	// Both without leading zeros, however the JWK has them (RFC 7518 §6.3.1): one key
	// has one name.
	k.Thumbprint = thumbprint(`{"e":"%s","kty":"RSA","n":"%s"}`, exponent.Bytes(), pub.N.Bytes())
	return nil
}

func (k *Key) buildEC(m *jwkMembers) error {
	curve, ok := ecCurves[m.crv.value]
	if !ok {
		return fmt.Errorf("its curve %s is not supported", redact.Quote(m.crv.value))
	}
	// The coordinates are written in full, leading zeros and all (RFC 7518
	// §6.2.1.2).
	size := (curve.Params().BitSize + 7) / 8
	x, err := member("x", m.x.value, size)
	if err != nil {
		return err
	}
	y, err := member("y", m.y.value, size)
	if err != nil {
		return err
	}
	k.Type = "EC " + m.crv.value
	// crypto/ecdh refuses a point that is not on the curve, and the one at infinity.
	// crypto/ecdsa does so, too, but spends 0.2 ms on its first use; ecdh spares
	// services that never see ES256.
	const uncompressed = 4 // SEC 1 §2.3.3
	if _, err := curve.points.NewPublicKey(slices.Concat([]byte{uncompressed}, x, y)); err != nil {
		return errors.New("its point is not on the curve")
	}
	//lint:ignore SA1019 this point was looked at
	k.Public = &ecdsa.PublicKey{Curve: curve.Curve, X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
	k.Thumbprint = thumbprint(`{"crv":"`+m.crv.value+`","kty":"EC","x":"%s","y":"%s"}`, x, y)
	return nil
}

func (k *Key) buildEd25519(m *jwkMembers) error {
	if m.crv.value != "Ed25519" {
		return fmt.Errorf("its curve %s is not supported", redact.Quote(m.crv.value))
	}
	x, err := member("x", m.x.value, ed25519.PublicKeySize)
	if err != nil {
		return err
	}
	k.Public, k.Type = ed25519.PublicKey(x), "OKP "+m.crv.value
	if err := checkEd25519(x); err != nil {
		return err
	}
	k.Thumbprint = thumbprint(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, x)
	return nil
}

// thumbprint is the SHA-256 of the members that make the key, without spaces and in
// the order of their names (RFC 7638 §3.2; for OKP RFC 8037 §2).
func thumbprint(form string, members ...[]byte) string {
	texts := make([]any, len(members))
	for i, m := range members {
		texts[i] = base64.RawURLEncoding.EncodeToString(m)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, form, texts...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// member decodes a binary member. A size of 0 stands for any but none.
func member(name, value string, size int) ([]byte, error) {
	raw, err := DecodeSegment(nil, value, name)
	if err != nil {
		return nil, fmt.Errorf("its %q is not base64url without padding", name)
	}
	if len(raw) == 0 {
		return nil, fmt.Errorf("it has no %q", name)
	}
	if size != 0 && len(raw) != size {
		return nil, fmt.Errorf("its %q has %d bytes, not %d", name, len(raw), size)
	}
	return raw, nil
}

func checkRSA(pub *rsa.PublicKey) error {
	if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return fmt.Errorf("its modulus has %d bits, not %d to %d", bits, minRSABits, maxRSABits)
	}
	if pub.N.Bit(0) == 0 {
		return errors.New("its modulus is even")
	}
	if pub.E < 3 || pub.E%2 == 0 {
		return errors.New("its public exponent is not an odd number of 3 or more")
	}
	return nil
}

// Ed25519 (RFC 8032 §5.1): a point is the y coordinate, little-endian, with the
// sign of x in the top bit.
var (
	ed25519P = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	// ed25519D is the d of the curve equation -x² + y² = 1 + d·x²·y².
	ed25519D = mustHex("52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3")
	// ed25519SmallOrder holds the y coordinates of the eight points of small
	// order. Under such a "key" signatures can be made up without a private
	// key, and hold for many messages at once.
	ed25519SmallOrder = []*big.Int{
		big.NewInt(0),
		big.NewInt(1),
		new(big.Int).Sub(ed25519P, big.NewInt(1)),
		mustHex("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826"),
		mustHex("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7"),
	}
)

func mustHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("persauth: not hexadecimal: " + s)
	}
	return n
}

func checkEd25519(pub ed25519.PublicKey) error {
	bytes := slices.Clone(pub)
	slices.Reverse(bytes)
	bytes[0] &= 0x7f
	y := new(big.Int).SetBytes(bytes)
	if y.Cmp(ed25519P) >= 0 {
		return errors.New("its point is not written in the canonical way")
	}
	if slices.ContainsFunc(ed25519SmallOrder, func(low *big.Int) bool { return low.Cmp(y) == 0 }) {
		return errors.New("its point is one of small order, under which anyone can sign")
	}
	// x² = (y² - 1) / (d·y² + 1) must have a root, which it has exactly if the
	// product of the two has one.
	y2 := new(big.Int).Mul(y, y)
	u := new(big.Int).Sub(y2, big.NewInt(1))
	v := new(big.Int).Add(new(big.Int).Mul(ed25519D, y2), big.NewInt(1))
	uv := u.Mul(u, v)
	if big.Jacobi(uv.Mod(uv, ed25519P), ed25519P) < 0 {
		return errors.New("its point is not on the curve")
	}
	return nil
}
