package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hostile has what can take over a terminal: an escape sequence, the same
// started by one C1 character, DEL, a line that looks like one of ours, a change
// of direction, invisible letters.
const hostile = "\x1b[31m\u009b2J\x7f\n✓ valid\r\u202eevil\U000e0041\u00a0"

// requirePrintable fails on any character that a terminal may act on.
func requirePrintable(t testing.TB, text string) {
	t.Helper()
	for _, r := range text {
		require.True(t, r == '\n' || strconv.IsPrint(r), "%q in %q", r, text)
	}
}

// raw is JSON with no more escapes than it must have, so that DEL, C1 and
// directions stand in it as they are.
func raw(t testing.TB, v any) []byte {
	t.Helper()
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(v))
	return []byte(strings.TrimSpace(b.String()))
}

// Nothing that a token says reaches the terminal as more than text.
func TestTerminalIsSafe(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	keys := file(t, iss.JWKS())
	exp := time.Now().Add(time.Hour).Unix()
	claims := map[string]any{"exp": exp, "tenantId": hostile, "sub": hostile, "businessId": hostile, "role": []string{hostile, "x"},
		"authType": hostile, "email": hostile, "cnf": map[string]string{"jkt": hostile}, hostile: hostile}
	key := iss.Keys()[0]
	good := key.Sign([]byte(`{"alg":"ES256","kid":"test-key-1"}`), raw(t, claims))
	claims["iss"], claims["aud"], claims["exp"] = hostile, hostile, hostile
	bad := key.Sign([]byte(`{"alg":"ES256","kid":"test-key-1"}`), raw(t, claims))
	for name, token := range map[string]string{
		"good": good,
		"bad":  bad,
		"kid":  key.Sign(raw(t, map[string]any{"alg": "ES256", "kid": hostile}), raw(t, claims)),
		"alg":  key.Sign(raw(t, map[string]any{"alg": hostile, "kid": hostile, hostile: []any{hostile}}), raw(t, claims)),
		"typ":  key.Sign(raw(t, map[string]any{"alg": "ES256", "typ": hostile}), raw(t, claims)),
		"text": hostile + "." + hostile + "." + hostile,
	} {
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{{"verify"}, {"verify", "--without-proof"}, {"verify", "--without-proof", "--json"}, {"verify", "--without-proof", "--ndjson"}, {"explain"}, {"explain", "--json"},
				{"inspect"}, {"inspect", "--json"}, {"verify", "--issuer", hostile, "--audience", hostile, "--tenant", hostile}} {
				if args[0] != "inspect" {
					args = append(args, "--jwks", keys)
				}
				got := call(t, "", nil, append(args, token)...)
				requirePrintable(t, got.out+got.stderr)
				assert.NotContains(t, got.out, "\n✓ valid\n  who        evil")
			}
		})
	}
	// The JSON still means the same.
	var a struct{ Claims map[string]any }
	require.NoError(t, json.Unmarshal([]byte(call(t, good, nil, "verify", "--without-proof", "--ndjson", "--jwks", keys).out), &a))
	assert.Equal(t, hostile, a.Claims["sub"])
	assert.Equal(t, hostile, a.Claims[hostile])

	set := file(t, raw(t, map[string]any{"keys": []any{
		map[string]any{"kty": hostile, "kid": hostile, "alg": hostile},
		map[string]any{"kty": "RSA", "kid": hostile, "use": hostile},
	}}))
	for _, args := range [][]string{{"jwks", "show"}, {"jwks", "show", "--json"}, {"jwks", "lint"}, {"verify", "a.b.c", "--jwks"}} {
		got := call(t, "", nil, append(args, set)...)
		requirePrintable(t, got.out+got.stderr)
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"anna@example.com":                     "anna@example.com",
		"550e8400-e29b-41d4-a716-446655440001": "550e8400-e29b-41d4-a716-446655440001",
		"":                                     `""`,
		"two words":                            `"two words"`,
		"a, b":                                 `"a, b"`,
		"Zoë":                                  `"Zoë"`,
		"none (RS256)":                         `"none (RS256)"`,
		"\x1b[31m":                             `"\x1b[31m"`,
	} {
		assert.Equal(t, want, shown(in))
	}
}

func TestRelative(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                               "now",
		900 * time.Millisecond:          "now",
		42 * time.Second:                "in 42s",
		14*time.Minute + 59*time.Second: "in 14m",
		-5 * time.Minute:                "5m ago",
		3*time.Hour + 5*time.Minute:     "in 3h5m",
		-49 * time.Hour:                 "2 days ago",
		365 * 24 * time.Hour:            "in 365 days",
		-10 * 8766 * time.Hour:          "10 years ago",
	} {
		assert.Equal(t, want, relative(d))
	}
}

// What is escaped means the same, and is printable.
func FuzzPrintableJSON(f *testing.F) {
	f.Add(hostile)
	f.Add(`plain`)
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		safe := printableJSON(raw(t, map[string]string{text: text}))
		requirePrintable(t, string(safe))
		var back map[string]string
		require.NoError(t, json.Unmarshal(safe, &back))
		require.Equal(t, text, back[text])
	})
}
