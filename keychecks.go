package persauth

// What a public key must be before it is trusted with a signature: strong
// enough, on its curve, written in one way only, and meant for signatures.

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const (
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // a larger one only costs time
)

// ecSizes are the sizes in bytes of the coordinates on each curve. They are
// written in full, leading zeros and all (RFC 7518 §6.2.1.2).
var ecSizes = map[string]int{"P-256": 32, "P-384": 48, "P-521": 66}

// jwkMembers are the members of a JWK that decide whether it can be used.
type jwkMembers struct {
	Kty    string             `json:"kty"`
	Kid    optional[string]   `json:"kid"`
	Alg    optional[string]   `json:"alg"`
	Use    optional[string]   `json:"use"`
	KeyOps optional[[]string] `json:"key_ops"`
	Crv    string             `json:"crv"`
	N      string             `json:"n"`
	E      string             `json:"e"`
	X      string             `json:"x"`
	Y      string             `json:"y"`

	// What no public key has, not even as null (RFC 7518 §6.2.2, §6.3.2,
	// §6.4.1). Of RSA even dp alone is enough to factor n.
	D   jsontext.Value `json:"d"`
	P   jsontext.Value `json:"p"`
	Q   jsontext.Value `json:"q"`
	DP  jsontext.Value `json:"dp"`
	DQ  jsontext.Value `json:"dq"`
	QI  jsontext.Value `json:"qi"`
	Oth jsontext.Value `json:"oth"`
	K   jsontext.Value `json:"k"`
}

// private reports whether the JWK has a member of a private key.
func (m *jwkMembers) private() bool {
	return slices.ContainsFunc([]jsontext.Value{m.D, m.P, m.Q, m.DP, m.DQ, m.QI, m.Oth},
		func(v jsontext.Value) bool { return v != nil })
}

// optional is a member that may be missing, but not null: that would be a
// restriction taken back.
type optional[T any] struct {
	value T
	given bool
}

// UnmarshalJSONFrom is called by the JSON decoder.
func (o *optional[T]) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == 'n' {
		return errors.New("null")
	}
	o.given = true
	return json.UnmarshalDecode(dec, &o.value)
}

// checkMembers looks at the members of a JWK before a key is made of them.
func checkMembers(m *jwkMembers) error {
	if m.Use.given && m.Use.value != "sig" {
		return fmt.Errorf(`its "use" is %s, not "sig"`, quoted(m.Use.value))
	}
	if m.KeyOps.given && !slices.Contains(m.KeyOps.value, "verify") {
		return errors.New(`its "key_ops" do not include "verify"`)
	}
	switch m.Kty {
	case "RSA":
		e, err := member("e", m.E, 0)
		if err != nil {
			return err
		}
		if _, err := member("n", m.N, 0); err != nil {
			return err
		}
		// The standard library takes no exponent of more than 31 bits, and
		// the JWK library would cut a longer one down to fit.
		if exponent := new(big.Int).SetBytes(e); exponent.BitLen() > 31 {
			return errors.New("its public exponent has more than 31 bits")
		}
	case "EC":
		size, ok := ecSizes[m.Crv]
		if !ok {
			return fmt.Errorf("its curve %s is not supported", quoted(m.Crv))
		}
		if _, err := member("x", m.X, size); err != nil {
			return err
		}
		if _, err := member("y", m.Y, size); err != nil {
			return err
		}
	case "OKP":
		if m.Crv != "Ed25519" {
			return fmt.Errorf("its curve %s is not supported", quoted(m.Crv))
		}
		if _, err := member("x", m.X, ed25519.PublicKeySize); err != nil {
			return err
		}
	case "":
		return errors.New(`it has no "kty"`)
	default:
		return fmt.Errorf("keys of type %s are not supported", quoted(m.Kty))
	}
	return nil
}

// member decodes a binary member. A size of 0 stands for any but none.
func member(name, value string, size int) ([]byte, error) {
	raw, err := decodeSegment(nil, value, name)
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

func checkEC(pub *ecdsa.PublicKey) error {
	// ECDH refuses a point that is not on the curve, and the one at infinity.
	if _, err := pub.ECDH(); err != nil {
		return errors.New("its point is not on the curve")
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
