package main

// What is said about a token: for a person, or as JSON.

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth"
)

// answer is what came of verifying one token.
type answer struct {
	claims *persauth.Claims // nil for an invalid one, and where they were not looked at
	err    error
}

func (a answer) status() exitStatus {
	switch {
	case a.err == nil:
		return exitValid
	case errors.Is(a.err, persauth.ErrUnavailable):
		return exitUnknown
	}
	return exitInvalid
}

// appendJSON appends the answer as one JSON object on one line, without a line
// feed. more is appended to the object of a valid token whose claims were
// looked at, and begins with a comma where it is not empty.
func (a answer) appendJSON(dst []byte, more func(*persauth.Claims) []byte) []byte {
	start := len(dst)
	if a.err == nil && a.claims != nil {
		claims, err := compactClaims(a.claims)
		if err == nil {
			dst = append(dst, `{"valid":true,"claims":`...)
			dst = append(dst, claims...)
			if more != nil {
				dst = append(dst, more(a.claims)...)
			}
			return append(dst[:start], printableJSON(append(dst, '}')[start:])...)
		}
		a.err = err
	}
	if a.err == nil {
		return append(dst, `{"valid":true}`...)
	}
	dst = append(dst, `{"valid":false,"error":`...)
	dst = appendString(dst, persauth.Code(a.err))
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, a.err.Error())
	return append(dst[:start], printableJSON(append(dst, '}')[start:])...)
}

// compactClaims returns the token's own claims on one line.
func compactClaims(c *persauth.Claims) (jsontext.Value, error) {
	raw, err := c.MarshalJSON()
	if err != nil {
		return nil, err
	}
	value := jsontext.Value(raw)
	err = value.Compact()
	return value, err
}

// appendString appends a JSON string.
func appendString(dst []byte, text string) []byte {
	// The error speaks of invalid UTF-8, which was replaced.
	dst, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(text, "\uFFFD"))
	return dst
}

// verification is the member that says how a valid token was verified.
func verification(c *persauth.Claims) []byte {
	raw, err := json.Marshal(c.Verification())
	if err != nil {
		return nil // it has strings and booleans only
	}
	return append([]byte(`,"verification":`), raw...)
}

// indented lays a JSON object out over several lines, with a line feed.
func indented(object []byte) ([]byte, error) {
	value := jsontext.Value(object)
	if err := value.Indent(jsontext.WithIndent("  ")); err != nil {
		return nil, err
	}
	return append(value, '\n'), nil
}

// headline says in a few words what came of a line.
func (a answer) headline(l line, valid string) string {
	text := "✓ " + valid
	switch a.status() {
	case exitInvalid:
		text = "✗ invalid"
	case exitUnknown:
		text = "? could not be told"
	}
	if l.number > 0 {
		text += fmt.Sprintf(" (line %d)", l.number)
	}
	return text + "\n"
}

// describe says it for a person.
func (a answer) describe(l line, now time.Time) string {
	var b strings.Builder
	switch {
	case a.err != nil:
		b.WriteString(a.headline(l, ""))
		for _, reason := range reasons(a.err) {
			fmt.Fprintf(&b, "  %s\n", printable(reason))
		}
	case a.claims == nil:
		b.WriteString(a.headline(l, "signature is valid"))
		b.WriteString("  This says nothing about who calls: the claims were not looked at.\n")
	default:
		b.WriteString(a.headline(l, "valid"))
		describeClaims(&b, a.claims, now)
	}
	return b.String()
}

func describeClaims(b *strings.Builder, c *persauth.Claims, now time.Time) {
	how := c.Verification()
	rows := [][2]string{
		{"who", orNone(c.Subject())},
		{"tenant", shown(c.TenantID())},
		{"roles", shownAll(c.Roles())},
		{"expires", when(c.ExpiresAt(), now)},
		{"key", fmt.Sprintf("%s (%s)", orNone(how.KeyID), how.Algorithm)},
	}
	optional := func(at int, name, value string) {
		if value != "" {
			rows = append(rows[:at], append([][2]string{{name, shown(value)}}, rows[at:]...)...)
		}
	}
	// From the last to the first, so that places stay what they are.
	optional(3, "auth type", string(c.AuthType()))
	optional(2, "business", c.BusinessID())
	optional(1, "email", c.Email())
	if how.KeysStale {
		rows = append(rows, [2]string{"note", "newer keys are due, and have not come yet"})
	}
	if c.Confirmation() != "" {
		rows = append(rows, [2]string{"note", "bound to the client key " + shown(c.Confirmation()) +
			": worth nothing without a proof by that key"})
	}
	table(b, rows)
}

// reasons takes joined errors apart, one line for each.
func reasons(err error) []string {
	if _, one := err.(*persauth.Error); !one {
		if several, ok := err.(interface{ Unwrap() []error }); ok {
			var all []string
			for _, err := range several.Unwrap() {
				all = append(all, reasons(err)...)
			}
			return all
		}
	}
	return []string{strings.TrimPrefix(err.Error(), "persauth: ")}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return shown(s)
}
