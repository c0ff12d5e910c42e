package main

// persauth fixtures: keys and tokens as files.

import (
	"errors"
	"fmt"

	"github.com/persauth/persauth/persauthtest"
	"github.com/spf13/cobra"
)

func (sh *shell) fixturesCommand() *cobra.Command {
	o := issuerOptions{}
	cmd := &cobra.Command{
		Use:   "fixtures [flags] DIR",
		Short: "Write keys and good and bad tokens as files, for tests in any language",
		Long: `Writes to the folder DIR: jwks.json, a key set; tokens.ndjson, tokens of which each
line says what is to be expected of it, and why; and the private keys as PEM. They
stay good until 2099. The same flags write the same bytes.

Each line of tokens.ndjson has "name", "expect" (valid, invalid or unknown-key),
"error" (the word of persauth for it), "rule" (who has to notice: "jwt" any library,
"strict" a strict one, "pers" one that knows PERS), "why" and "token".

NOT FOR PRODUCTION: the keys are made from the seed, and whoever knows the seed
can sign tokens.

Exit status: 0, or 2 for wrong usage or a folder that cannot be written.`,
		Example: "  persauth fixtures testdata\n  persauth fixtures --algorithms RS256 --issuer https://api.pers.ninja testdata",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] == "" {
				return fmt.Errorf("want one folder\nsee: %s --help", cmd.CommandPath())
			}
			return nil
		},
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := o.check(cmd.Flags()); err != nil {
			return err
		}
		if !cmd.Flags().Changed("algorithms") {
			o.algorithms = []string{"RS256", "ES256", "EdDSA"}
		}
		if len(o.algorithms) == 0 && o.keys == "" {
			return errors.New("--algorithms is empty")
		}
		return withTestKit(func(kit *testKit) error {
			persauthtest.WriteFixtures(kit, args[0], o.options()...)
			_, err := fmt.Fprintf(sh.out, "written to %s\n", printable(args[0]))
			return err
		})
	}
	return cmd
}
