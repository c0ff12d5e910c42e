package jose

// The compact serialization of a JWS (RFC 7515 §7.1), read strictly: whatever two
// readers could take for two things is refused.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/persauth/persauth/internal/redact"
)

// MaxTokenSize bounds, in bytes, what a stranger can make us look at.
const MaxTokenSize = 16 << 10

// Segments are the three parts of a compact serialization, still encoded.
type Segments struct {
	Header, Payload, Signature string
	SigningInput               string // header and payload with the dot between
}

// CheckSize is the first look at a token, before anything is read of it.
func CheckSize(token string) error {
	if len(token) == 0 {
		return &Error{Check: "size", Want: "a token", Got: "nothing"}
	}
	if len(token) > MaxTokenSize {
		return &Error{Check: "size", Want: fmt.Sprintf("at most %d bytes", MaxTokenSize),
			Got: fmt.Sprintf("%d bytes", len(token))}
	}
	return nil
}

// Split cuts a token at its two dots. It does not look inside the parts.
func Split(token string) (Segments, error) {
	header, rest, _ := strings.Cut(token, ".")
	payload, signature, two := strings.Cut(rest, ".")
	if !two || strings.IndexByte(signature, '.') >= 0 {
		if err := SchemeBefore(token); err != nil {
			return Segments{}, err
		}
		return Segments{}, &Error{Check: "form", Want: "header.payload.signature",
			Got: fmt.Sprintf("%d parts", strings.Count(token, ".")+1)}
	}
	return Segments{
		Header:       header,
		Payload:      payload,
		Signature:    signature,
		SigningInput: token[:len(token)-len(signature)-1],
	}, nil
}

// SchemeBefore explains the most common of mistakes: the whole value of an
// Authorization header, given as a token. It returns nil for all others.
func SchemeBefore(token string) error {
	scheme, _, _ := strings.Cut(token, " ")
	if len(scheme) == len(token) || !strings.EqualFold(scheme, "Bearer") && !strings.EqualFold(scheme, "DPoP") {
		return nil
	}
	return &Error{Check: "form", Want: "a token without its scheme", Got: redact.Quote(scheme) + " before it: pass the token alone"}
}

// strictURL refuses trailing bits that are not zero, which would let one
// signature be written in several ways (RFC 4648 §3.5).
var strictURL = base64.RawURLEncoding.Strict()

// DecodeSegment appends the bytes that a segment stands for to dst. what names
// the segment in the error.
func DecodeSegment(dst []byte, segment, what string) ([]byte, error) {
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
		if err := SchemeBefore(segment); err != nil {
			return nil, err
		}
		return nil, &Error{Check: "encoding", Want: "base64url without padding, spaces or loose bits",
			Got: "a " + what + " that is not", Cause: err}
	}
	return dst, nil
}
