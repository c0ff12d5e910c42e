// Package jsontest reads JSON in another way than the library does, for tests that
// hold the one reading against the other. It uses encoding/json alone.
package jsontest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

var loneSurrogates = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

// ReadStrictly is an independent judgement: one JSON object, in UTF-8, no name
// twice in any object, not too deep. ok is false where encoding/json cannot tell.
func ReadStrictly(raw []byte, maxDepth int) (strict, ok bool) {
	if loneSurrogates.Match(raw) {
		return false, false
	}
	if !utf8.Valid(raw) || !json.Valid(raw) || bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return false, true
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	type level struct {
		names map[string]bool // nil: an array
		value bool            // a value is next, not a name
	}
	var levels []level
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return true, true
		}
		if err != nil {
			return false, true
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].names != nil {
			top := &levels[n-1]
			if !top.value {
				name := token.(string)
				if top.names[name] {
					return false, true
				}
				top.names[name], top.value = true, true
				continue
			}
			top.value = false
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > maxDepth {
			return false, true
		}
	}
}

// TextOf returns the text of a JSON string.
func TextOf(raw json.RawMessage) (text string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && json.Unmarshal(raw, &text) == nil
	return text, ok
}

// TextsOf returns the texts of one JSON string or an array of them.
func TextsOf(raw json.RawMessage) (texts []string, ok bool) {
	if text, ok := TextOf(raw); ok {
		return []string{text}, true
	}
	var elements []json.RawMessage
	if len(raw) == 0 || raw[0] != '[' || json.Unmarshal(raw, &elements) != nil {
		return nil, false
	}
	for _, element := range elements {
		text, ok := TextOf(element)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// Inside follows a path of members. It returns nil where there is none.
func Inside(raw json.RawMessage, path ...string) json.RawMessage {
	for _, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil {
			return nil
		}
		raw = members[name]
	}
	return raw
}

// Segments are the segments of that number, decoded, of the tokens in a file of
// fixtures with one JSON object on each line.
func Segments(f testing.TB, file string, number int) (segments [][]byte) {
	f.Helper()
	for _, token := range Tokens(f, file) {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[number])
		if err != nil {
			f.Fatal(err)
		}
		segments = append(segments, raw)
	}
	return segments
}

// Tokens are the tokens in a file of fixtures.
func Tokens(f testing.TB, file string) (tokens []string) {
	f.Helper()
	lines, err := os.ReadFile(file)
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(lines) {
		var fixture struct{ Token string }
		if err := json.Unmarshal(line, &fixture); err != nil {
			f.Fatal(err)
		}
		tokens = append(tokens, fixture.Token)
	}
	return tokens
}
