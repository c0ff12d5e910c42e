// Command persauth verifies, explains and inspects PERS tokens from a shell.
//
//	persauth verify --jwks jwks.json < token
//	persauth verify --jwks jwks.json --ndjson < tokens > answers
//	persauth explain, persauth inspect, persauth jwks show|lint|fetch
//	persauth serve --config sidecar.yaml
//	persauth mock, persauth mint
//	persauth login, persauth token, persauth curl, persauth logout
//	persauth fleet status, persauth revoke, persauth unrevoke
//
// On js and wasip1 Go has no sockets: there the commands that need PERS, or serve
// something, say so.
//
// This file holds the root of the command, and how what happened becomes an
// exit status.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses.
const (
	exitValid       = 0   // all is well
	exitInvalid     = 1   // a token is invalid, or a key cannot be used
	exitUsage       = 2   // the command was not called, or not set up, rightly
	exitUnknown     = 3   // whether a token is good could not be told
	exitInterrupted = 130 // by SIGINT or SIGTERM, as shells number it
)

const rootHelp = `Verifies, explains and inspects the tokens of the PERS API.

Keys come from a file (--jwks) or from PERS (PERS_PROJECT_KEY in the
environment, and PERS_BASE_URL where it is not the usual one).

Exit status:
  0  all tokens are valid
  1  some token is invalid
  2  wrong usage or configuration: an unknown flag, a file that cannot be read,
     a key set that cannot be used, input without a token, output that cannot be
     written
  3  whether a token is good could not be told: PERS could not be reached
  130  interrupted`

func main() {
	// SIGPIPE keeps its default: when the reader of the output is gone, the process just ends.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}

// run is the whole command. It returns the exit status.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	sh := &shell{
		in:     stdin,
		out:    &output{Writer: stdout},
		err:    stderr,
		getenv: getenv,
		typed:  isTerminal(stdin),
		// Progress belongs on a terminal that answers do not go to.
		watched: isTerminal(stderr) && !isTerminal(stdout),
	}
	root := sh.rootCommand()
	root.SetArgs(append([]string{}, args...)) // for nil, cobra takes os.Args
	root.SetOut(sh.out)
	root.SetErr(sh.err)
	err := root.ExecuteContext(ctx)

	var status exitStatus
	switch {
	case errors.Is(err, errStopped):
		return exitValid
	case ctx.Err() != nil:
		return exitInterrupted
	case sh.out.err != nil:
		err = fmt.Errorf("standard output cannot be written: %w", sh.out.err)
	case errors.As(err, &status):
		return int(status)
	case err == nil:
		return exitValid
	}
	for line := range strings.Lines(strings.TrimPrefix(err.Error(), "persauth: ")) {
		fmt.Fprintf(stderr, "persauth: %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
	return exitUsage
}

// exitStatus is how a command that has said all it has to say asks for an exit
// status. All other errors are printed, and exit with exitUsage.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// asError returns nil for exitValid.
func (s exitStatus) asError() error {
	if s == exitValid {
		return nil
	}
	return s
}

// and is the status of two answers together: one that is surely invalid decides.
func (s exitStatus) and(other exitStatus) exitStatus {
	switch {
	case s == exitInvalid || other == exitInvalid:
		return exitInvalid
	case s == exitUnknown || other == exitUnknown:
		return exitUnknown
	}
	return exitValid
}

// shell is what the command gets from its environment.
type shell struct {
	in      io.Reader
	out     *output
	err     io.Writer
	getenv  func(string) string
	typed   bool // somebody may be typing the input
	watched bool // somebody may be looking at err, and not at out
}

// output notices when what is written goes nowhere.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.Writer.Write(p)
	o.err = err
	return n, err
}

func (sh *shell) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "persauth",
		Short:         "Verify, explain and inspect PERS tokens",
		Long:          rootHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		// An argument is not repeated in an error: it may be a token.
		Args:                       cobra.ArbitraryArgs,
		RunE:                       needSubcommand,
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(sh.verifyCommand(), sh.explainCommand(), sh.inspectCommand(), sh.jwksCommand(),
		sh.serveCommand(), sh.mockCommand(), sh.mintCommand(), sh.fixturesCommand(), sh.versionCommand(), sh.manCommand(),
		sh.loginCommand(), sh.tokenCommand(), sh.curlCommand(), sh.logoutCommand(),
		sh.fleetCommand(), sh.revokeCommand(true), sh.revokeCommand(false))
	completeValues(root)
	return root
}

// needSubcommand runs for a command that does nothing by itself.
func needSubcommand(cmd *cobra.Command, args []string) error {
	what := "a command is missing"
	if len(args) > 0 {
		what = "there is no such command"
		if likely := cmd.SuggestionsFor(args[0]); len(likely) > 0 {
			what += "; did you mean " + strings.Join(likely, " or ") + "?"
		}
	}
	return fmt.Errorf("%s\nsee: %s --help", what, cmd.CommandPath())
}
