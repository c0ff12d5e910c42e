// Package unverified takes tokens apart without verifying them: anyone can make a
// token that says anything.
package unverified

import (
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/internal/plaintext"
)

// MaxSize is the longest token, in bytes, that the library looks at.
const MaxSize = 16 << 10

// Token is a token in its parts. Nobody vouches for them.
type Token struct {
	Header, Claims jsontext.Value // valid JSON objects
	SignatureSize  int            // in bytes
}

// Decode takes a token apart as strictly as verification does. The error is
// persauth.ErrMalformed.
func Decode(token string) (Token, error) {
	fail := func(check, want, got string) (Token, error) {
		return Token{}, &persauth.Error{Check: check, Want: want, Got: got, Err: persauth.ErrMalformed}
	}
	switch {
	case token == "":
		return fail("size", "a token", "nothing")
	case len(token) > MaxSize:
		return fail("size", fmt.Sprintf("at most %d bytes", MaxSize), fmt.Sprintf("%d bytes", len(token)))
	}
	if scheme, _, more := strings.Cut(token, " "); more && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")) {
		return fail("form", "a token without its scheme", strconv.Quote(scheme)+" before it: pass the token alone")
	}
	segments := strings.Split(token, ".")
	if len(segments) != 3 {
		return fail("form", "header.payload.signature", fmt.Sprintf("%d parts", len(segments)))
	}
	var parts [3][]byte
	for i, name := range []string{"header", "payload", "signature"} {
		raw, err := base64.RawURLEncoding.Strict().DecodeString(segments[i])
		// The decoder drops line breaks; the encoder shows it.
		if err != nil || base64.RawURLEncoding.EncodedLen(len(raw)) != len(segments[i]) {
			return fail("encoding", "base64url without padding, spaces or loose bits", "a "+name+" that is not")
		}
		if v := jsontext.Value(raw); name != "signature" && (v.Kind() != '{' || !v.IsValid()) {
			return fail(name, "a strict JSON object", "something else")
		}
		parts[i] = raw
	}
	return Token{parts[0], parts[1], len(parts[2])}, nil
}

// Members goes through a valid JSON object, with each value on one line.
func Members(object jsontext.Value) iter.Seq2[string, jsontext.Value] {
	return func(yield func(string, jsontext.Value) bool) {
		dec := jsontext.NewDecoder(strings.NewReader(string(object)))
		_, err := dec.ReadToken()
		for err == nil && dec.PeekKind() != '}' {
			var name jsontext.Token
			if name, err = dec.ReadToken(); err != nil {
				return
			}
			member := name.String()
			var value jsontext.Value
			if value, err = dec.ReadValue(); err != nil {
				return
			}
			value = value.Clone()
			if err = errors.Join(err, value.Compact()); err != nil || !yield(member, value) {
				return
			}
		}
	}
}

// Time reads a claim that stands for a time (RFC 7519 §2, OpenID Connect).
func Time(name string, value jsontext.Value) (time.Time, bool) {
	switch name {
	case "exp", "nbf", "iat", "auth_time", "updated_at":
		if value.Kind() != '0' {
			return time.Time{}, false
		}
		seconds, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return time.Time{}, false
		}
		at, err := plaintext.TimeAt(seconds)
		return at, err == nil
	}
	return time.Time{}, false
}
