package main

// persauth verify: single tokens, for a person or as JSON. Streams of tokens
// are in stream.go.

import (
	"context"

	"github.com/persauth/persauth"
	"github.com/spf13/cobra"
)

const verifyHelp = `Says whether tokens are valid, and who they were issued to.

Without a token, or with "-", tokens are read from standard input, one a line;
white space around them and blank lines do not matter.

With --ndjson every line of standard input is taken exactly as it is, up to its
line feed: an empty line, a space or a carriage return makes an invalid token.
For each line one JSON object is written, in the same order, as soon as input
pauses:

  {"valid":true,"claims":{…}}
  {"valid":false,"error":"expired","reason":"…"}

A line may also be a JSON object with the token in its member "token": the answer
has its other members, too, before its own.

` + optionsHelp + `

Exit status: 0 all tokens are valid, 1 some token is invalid, 2 wrong usage or
configuration, or no token at all, 3 none is invalid, and some could not be told.`

// checker verifies one token after another, as the flags say.
type checker struct {
	verifier      *persauth.Verifier
	signatureOnly bool
	withoutProof  bool
}

func (c checker) check(ctx context.Context, l line) answer {
	if l.refused != nil {
		return answer{err: l.refused}
	}
	if c.signatureOnly {
		_, err := c.verifier.InsecureVerifySignatureOnly(ctx, l.token)
		return answer{err: err}
	}
	verify := c.verifier.Verify
	if c.withoutProof {
		verify = c.verifier.VerifyWithoutProof
	}
	claims, err := verify(ctx, l.token)
	return answer{claims, err}
}

func (sh *shell) verifyCommand() *cobra.Command {
	var o options
	var asJSON, ndjson, signatureOnly, withoutProof, watch bool
	cmd := &cobra.Command{
		Use:   "verify [flags] [TOKEN | -]",
		Short: "Say whether tokens are valid, and who they were issued to",
		Long:  verifyHelp,
		Example: `  persauth verify --jwks jwks.json < token
  PERS_PROJECT_KEY=… persauth verify --ndjson < tokens > answers`,
		Args:                  oneToken,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.Flags().BoolVar(&signatureOnly, "signature-only", false, "check the signature and the header, and do not look at the claims")
	cmd.Flags().BoolVar(&withoutProof, "without-proof", false, "accept tokens that are bound to a client's key (DPoP) without their proof")
	cmd.Flags().BoolVar(&asJSON, "json", false, "write an indented JSON object for each token")
	cmd.Flags().BoolVar(&ndjson, "ndjson", false, "read a token, and write a JSON object, on each line")
	cmd.Flags().BoolVar(&watch, "progress", true, "with --ndjson: show lines, rate and share of bad ones on a terminal")
	cmd.MarkFlagsMutuallyExclusive("json", "ndjson")
	// A flag for a claim must not be ignored.
	for _, claim := range []string{"issuer", "audience", "tenant"} {
		cmd.MarkFlagsMutuallyExclusive("signature-only", claim)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		verifier, err := o.verifier(sh, cmd.Flags())
		if err != nil {
			return err
		}
		defer verifier.Close()
		c := checker{verifier, signatureOnly, withoutProof}
		if ndjson && (len(args) == 0 || args[0] == "-") {
			return sh.stream(cmd.Context(), c, watch)
		}
		status := exitStatus(exitValid)
		first := true
		err = sh.tokens(cmd.Context(), args, func(l line) error {
			a := c.check(cmd.Context(), l)
			if err := cmd.Context().Err(); err != nil {
				return err // it may be why the token could not be told
			}
			status = status.and(a.status())
			var out []byte
			switch {
			case ndjson, asJSON && signatureOnly:
				out = append(a.appendJSON(nil, nil), '\n')
			case asJSON:
				var err error
				if out, err = indented(a.appendJSON(nil, verification)); err != nil {
					return err
				}
			default:
				out = separated(a.describe(l, o.now.read()), &first)
			}
			_, err := sh.out.Write(out)
			return err
		})
		if err != nil {
			return err
		}
		return status.asError()
	}
	return cmd
}

// separated puts an empty line between what is said of one token and the next.
func separated(text string, first *bool) []byte {
	if !*first {
		text = "\n" + text
	}
	*first = false
	return []byte(text)
}
