package main

// persauth man: manual pages out of the same text as --help. And what shells
// complete.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/internal/spelling"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func (sh *shell) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write manual pages",
		Long: `Writes a manual page for each command to the folder DIR, which is made where it is
missing: for man -l DIR/persauth-verify.1, or to be installed in man1.

Exit status: 0, or 2 for wrong usage or a folder that cannot be written.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("want one folder\nsee: %s --help", cmd.CommandPath())
			}
			return nil
		},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // it has the date of today
			if err := writeManual(root, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(sh.out, "written to %s\n", printable(args[0]))
			return err
		},
	}
}

// writeManual writes the page of a command, and those of the commands in it. They
// have no date, so that the same program writes the same pages.
func writeManual(cmd *cobra.Command, folder string) error {
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.IsAdditionalHelpTopicCommand() {
			continue
		}
		if err := writeManual(sub, folder); err != nil {
			return err
		}
	}
	var page bytes.Buffer
	never := time.Time{}
	if err := doc.GenMan(cmd, &doc.GenManHeader{Section: "1", Source: "persauth", Manual: "persauth", Date: &never}, &page); err != nil {
		return err
	}
	text := bytes.Replace(page.Bytes(), []byte(never.Format(`"Jan 2006"`)), []byte(`""`), 1)
	return os.WriteFile(filepath.Join(folder, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"), text, 0o644)
}

// algorithmNames are those of keys.
var algorithmNames = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// flagValues are the words that some flags take, wherever they are.
var flagValues = map[string][]string{
	"alg":         algorithmNames,
	"algorithms":  algorithmNames,
	"type":        typeNames(),
	"claim-names": {"tenant=", "business=", "role=", "auth-type=", "email="},
	"leeway":      {"0", "30s", "1m"},
	"expires-in":  {"15m", "1h", "-1h"},
	"base-url":    {"https://api.pers.ninja/v2", "https://dev.api.pers.ninja/v2", "http://" + mockAddress},
}

func typeNames() (names []string) {
	for _, kind := range mintTypes {
		names = append(names, string(kind))
	}
	return names
}

// flagFiles are the flags that name files, and how these end.
var flagFiles = map[string][]string{
	"jwks": {"json"}, "config": {"yaml", "yml", "json"}, "keys": {"pem", "json", "jwk"}, "dpop-key": {"pem", "json", "jwk"},
}

// completeValues tells the shells what flags take.
func completeValues(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		completeValues(sub)
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if words, ok := flagValues[f.Name]; ok {
			// The error is that it is known already.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, func(_ *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
				return completed(f.Name, words, toComplete)
			})
		}
		if ends, ok := flagFiles[f.Name]; ok {
			_ = cmd.MarkFlagFilename(f.Name, ends...)
		}
		if f.Name == "out" && cmd.Name() == "inspect" {
			_ = cmd.MarkFlagDirname(f.Name)
		}
	})
}

// completed are the words for what was typed so far: of a list, for its last
// part.
func completed(flag string, words []string, typed string) ([]string, cobra.ShellCompDirective) {
	directive := cobra.ShellCompDirectiveNoFileComp
	before := ""
	if flag == "algorithms" || flag == "claim-names" {
		directive |= cobra.ShellCompDirectiveNoSpace
		if i := strings.LastIndexByte(typed, ','); i >= 0 {
			before = typed[:i+1]
		}
	}
	var found []string
	for _, word := range words {
		if strings.HasPrefix(before+word, typed) && !slices.Contains(strings.Split(strings.TrimSuffix(before, ","), ","), word) {
			found = append(found, before+word)
		}
	}
	return found, directive
}

// flagError says what a flag that is not known may have been meant for.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var known []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
		if meant := spelling.Nearest(unknown.GetSpecifiedName(), known); meant != "" {
			err = fmt.Errorf("%w; did you mean --%s?", err, meant)
		}
	}
	return fmt.Errorf("%w\nsee: %s --help", err, cmd.CommandPath())
}

// meantType is the end of the sentence for a type that is not known.
func meantType(kind persauth.AuthType) string {
	if meant := spelling.Nearest(string(kind), typeNames()); meant != "" {
		return "; did you mean " + meant + "?"
	}
	return ""
}
