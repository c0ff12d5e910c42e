package main

// Lines of persauth verify --ndjson that are objects with a token in them.

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth"
)

// maxObject is the longest line, in bytes, that is taken for an object. It fits
// into what is read at once.
const maxObject = 32 << 10

// object returns the line for the token in it, where it is an object, and the
// other members, to be given back; members that the answer has itself are left
// out. Every other line is returned as it is.
func (l line) object() (line, []byte) {
	if l.refused != nil || !strings.HasPrefix(l.token, "{") {
		return l, nil
	}
	token, members, ok := splitObject(l.token)
	l.token = token
	if !ok {
		l.refused = &persauth.Error{Check: "form", Want: `a token, or a JSON object with a text "token"`, Got: "an object that is not one", Err: persauth.ErrMalformed}
	}
	return l, members
}

// splitObject takes an object apart. It reports false where that is not strict
// JSON, or has no token.
func splitObject(text string) (token string, members []byte, ok bool) {
	value := jsontext.Value(text)
	if err := value.Compact(); err != nil {
		return "", nil, false
	}
	dec := jsontext.NewDecoder(strings.NewReader(string(value)))
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() == '"' {
		var name jsontext.Token
		if name, err = dec.ReadToken(); err != nil {
			break
		}
		member := name.String()
		var value jsontext.Value
		if value, err = dec.ReadValue(); err != nil {
			break
		}
		switch member {
		case "token":
			if value.Kind() != '"' {
				return "", members, false
			}
			text, unquoteErr := jsontext.AppendUnquote(nil, value)
			token, ok, err = string(text), true, unquoteErr
		case "valid", "claims", "error", "reason":
		default:
			if len(members) > 0 {
				members = append(members, ',')
			}
			members = append(appendString(members, member), ':')
			members = append(members, printableJSON(value)...)
		}
	}
	return token, members, ok && err == nil
}
