package main

// persauth inspect: what a token says, on its own word.

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth"
	"github.com/spf13/cobra"
)

const (
	inspectHelp = `Decodes the header and the claims of tokens, and does not verify them: anyone
can make a token that says anything. To know whether a token is good, use
"persauth verify". The signature is not shown.

Without a token, or with "-", tokens are read from standard input, one a line;
white space around them and blank lines do not matter.

Exit status: 0 all tokens could be decoded, 1 some could not, 2 wrong usage.`

	unverified = "NOT VERIFIED: anyone can make a token that says this"
)

func (sh *shell) inspectCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "inspect [flags] [TOKEN | -]",
		Short:                 "Decode tokens without verifying them",
		Long:                  inspectHelp,
		Args:                  oneToken,
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write an indented JSON object for each token")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		fmt.Fprintf(sh.err, "persauth: %s. See: persauth verify --help\n", unverified)
		status := exitStatus(exitValid)
		first := true
		err := sh.tokens(cmd.Context(), args, func(l line) error {
			d, err := decode(l)
			a := answer{err: err}
			status = status.and(a.status())
			var out []byte
			switch {
			case asJSON:
				out, err = d.json(a)
			case err != nil:
				out, err = separated(a.describe(l, time.Time{}), &first), nil
			default:
				out = separated(d.describe(l, time.Now()), &first)
			}
			if err != nil {
				return err
			}
			_, err = sh.out.Write(out)
			return err
		})
		if err != nil {
			return err
		}
		return status.asError()
	}
	return cmd
}

// decoded is a token in its parts. Nobody vouches for them.
type decoded struct {
	header, claims jsontext.Value
	signature      int // its length in bytes
}

// decode takes a token apart as strictly as verification does.
func decode(l line) (decoded, error) {
	fail := func(check, want, got string) (decoded, error) {
		return decoded{}, &persauth.Error{Check: check, Want: want, Got: got, Err: persauth.ErrMalformed}
	}
	switch {
	case l.refused != nil:
		return decoded{}, l.refused
	case l.token == "":
		return fail("size", "a token", "nothing")
	case len(l.token) > maxToken:
		return fail("size", fmt.Sprintf("at most %d bytes", maxToken), fmt.Sprintf("%d bytes", len(l.token)))
	}
	segments := strings.Split(l.token, ".")
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
	return decoded{parts[0], parts[1], len(parts[2])}, nil
}

// json is the decoded token, or why there is none.
func (d decoded) json(a answer) ([]byte, error) {
	if a.err != nil {
		object := a.appendJSON(nil, nil)
		return indented(append([]byte(`{"verified":false,`), object[1:]...))
	}
	object := []byte(`{"verified":false,"header":`)
	object = append(append(object, d.header...), `,"claims":`...)
	object = append(append(object, d.claims...), `,"times":{`...)
	sep := ""
	for name, value := range d.members(d.claims) {
		if at, ok := timeOf(name, value); ok {
			object = fmt.Appendf(object, `%s"%s":"%s"`, sep, name, at.Format(time.RFC3339))
			sep = ","
		}
	}
	return indented(printableJSON(append(object, "}}"...)))
}

// describe shows the token to a person.
func (d decoded) describe(l line, now time.Time) string {
	var b strings.Builder
	b.WriteString(unverified)
	if l.number > 0 {
		fmt.Fprintf(&b, " (line %d)", l.number)
	}
	b.WriteString("\nheader\n")
	for _, part := range []struct {
		title  string
		object jsontext.Value
	}{{"", d.header}, {"claims\n", d.claims}} {
		b.WriteString(part.title)
		var rows [][2]string
		for name, value := range d.members(part.object) {
			text := string(printableJSON(value))
			if at, ok := timeOf(name, value); ok {
				text += "  " + when(at, now)
			}
			rows = append(rows, [2]string{shown(name), text})
		}
		table(&b, rows)
	}
	fmt.Fprintf(&b, "signature\n  %d bytes, not checked and not shown\n", d.signature)
	return b.String()
}

// members goes through a valid JSON object, with each value on one line.
func (decoded) members(object jsontext.Value) func(yield func(string, jsontext.Value) bool) {
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

// timeOf reads a claim that stands for a time (RFC 7519 §2, OpenID Connect).
func timeOf(name string, value jsontext.Value) (time.Time, bool) {
	switch name {
	case "exp", "nbf", "iat", "auth_time", "updated_at":
		if value.Kind() != '0' {
			return time.Time{}, false
		}
		seconds, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return time.Time{}, false
		}
		at, err := timeAt(seconds)
		return at, err == nil
	}
	return time.Time{}, false
}
