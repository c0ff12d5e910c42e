package main

// persauth inspect: what a token says, on its own word.

import (
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/cmd/persauth/internal/unverified"
	"github.com/spf13/cobra"
)

const (
	inspectHelp = `Decodes the header and the claims of tokens, and does not verify them: anyone
can make a token that says anything. To know whether a token is good, use
"persauth verify". The signature is not shown.

Without a token, or with "-", tokens are read from standard input, one a line;
white space around them and blank lines do not matter.

With --web it serves a page that explains tokens in the browser: the library runs
there, so no token leaves it, and every check is shown. --out writes the same page
as files. The keys to check with are pasted, or those that --jwks, --mock or
PERS_PROJECT_KEY name.

Exit status: 0 all tokens could be decoded, 1 some could not, 2 wrong usage, or
no token at all.`

	notVerified = "NOT VERIFIED: anyone can make a token that says this"
)

func (sh *shell) inspectCommand() *cobra.Command {
	var asJSON bool
	var page webOptions
	cmd := &cobra.Command{
		Use:                   "inspect [flags] [TOKEN | -]",
		Short:                 "Decode tokens without verifying them",
		Long:                  inspectHelp,
		Args:                  oneToken,
		DisableFlagsInUseLine: true,
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write an indented JSON object for each token")
	page.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := page.check(cmd, args); err != nil {
			return err
		}
		if page.web {
			return page.run(cmd.Context(), sh)
		}
		fmt.Fprintf(sh.err, "persauth: %s. See: persauth verify --help\n", notVerified)
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

// decoded is a token in its parts.
type decoded struct{ unverified.Token }

func decode(l line) (decoded, error) {
	if l.refused != nil {
		return decoded{}, l.refused
	}
	token, err := unverified.Decode(l.token)
	return decoded{token}, err
}

// json is the decoded token, or why there is none.
func (d decoded) json(a answer) ([]byte, error) {
	if a.err != nil {
		object := a.appendJSON(nil, nil)
		return indented(append([]byte(`{"verified":false,`), object[1:]...))
	}
	object := []byte(`{"verified":false,"header":`)
	object = append(append(object, d.Header...), `,"claims":`...)
	object = append(append(object, d.Claims...), `,"times":{`...)
	sep := ""
	for name, value := range unverified.Members(d.Claims) {
		if at, ok := unverified.Time(name, value); ok {
			object = fmt.Appendf(object, `%s"%s":"%s"`, sep, name, at.Format(time.RFC3339))
			sep = ","
		}
	}
	return indented(printableJSON(append(object, "}}"...)))
}

// describe shows the token to a person.
func (d decoded) describe(l line, now time.Time) string {
	var b strings.Builder
	b.WriteString(notVerified)
	if l.number > 0 {
		fmt.Fprintf(&b, " (line %d)", l.number)
	}
	b.WriteString("\nheader\n")
	for _, part := range []struct {
		title  string
		object jsontext.Value
	}{{"", d.Header}, {"claims\n", d.Claims}} {
		b.WriteString(part.title)
		var rows [][2]string
		for name, value := range unverified.Members(part.object) {
			text := string(printableJSON(value))
			if at, ok := unverified.Time(name, value); ok {
				text += "  " + when(at, now)
			}
			rows = append(rows, [2]string{shown(name), text})
		}
		table(&b, rows)
	}
	fmt.Fprintf(&b, "signature\n  %d bytes, not checked and not shown\n", d.SignatureSize)
	return b.String()
}
