package main

// persauth explain: every check of a token, with what was wanted and what was
// there.

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/persauth/persauth"
	"github.com/spf13/cobra"
)

const explainHelp = `Lists every check of a token, with what was wanted and what was there. It goes
on past a failure, so that all faults show at once.

Without a token, or with "-", tokens are read from standard input, one a line;
white space around them and blank lines do not matter.

` + optionsHelp + `

Exit status: 0 all tokens are valid, 1 some token is invalid, 2 wrong usage or
configuration, or no token at all, 3 none is invalid, and some could not be told.`

func (sh *shell) explainCommand() *cobra.Command {
	var o options
	var asJSON bool
	cmd := &cobra.Command{
		Use:                   "explain [flags] [TOKEN | -]",
		Short:                 "List every check of a token, with what was wanted and what was there",
		Long:                  explainHelp,
		Args:                  oneToken,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "write an indented JSON object for each token")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		verifier, err := o.verifier(sh, cmd.Flags())
		if err != nil {
			return err
		}
		defer verifier.Close()
		status := exitStatus(exitValid)
		first := true
		err = sh.tokens(cmd.Context(), args, func(l line) error {
			report := explain(cmd, verifier, l)
			if err := cmd.Context().Err(); err != nil {
				return err // it may be why the token could not be told
			}
			a := answer{report.Claims, report.Err}
			status = status.and(a.status())
			var out []byte
			if asJSON {
				if out, err = reportJSON(report); err != nil {
					return err
				}
			} else {
				text := a.describe(l, o.now.read()) + describeChecks("checks", report.Checks) + describeChecks("evidence", evidence(report))
				out = separated(text, &first)
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

func explain(cmd *cobra.Command, verifier *persauth.Verifier, l line) persauth.Report {
	e, ok := l.refused.(*persauth.Error)
	if !ok {
		return verifier.Explain(cmd.Context(), l.token)
	}
	return persauth.Report{Err: e, Checks: []persauth.Check{
		{Name: e.Check, Result: persauth.Failed, Want: e.Want, Got: e.Got}}}
}

// reportJSON adds to a report what the answer of verify has.
func reportJSON(r persauth.Report) ([]byte, error) {
	checks, err := json.Marshal(r.Checks)
	if err != nil {
		return nil, err
	}
	members := append([]byte(`,"checks":`), checks...)
	if len(r.Evidence) > 0 {
		evidence, err := json.Marshal(r.Evidence)
		if err != nil {
			return nil, err
		}
		members = append(append(members, `,"evidence":`...), evidence...)
	}
	object := answer{r.Claims, r.Err}.appendJSON(nil, verification)
	object = append(object[:len(object)-1], members...)
	return indented(printableJSON(append(object, '}')))
}

// evidence is what the token has for rights. What it lacks is no fault of it.
func evidence(r persauth.Report) []persauth.Check {
	all := slices.Clone(r.Evidence)
	for i := range all {
		if all[i].Result == persauth.Failed {
			all[i].Result = persauth.Skipped
		}
	}
	return all
}

func describeChecks(title string, checks []persauth.Check) string {
	if len(checks) == 0 {
		return ""
	}
	marks := map[persauth.CheckResult]string{persauth.Passed: "✓", persauth.Failed: "✗", persauth.Skipped: "–"}
	width := 0
	for _, c := range checks {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	b.WriteString("  " + title + "\n")
	for _, c := range checks {
		var parts []string
		if c.Want != "" {
			parts = append(parts, "want "+c.Want)
		}
		if c.Got != "" {
			parts = append(parts, "got "+c.Got)
		}
		if c.Result == persauth.Skipped && parts == nil {
			parts = []string{"not looked at"}
		}
		line := fmt.Sprintf("  %s %-*s  %s", marks[c.Result], width, c.Name, strings.Join(parts, "; "))
		b.WriteString(printable(strings.TrimRight(line, " ")) + "\n")
	}
	return b.String()
}
