package jose

// The parsers of this room, each held against another reading of the same text that
// does without the room's means.

import (
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/persauth/persauth/internal/jsontest"
	"github.com/persauth/persauth/internal/strictjson"
)

const fixtures = "../../testdata/tokens.ndjson"

var compactForm = regexp.MustCompile(`\A[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\z`)

// What is accepted has one spelling: it encodes to the same text again. And what
// is of this form is accepted.
func FuzzCompact(f *testing.F) {
	for _, token := range jsontest.Tokens(f, fixtures) {
		f.Add(token)
	}
	for _, seed := range []string{"", ".", "..", "...", "AA.AA.AA", "AB.AA.AA", "AAAA\n.AA.AA", "AA==.AA.AA", "+/.AA.AA", "AAA.AAAA.A"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		again, accepted := respell(token)
		if accepted && again != token {
			t.Fatalf("%q and %q are one token", token, again)
		}
		want := len(token) > 0 && len(token) <= MaxTokenSize && compactForm.MatchString(token)
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
	if CheckSize(token) != nil {
		return "", false
	}
	s, err := Split(token)
	if err != nil {
		return "", false
	}
	header, headerErr := DecodeSegment(nil, s.Header, "header")
	payload, payloadErr := DecodeSegment(nil, s.Payload, "payload")
	signature, signatureErr := DecodeSegment(nil, s.Signature, "signature")
	if headerErr != nil || payloadErr != nil || signatureErr != nil {
		return "", false
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return b64(header) + "." + b64(payload) + "." + b64(signature), true
}

// A header is accepted exactly if it is strict JSON with texts where texts
// belong, and says what encoding/json reads in it.
func FuzzHeader(f *testing.F) {
	for _, raw := range jsontest.Segments(f, fixtures, 0) {
		f.Add(raw)
	}
	for _, seed := range []string{``, `{}`, `null`, `{"alg":"none","typ":5}`, `{"alg":null}`, `{"\u0061lg":"RS256","alg":"x"}`,
		`{"crit":[],"b64":null,"x":{"a":1,"a":2}}`, `{"kid":"\ud83d\ude00"}`, `{"x":` + strings.Repeat("[", 31) + strings.Repeat("]", 31) + `}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		h, err := DecodeHeader(base64.RawURLEncoding.EncodeToString(raw))
		strict, told := jsontest.ReadStrictly(raw, strictjson.MaxDepth)
		if told && err == nil && !strict {
			t.Fatalf("accepted: %q", raw)
		}
		if err != nil && !strict {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			t.Fatalf("encoding/json: %v: %q", err, raw)
		}
		texts := true
		for _, name := range []string{"alg", "kid", "typ"} {
			_, isText := jsontest.TextOf(members[name])
			texts = texts && (members[name] == nil || isText)
		}
		if texts != (err == nil) {
			t.Fatalf("texts: %v, error: %v: %q", texts, err, raw)
		}
		if err != nil {
			return
		}
		for name, got := range map[string]string{"alg": h.Alg, "kid": h.Kid, "typ": h.Typ} {
			if want, _ := jsontest.TextOf(members[name]); got != want {
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
