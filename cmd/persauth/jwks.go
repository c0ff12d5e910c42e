package main

// persauth jwks show and lint: what a key set holds, and whether it is any good.

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/persauth/persauth"
	"github.com/spf13/cobra"
)

func (sh *shell) jwksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jwks",
		Short: "Show, check and fetch key sets",
		Args:  cobra.ArbitraryArgs,
		RunE:  needSubcommand,

		SuggestionsMinimumDistance: 2,
	}
	cmd.AddCommand(sh.showCommand(), sh.lintCommand(), sh.fetchCommand())
	return cmd
}

// oneFile takes one argument, and says what is missing.
func oneFile(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one file with a JWK Set, or - for standard input\nsee: %s --help", cmd.CommandPath())
	}
	return nil
}

// inspectFile describes the keys in a file, or, for "-", on standard input.
func (sh *shell) inspectFile(path string) ([]persauth.KeyInfo, error) {
	var body []byte
	var err error
	if path == "-" {
		if sh.typed {
			fmt.Fprintln(sh.err, "Reading a JWK Set from standard input.")
		}
		path = "standard input"
		body, err = io.ReadAll(io.LimitReader(sh.in, maxKeyFile))
	} else {
		body, err = readKeyFile(path)
	}
	if err != nil {
		return nil, err
	}
	keys, err := persauth.InspectKeys(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}

func (sh *shell) showCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [flags] FILE | -",
		Short: "List the keys of a key set",
		Long: `Lists the keys of the JWK Set in FILE, or on standard input: key ID, type, the algorithms that each
may be used for, and its SHA-256 thumbprint (RFC 7638).

Exit status: 0, or 2 when FILE is no key set.`,
		Args:                  oneFile,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := sh.inspectFile(args[0])
			if err != nil {
				return err
			}
			if !asJSON {
				fmt.Fprint(sh.out, keyTable(keys))
				return nil
			}
			body, err := json.MarshalIndent(map[string]any{"keys": keys}, "", "  ")
			if err != nil {
				return err
			}
			fmt.Fprintf(sh.out, "%s\n", printableJSON(body))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "write a JSON object")
	return cmd
}

// keyTable lists keys for a person.
func keyTable(keys []persauth.KeyInfo) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KID\tTYPE\tALGORITHMS\tTHUMBPRINT")
	for _, k := range keys {
		algorithms, thumbprint := strings.Join(k.Algorithms, " "), k.Thumbprint
		if k.Problem != "" {
			algorithms, thumbprint = "none", "cannot be used: "+printable(k.Problem)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", orNone(k.KeyID), printable(k.Type), algorithms, thumbprint)
	}
	w.Flush() // a strings.Builder never fails
	return b.String()
}

func (sh *shell) lintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE | -",
		Short: "Say for each key of a key set whether it can be used",
		Long: `Says for each key of the JWK Set in FILE, or on standard input, whether it can be used to verify tokens,
and why not. It warns of key IDs that are missing or not unique.

Exit status: 0 every key can be used, 1 some cannot, or there is none, 2 FILE is
no key set.`,
		Args:                  oneFile,
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := sh.inspectFile(args[0])
			if err != nil {
				return err
			}
			return sh.lint(keys).asError()
		},
	}
}

func (sh *shell) lint(keys []persauth.KeyInfo) exitStatus {
	status := exitStatus(exitValid)
	if len(keys) == 0 {
		fmt.Fprintln(sh.out, "✗ the set has no keys")
		status = exitInvalid
	}
	places := make(map[string][]string)
	for _, k := range keys {
		name := fmt.Sprintf("key %d", k.Position)
		if k.KeyID != "" {
			places[k.KeyID] = append(places[k.KeyID], fmt.Sprint(k.Position))
			name += ", kid " + shown(k.KeyID)
		}
		if k.Problem != "" {
			status = exitInvalid
			fmt.Fprintf(sh.out, "✗ %s: cannot be used: %s\n", name, printable(k.Problem))
			continue
		}
		fmt.Fprintf(sh.out, "✓ %s: %s, for %s\n", name, k.Type, strings.Join(k.Algorithms, ", "))
	}
	for _, k := range keys {
		switch at := places[k.KeyID]; {
		case k.KeyID == "" && k.Problem == "":
			fmt.Fprintf(sh.out, "! key %d has no kid: it is found only by tokens without one, and only while no other key fits them\n", k.Position)
		case len(at) > 1:
			fmt.Fprintf(sh.out, "! keys %s share the kid %s\n", strings.Join(at, ", "), shown(k.KeyID))
			delete(places, k.KeyID)
		}
	}
	return status
}
