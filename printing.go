package persauth

// What fmt, log/slog and JSON show of values that hold a token, a project key or
// another secret: every verb, and every encoding, the same text without it.
//
// fmt calls no method of a value in an unexported field, and follows a pointer
// there for a verb that does not suit it, such as %s. So secrets are kept in a
// function or behind two pointers, of which fmt shows the address.

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"time"
)

const redacted = "[redacted]"

// Format writes the settings that are not zero, for every verb, without the
// project key, [DPoP.NonceSecret] and the content of Keys. fmt does not call it
// for a Config in an unexported field of another struct: print no such struct.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// MarshalText returns what [Config.Format] writes, for log/slog and JSON.
func (c Config) MarshalText() ([]byte, error) { return []byte(c.text()), nil }

func (c Config) text() string {
	if c.ProjectKey != "" {
		// Also where it stands in the wrong place, such as BaseURL.
		return strings.ReplaceAll(settingsText("persauth.Config", c), c.ProjectKey, redacted)
	}
	return settingsText("persauth.Config", c)
}

// Format writes the settings that are not zero, for every verb, without
// NonceSecret. fmt does not call it for a DPoP in an unexported field.
func (d DPoP) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, d.text()) }

// MarshalText returns what [DPoP.Format] writes, for log/slog and JSON.
func (d DPoP) MarshalText() ([]byte, error) { return []byte(d.text()), nil }

func (d DPoP) text() string { return settingsText("persauth.DPoP", d) }

// Format writes the fields that are not zero, for every verb, without the token and
// the proofs. fmt does not call it for Credentials in an unexported field.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.text()) }

// LogValue returns what [Credentials.Format] writes. Its JSON is left alone: services
// hand it on as such.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.text()) }

func (c Credentials) text() string { return settingsText("persauth.Credentials", c) }

// Format writes the fields that are not zero, for every verb, without the token.
// fmt does not call it for a Revocation in an unexported field.
func (r Revocation) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.text()) }

// LogValue returns what [Revocation.Format] writes. Its JSON is left alone: services
// hand it on as such.
func (r Revocation) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r Revocation) text() string { return settingsText("persauth.Revocation", r) }

// settingsText lists the fields of a struct that are not zero.
func settingsText(name string, settings any) string {
	all := reflect.ValueOf(settings)
	var parts []string
	for i := range all.NumField() {
		if field := all.Type().Field(i); !all.Field(i).IsZero() {
			parts = append(parts, field.Name+":"+settingText(field.Name, all.Field(i).Interface()))
		}
	}
	return name + "{" + strings.Join(parts, " ") + "}"
}

func settingText(name string, value any) string {
	switch name {
	case "ProjectKey", "Token", "Authorization", "Proofs":
		return redacted
	}
	switch value := value.(type) {
	case string:
		return fmt.Sprintf("%q", urlText(value))
	case []byte:
		return redacted
	case []string:
		return fmt.Sprintf("%q", value)
	case []TokenSource:
		names := make([]string, len(value))
		for i, source := range value {
			names[i] = source.name
		}
		return fmt.Sprintf("%q", names)
	case ClaimNames:
		return fmt.Sprintf("%+q", value)
	case ProtectedResource:
		return fmt.Sprintf("%+q", value)
	case KeySource, DPoP, RevocationPolicy:
		return fmt.Sprint(value)
	case time.Time:
		return value.Format(time.RFC3339)
	}
	switch reflect.TypeOf(value).Kind() {
	case reflect.Bool, reflect.Int, reflect.Int64:
		return fmt.Sprint(value)
	}
	return fmt.Sprintf("(%T)", value) // a store or a client may have secrets of its own
}

// urlText removes what may be a secret in an address: a user, and a query.
func urlText(s string) string {
	if !strings.Contains(s, "://") {
		if path, _, query := strings.Cut(s, "?"); query && strings.HasPrefix(s, "/") {
			return path + "?redacted"
		}
		return s
	}
	u, err := url.Parse(s)
	if err != nil {
		return redacted
	}
	if u.User != nil {
		u.User = url.User("redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted"
	}
	return u.Redacted()
}

// Format writes the name of the type, for every verb.
func (v *Verifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "persauth.Verifier") }

// MarshalText returns what [Verifier.Format] writes, for log/slog and JSON.
func (v *Verifier) MarshalText() ([]byte, error) { return []byte("persauth.Verifier"), nil }

// Format writes which source it is, for every verb, and never what is in it.
func (s *keySource) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.name) }

// MarshalText returns what Format writes, for log/slog and JSON.
func (s *keySource) MarshalText() ([]byte, error) { return []byte(s.name), nil }

// String is for package context, which prints the parents of a context.
func (c *callerContext) String() string {
	parent := fmt.Sprintf("%T", c.Context)
	if s, ok := c.Context.(fmt.Stringer); ok {
		parent = s.String()
	}
	return parent + ".WithCaller(" + fmt.Sprint(c.caller.claims) + ")"
}

func (c *callerContext) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

func (c *callerContext) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
