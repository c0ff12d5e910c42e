package main

// persauth login, token and logout: a session of PERS for a person or a script,
// kept in a file.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthclient"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	envSession = "PERSAUTH_SESSION"

	sessionHelp = `The session is kept in a file that only you can read (--session, or the variable
PERSAUTH_SESSION; default persauth/session.json in your configuration folder).
Several processes may use it at once. Anyone who reads it can act for you.`
)

// sessionOptions are the flags of the commands that use a session.
type sessionOptions struct{ session, projectKey, baseURL text }

func (o *sessionOptions) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.Var(&o.session, "session", "keep the session in `FILE`")
	flags.Var(&o.projectKey, "project-key", "use project key `KEY` (better: PERS_PROJECT_KEY)")
	flags.Var(&o.baseURL, "base-url", "the PERS API is at `URL` (or PERS_BASE_URL; default https://api.pers.ninja/v2)")
}

// path returns the file that the session is kept in.
func (o *sessionOptions) path(sh *shell) (string, error) {
	if o.session != "" {
		return string(o.session), nil
	}
	if path := sh.getenv(envSession); path != "" {
		return path, nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("where the session is to be kept is unknown: give --session: %w", err)
	}
	return filepath.Join(folder, "persauth", "session.json"), nil
}

// source makes the token source that the flags and the environment ask for.
func (o *sessionOptions) source(sh *shell, change func(*persauthclient.Config) error) (*persauthclient.TokenSource, string, error) {
	path, err := o.path(sh)
	if err != nil {
		return nil, "", err
	}
	key, base := sh.account(o.projectKey, o.baseURL)
	if key == "" {
		return nil, "", errors.New("a project key is needed, in " + envProjectKey)
	}
	cfg := persauthclient.Config{
		Client:  &persauthclient.Client{ProjectKey: key, BaseURL: base},
		Store:   persauthclient.NewFileStore(path),
		Timeout: time.Minute, // somebody waits for it, and has nothing else
	}
	if change != nil {
		if err := change(&cfg); err != nil {
			return nil, "", err
		}
	}
	source, err := persauthclient.NewTokenSource(cfg)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	return source, path, err
}

// sessionStatus says what went wrong with a session, and asks for an exit status.
func (sh *shell) sessionStatus(err error) error {
	if err == nil {
		return nil
	}
	var choice *persauthclient.SelectionError
	switch {
	case errors.As(err, &choice):
		return choose(choice)
	case errors.Is(err, persauthclient.ErrStore):
		return err
	}
	status := exitStatus(exitUnknown)
	text := strings.TrimPrefix(err.Error(), "persauthclient: ")
	switch {
	case errors.Is(err, persauthclient.ErrSignIn):
		status = exitInvalid
		text += ": see persauth login"
	case errors.Is(err, persauthclient.ErrRejected):
		status = exitInvalid
	}
	fmt.Fprintf(sh.err, "persauth: %s\n", printable(text))
	return status
}

// choose lists what there is to choose from.
func choose(choice *persauthclient.SelectionError) error {
	lines := []string{"you may act for several: give --business or --tenant"}
	if len(choice.Options) == 0 {
		lines[0] += " (PERS did not say which there are)"
	}
	for _, o := range choice.Options {
		flag, id := "--business", o.Business
		if id == "" {
			flag, id = "--tenant", o.Tenant
		}
		line := fmt.Sprintf("  %s %s", flag, shown(id))
		for _, more := range []string{o.Name, o.Role} {
			if more != "" {
				line += "  " + shown(more)
			}
		}
		lines = append(lines, line)
	}
	return errors.New(strings.Join(lines, "\n"))
}

func (sh *shell) loginCommand() *cobra.Command {
	var o sessionOptions
	var authType, business, tenant, bind text
	cmd := &cobra.Command{
		Use:   "login [flags]",
		Short: "Exchange a provider's token for a session of PERS",
		Long: `Reads the token of an identity provider from standard input, exchanges it for a
session of PERS, checks what comes back, and keeps it for persauth token and
persauth curl.

` + sessionHelp + `

Exit status: 0, 1 PERS does not accept the token, 2 wrong usage, or there are
several businesses to choose from, 3 PERS cannot be reached.`,
		Example:               "  persauth login < provider-token\n  persauth login --type business --bind ES256 < provider-token",
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.Flags().Var(&authType, "type", "ask for a session of `TYPE`: user (default), business, tenant, system or external")
	cmd.Flags().Var(&business, "business", "act for business `ID`")
	cmd.Flags().Var(&tenant, "tenant", "act for tenant `ID`")
	cmd.Flags().Var(&bind, "bind", "bind the tokens to a new key for `ALG`, ES256 or EdDSA (DPoP, RFC 9449)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		request := persauthclient.Request{AuthType: persauth.AuthType(authType), Business: string(business), Tenant: string(tenant)}
		var v *persauth.Verifier
		source, path, err := o.source(sh, func(cfg *persauthclient.Config) (err error) {
			v, err = persauth.New(persauth.Config{ProjectKey: cfg.Client.ProjectKey, BaseURL: cfg.Client.BaseURL, Revocation: persauth.RevocationOff()})
			cfg.Verifier, cfg.BindTo = v, string(bind)
			cfg.Tenant, cfg.Business, cfg.AuthType = request.Tenant, request.Business, request.AuthType
			return err
		})
		if err != nil {
			return err
		}
		defer v.Close()
		defer source.Close()
		if request.AuthToken, err = sh.providerToken(cmd.Context()); err != nil {
			return err
		}
		if err := source.SignIn(cmd.Context(), request); err != nil {
			return sh.sessionStatus(err)
		}
		status := source.Status()
		fmt.Fprintf(sh.out, "signed in; the first token is good until %s\n", when(status.ExpiresAt, time.Now()))
		if status.Bound != "" {
			fmt.Fprintf(sh.out, "its tokens are bound to a key, so they need proofs: persauth curl makes them\n")
		}
		fmt.Fprintf(sh.out, "kept in %s\n", printable(path))
		return nil
	}
	return cmd
}

// providerToken reads a token from standard input.
func (sh *shell) providerToken(ctx context.Context) (string, error) {
	if sh.typed {
		fmt.Fprintln(sh.err, "Paste the token of your identity provider, and end with Ctrl-D on a line of its own.")
	}
	content, err := io.ReadAll(io.LimitReader(&interruptible{ctx, sh.in}, 4*maxToken))
	token := strings.TrimSpace(string(content))
	switch {
	case err != nil:
		return "", fmt.Errorf("standard input cannot be read: %w", err)
	case token == "":
		return "", errors.New("standard input has no token")
	case strings.ContainsAny(token, " \t\r\n") || len(token) > maxToken:
		return "", errors.New("standard input has something else than one token")
	}
	return token, nil
}

func (sh *shell) tokenCommand() *cobra.Command {
	var o sessionOptions
	cmd := &cobra.Command{
		Use:   "token [flags]",
		Short: "Print a fresh token of the session",
		Long: `Prints an access token of the session of persauth login, which is refreshed when
it is about to expire. Scripts that run at once make one refresh between them.

` + sessionHelp + `

Exit status: 0, 1 there is no session, or it has ended, 2 wrong usage or a session
that cannot be read, 3 PERS cannot be reached, and there is no token that lives.`,
		Example:               "  curl -H \"Authorization: Bearer $(persauth token)\" https://api.example.com/orders",
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		source, _, err := o.source(sh, nil)
		if err != nil {
			return err
		}
		defer source.Close() // waits for a refresh under way: its answer must not be lost
		token, err := source.AccessToken(cmd.Context())
		if err != nil {
			return sh.sessionStatus(err)
		}
		if source.Status().Bound != "" {
			fmt.Fprintln(sh.err, "persauth: this token is bound to a key, and is of no use without proofs: see persauth curl")
		}
		fmt.Fprintln(sh.out, token)
		return nil
	}
	return cmd
}

func (sh *shell) logoutCommand() *cobra.Command {
	var o sessionOptions
	cmd := &cobra.Command{
		Use:   "logout [flags]",
		Short: "Forget the session",
		Long: `Removes the session of persauth login from this machine. PERS documents no way to
end it there: tokens that somebody else has stay good until they expire.

Exit status: 0, also where there was none, 2 it cannot be removed.`,
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		path, err := o.path(sh)
		if err != nil {
			return err
		}
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			return nil
		}
		// Whosever session it is, and whatever is in the file.
		return persauthclient.NewFileStore(path).Remove(cmd.Context())
	}
	return cmd
}
