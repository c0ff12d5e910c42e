package persauth

// The compact serialization of a JWS (RFC 7515 §7.1) and its JOSE header (§4),
// read strictly: whatever two readers could take for two things is refused.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxTokenSize bounds, in bytes, what a stranger can make us look at.
	maxTokenSize = 16 << 10
	// maxDepth bounds how deep objects and arrays may nest in a header or in
	// claims.
	maxDepth = 32
)

// segments are the three parts of a compact serialization, still encoded.
type segments struct {
	header, payload, signature string
	signingInput               string // header and payload with the dot between
}

// checkSize is the first look at a token, before anything is read of it.
func checkSize(token string) error {
	if len(token) == 0 {
		return &Error{Check: "size", Want: "a token", Got: "nothing", Err: ErrMalformed}
	}
	if len(token) > maxTokenSize {
		return &Error{Check: "size", Want: fmt.Sprintf("at most %d bytes", maxTokenSize),
			Got: fmt.Sprintf("%d bytes", len(token)), Err: ErrMalformed}
	}
	return nil
}

// split cuts a token at its two dots. It does not look inside the parts.
func split(token string) (segments, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, two := strings.Cut(rest, ".")
	if !two || strings.IndexByte(signature, '.') >= 0 {
		if err := schemeBefore(token); err != nil {
			return segments{}, err
		}
		return segments{}, &Error{Check: "form", Want: "header.payload.signature",
			Got: fmt.Sprintf("%d parts", strings.Count(token, ".")+1), Err: ErrMalformed}
	}
	return segments{
		header:       header,
		payload:      payload,
		signature:    signature,
		signingInput: token[:len(token)-len(signature)-1],
	}, nil
}

// schemeBefore explains the most common of mistakes: the whole value of an
// Authorization header, given as a token. It returns nil for all others.
func schemeBefore(token string) error {
	scheme, _, _ := strings.Cut(token, " ")
	if len(scheme) == len(token) || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		return nil
	}
	return &Error{Check: "form", Want: "a token without its scheme", Got: quoted(scheme) + " before it: pass the token alone", Err: ErrMalformed}
}

// strictURL refuses trailing bits that are not zero, which would let one
// signature be written in several ways (RFC 4648 §3.5).
var strictURL = base64.RawURLEncoding.Strict()

// decodeSegment appends the bytes that a segment stands for to dst. what names
// the segment in the error.
func decodeSegment(dst []byte, segment, what string) ([]byte, error) {
	size := base64.RawURLEncoding.DecodedLen(len(segment))
	start := len(dst)
	dst = slices.Grow(dst, size)[:start+size]
	n, err := strictURL.Decode(dst[start:], []byte(segment))
	if err == nil && base64.RawURLEncoding.EncodedLen(n) != len(segment) {
		// The decoder drops line breaks, even a strict one. The decoded length
		// alone does not tell: it rounds down, and so hides a single break.
		err = errors.New("it has line breaks")
	}
	if err != nil {
		if err := schemeBefore(segment); err != nil {
			return nil, err
		}
		return nil, &Error{Check: "encoding", Want: "base64url without padding, spaces or loose bits",
			Got: "a " + what + " that is not", Err: ErrMalformed, Cause: err}
	}
	return dst, nil
}

// header is the part of the JOSE header that verification rests on. "jku",
// "jwk", "x5u" and "x5c" are not read at all: a token does not bring its own
// key. A header is immutable.
type header struct {
	alg, kid, typ   string
	hasKid, hasTyp  bool
	algorithm       *algorithm // nil: not one that a public key can check
	hasCrit, hasB64 bool
}

// decodeHeader reads the JOSE header strictly: member names are
// case-sensitive, none comes twice, and the ones we know have their type.
func decodeHeader(segment string) (*header, error) {
	raw, err := decodeSegment(nil, segment, "header")
	if err != nil {
		return nil, err
	}
	h := new(header)
	var wrong error
	textOf := func(name string, v jsontext.Value) string {
		member, ok := text(v)
		if !ok && wrong == nil {
			wrong = &Error{Check: name, Want: "a string", Got: kindName(v), Err: ErrMalformed}
		}
		return string(member)
	}
	err = strictMembers(raw, func(name string, v jsontext.Value) {
		switch name {
		case "alg":
			h.alg = textOf(name, v)
		case "kid":
			h.kid, h.hasKid = textOf(name, v), true
		case "typ":
			h.typ, h.hasTyp = textOf(name, v), true
		case "crit":
			h.hasCrit = true
		case "b64":
			h.hasB64 = true
		}
	})
	if err != nil {
		return nil, &Error{Check: "header", Want: "a strict JSON object", Err: ErrMalformed, Cause: err}
	}
	if wrong != nil {
		return nil, wrong
	}
	h.algorithm = algorithms[h.alg]
	return h, nil
}

// headerRules are the checks of a decoded header, in order.
var headerRules = []rule[header]{
	{
		name: "alg", err: ErrAlgorithm,
		ok: func(h *header, e *expectation) bool {
			return h.algorithm != nil && e.algorithms[h.alg] || e.remote[h.alg]
		},
		want: func(_ *header, e *expectation) string { return "one of " + e.algorithmNames },
		got: func(h *header, _ *expectation) string {
			switch {
			case h.alg == "":
				return "none given"
			case symmetric(h.alg):
				return quoted(h.alg) + ", which is symmetric: no public key can check it"
			}
			return quoted(h.alg)
		},
	},
	{
		name: "typ", err: ErrMalformed,
		ok:   func(h *header, e *expectation) bool { return !h.hasTyp || e.types[mediaType(h.typ)] },
		want: func(_ *header, e *expectation) string { return "none, or one of " + e.typeNames },
		got: func(h *header, _ *expectation) string {
			if !h.hasTyp {
				return "none"
			}
			return quoted(h.typ)
		},
	},
	{
		// RFC 7515 §4.1.11: an extension that is not understood must be
		// refused, and none is.
		name: "crit", err: ErrMalformed,
		ok:   func(h *header, _ *expectation) bool { return !h.hasCrit },
		want: func(*header, *expectation) string { return "no critical extension" },
		got:  func(h *header, _ *expectation) string { return presence(h.hasCrit) },
	},
	{
		// RFC 7797 changes what is signed.
		name: "b64", err: ErrMalformed,
		ok:   func(h *header, _ *expectation) bool { return !h.hasB64 },
		want: func(*header, *expectation) string { return "no unencoded payload" },
		got:  func(h *header, _ *expectation) string { return presence(h.hasB64) },
	},
}

func presence(has bool) string {
	if has {
		return "the header has it"
	}
	return "none"
}

func symmetric(alg string) bool { return alg == "HS256" || alg == "HS384" || alg == "HS512" }

// mediaType makes "typ" values comparable: they are media types, so not
// case-sensitive, and "application/" may be left out (RFC 7515 §4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}
