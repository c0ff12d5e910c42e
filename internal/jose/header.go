package jose

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/strictjson"
)

// The JOSE header (RFC 7515 §4), read strictly.

// Header is the part of the JOSE header that verification rests on. "jku",
// "jwk", "x5u" and "x5c" are not read at all: a token does not bring its own
// key. A header is immutable.
type Header struct {
	Alg, Kid, Typ   string
	HasKid, HasTyp  bool
	Algorithm       *Algorithm // nil: not one that a public key can check
	HasCrit, HasB64 bool
}

// DecodeHeader reads the JOSE header strictly: member names are
// case-sensitive, none comes twice, and the ones we know have their type.
func DecodeHeader(segment string) (*Header, error) {
	raw, err := DecodeSegment(nil, segment, "header")
	if err != nil {
		return nil, err
	}
	h := new(Header)
	var wrong error
	textOf := func(name string, v jsontext.Value) string {
		member, ok := strictjson.String(v)
		if !ok && wrong == nil {
			wrong = &Error{Check: name, Want: "a string", Got: strictjson.KindName(v)}
		}
		return string(member)
	}
	err = strictjson.Members(raw, func(name string, v jsontext.Value) {
		switch name {
		case "alg":
			h.Alg = textOf(name, v)
		case "kid":
			h.Kid, h.HasKid = textOf(name, v), true
		case "typ":
			h.Typ, h.HasTyp = textOf(name, v), true
		case "crit":
			h.HasCrit = true
		case "b64":
			h.HasB64 = true
		}
	})
	if err != nil {
		return nil, &Error{Check: "header", Want: "a strict JSON object", Cause: err}
	}
	if wrong != nil {
		return nil, wrong
	}
	h.Algorithm = Algorithms[h.Alg]
	return h, nil
}

// Symmetric reports whether alg is one of the algorithms with a shared secret (RFC
// 7518 §3.2), which no public key can check.
func Symmetric(alg string) bool { return alg == "HS256" || alg == "HS384" || alg == "HS512" }

// MediaType makes "typ" values comparable: they are media types, so not
// case-sensitive, and "application/" may be left out (RFC 7515 §4.1.9).
func MediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
