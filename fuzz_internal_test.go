package persauth

// Fuzz targets for the parsers, each held against another reading of the same
// text that does without this package's means.

import (
	"bytes"
	"encoding/base64"
	stdjson "encoding/json"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/strictjson"
)

var fuzzTime = clock.Of(time.Unix(1_800_000_000, 0))

// fixtureSeeds calls seed with each token of the fixtures.
func fixtureSeeds(f *testing.F, seed func(token string)) {
	f.Helper()
	lines, err := os.ReadFile("testdata/tokens.ndjson")
	if err != nil {
		f.Fatal(err)
	}
	for line := range bytes.Lines(lines) {
		var fixture struct{ Token string }
		if err := stdjson.Unmarshal(line, &fixture); err != nil {
			f.Fatal(err)
		}
		seed(fixture.Token)
	}
}

func segmentSeeds(f *testing.F, part int) {
	fixtureSeeds(f, func(token string) {
		raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[part])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	})
}

var compactForm = regexp.MustCompile(`\A[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\z`)

// What is accepted has one spelling: it encodes to the same text again. And what
// is of this form is accepted.
func FuzzCompact(f *testing.F) {
	fixtureSeeds(f, func(token string) { f.Add(token) })
	for _, seed := range []string{"", ".", "..", "...", "AA.AA.AA", "AB.AA.AA", "AAAA\n.AA.AA", "AA==.AA.AA", "+/.AA.AA", "AAA.AAAA.A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		again, accepted := respell(token)
		if accepted && again != token {
			t.Fatalf("%q and %q are one token", token, again)
		}
		want := len(token) > 0 && len(token) <= jose.MaxTokenSize && compactForm.MatchString(token)
		for part := range strings.SplitSeq(token, ".") {
			raw, err := base64.RawURLEncoding.DecodeString(part)
			want = want && err == nil && base64.RawURLEncoding.EncodeToString(raw) == part
		}
		if accepted != want {
			t.Fatalf("accepted: %v, well formed: %v: %q", accepted, want, token)
		}
	})
}

// respell takes a token apart and puts it together again.
func respell(token string) (string, bool) {
	if jose.CheckSize(token) != nil {
		return "", false
	}
	s, err := jose.Split(token)
	if err != nil {
		return "", false
	}
	header, headerErr := jose.DecodeSegment(nil, s.Header, "header")
	payload, payloadErr := jose.DecodeSegment(nil, s.Payload, "payload")
	signature, signatureErr := jose.DecodeSegment(nil, s.Signature, "signature")
	if headerErr != nil || payloadErr != nil || signatureErr != nil {
		return "", false
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64(header) + "." + b64(payload) + "." + b64(signature), true
}

var loneSurrogates = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

// readStrictly is an independent judgement: one JSON object, in UTF-8, no name
// twice in any object, not too deep. ok is false where encoding/json cannot tell.
func readStrictly(raw []byte) (strict, ok bool) {
	if loneSurrogates.Match(raw) {
		return false, false
	}
	if !utf8.Valid(raw) || !stdjson.Valid(raw) || bytes.TrimLeft(raw, " \t\r\n")[0] != '{' {
		return false, true
	}
	dec := stdjson.NewDecoder(bytes.NewReader(raw))
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
		if token == stdjson.Delim('}') || token == stdjson.Delim(']') {
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
		case stdjson.Delim('{'):
			levels = append(levels, level{names: map[string]bool{}})
		case stdjson.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > strictjson.MaxDepth {
			return false, true
		}
	}
}

// A header is accepted exactly if it is strict JSON with texts where texts
// belong, and says what encoding/json reads in it.
func FuzzHeader(f *testing.F) {
	segmentSeeds(f, 0)
	for _, seed := range []string{``, `{}`, `null`, `{"alg":"none","typ":5}`, `{"alg":null}`, `{"\u0061lg":"RS256","alg":"x"}`,
		`{"crit":[],"b64":null,"x":{"a":1,"a":2}}`, `{"kid":"\ud83d\ude00"}`, `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := jose.DecodeHeader(base64.RawURLEncoding.EncodeToString(raw))
		strict, told := readStrictly(raw)
		if told && err == nil && !strict {
			t.Fatalf("accepted: %q", raw)
		}
		if err != nil && !strict {
			return
		}
		var members map[string]stdjson.RawMessage
		if err := stdjson.Unmarshal(raw, &members); err != nil {
			t.Fatalf("encoding/json: %v: %q", err, raw)
		}
		texts := true
		for _, name := range []string{"alg", "kid", "typ"} {
			_, isText := textOf(members[name])
			texts = texts && (members[name] == nil || isText)
		}
		if texts != (err == nil) {
			t.Fatalf("texts: %v, error: %v: %q", texts, err, raw)
		}
		if err != nil {
			return
		}
		for name, got := range map[string]string{"alg": h.Alg, "kid": h.Kid, "typ": h.Typ} {
			if want, _ := textOf(members[name]); got != want {
				t.Fatalf("%s is %q, not %q: %q", name, got, want, raw)
			}
		}
		for name, got := range map[string]bool{"kid": h.HasKid, "typ": h.HasTyp, "crit": h.HasCrit, "b64": h.HasB64} {
			if _, want := members[name]; got != want {
				t.Fatalf("has %s: %v, not %v: %q", name, got, want, raw)
			}
		}
	})
}

// textOf returns the text of a JSON string.
func textOf(raw stdjson.RawMessage) (text string, ok bool) {
	ok = len(raw) > 0 && raw[0] == '"' && stdjson.Unmarshal(raw, &text) == nil
	return text, ok
}

// textsOf returns the texts of one JSON string or an array of them.
func textsOf(raw stdjson.RawMessage) (texts []string, ok bool) {
	if text, ok := textOf(raw); ok {
		return []string{text}, true
	}
	var elements []stdjson.RawMessage
	if len(raw) == 0 || raw[0] != '[' || stdjson.Unmarshal(raw, &elements) != nil {
		return nil, false
	}
	for _, element := range elements {
		text, ok := textOf(element)
		if !ok {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, true
}

// inside follows a path of members. It returns nil where there is none.
func inside(raw stdjson.RawMessage, path ...string) stdjson.RawMessage {
	for _, name := range path {
		var members map[string]stdjson.RawMessage
		if stdjson.Unmarshal(raw, &members) != nil {
			return nil
		}
		raw = members[name]
	}
	return raw
}
