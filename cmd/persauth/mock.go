package main

// persauth mock: a fake PERS API to develop against, and what it shares with
// persauth mint.

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	mockAddress   = "127.0.0.1:8787"
	mockSeed      = "persauth"
	mockAlgorithm = "ES256"

	// stopTime is how long requests have that are under way when it stops.
	stopTime = 5 * time.Second
)

const mockHelp = `Serves a fake PERS API: its keys, /auth/verify, /auth/token and /auth/refresh. It
is there to develop a service or a front end against, in any language. It tells
how to use it, and runs until it is interrupted.

NOT FOR PRODUCTION: the keys are made from the seed, and whoever knows the seed
can sign tokens. Nothing is stored.

The same --seed and --algorithms make the same keys and the same project key
every time. With them, persauth mint signs tokens that are accepted here.

Exit status: 2 wrong usage, or an address that cannot be served; 130 when it is
interrupted.`

// issuerOptions are the flags that mock and mint share.
type issuerOptions struct {
	seed       text
	algorithms []string
	keys       text
	issuerName text
	audience   texts
	names      claimNames
}

func (o *issuerOptions) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	o.seed = mockSeed
	flags.Var(&o.seed, "seed", "make the keys from `SEED`; the same for mock and mint")
	flags.StringSliceVar(&o.algorithms, "algorithms", []string{mockAlgorithm},
		"have one key for each algorithm of `LIST`; the same for mock and mint")
	flags.Var(&o.keys, "keys", "sign with the private keys in `FILE` instead: PEM, a JWK or a JWK Set; the same for mock and mint")
	flags.Var(&o.issuerName, "issuer", "set iss of tokens to `I`")
	flags.Var(&o.audience, "audience", "set aud of tokens to `A`; may be given several times")
	flags.Var(&o.names, "claim-names", claimNamesHelp)
}

func (o *issuerOptions) issuer(t persauthtest.TB, more ...persauthtest.IssuerOption) *persauthtest.Issuer {
	return persauthtest.NewIssuer(t, append(o.options(), more...)...)
}

// options are the flags as persauthtest has them.
func (o *issuerOptions) options() []persauthtest.IssuerOption {
	options := []persauthtest.IssuerOption{persauthtest.WithSeed(string(o.seed)), persauthtest.WithIssuer(string(o.issuerName)),
		persauthtest.WithAudience(o.audience...), persauthtest.WithClaimNames(persauth.ClaimNames(o.names))}
	if o.keys != "" {
		return append(options, persauthtest.WithKeys(persauthtest.KeyFile(string(o.keys))))
	}
	return append(options, persauthtest.WithAlgorithms(o.algorithms...))
}

// check refuses flags that contradict each other.
func (o *issuerOptions) check(flags *pflag.FlagSet) error {
	if o.keys != "" && flags.Changed("algorithms") {
		return errors.New("--keys and --algorithms exclude each other: the file says which keys there are")
	}
	return nil
}

// flags is how mint has to be called for the same keys: nothing, for the usual
// ones.
func (o *issuerOptions) flags() (args string) {
	quote := func(s string) string {
		if shown(s) == s {
			return s
		}
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	if o.seed != mockSeed {
		args += " --seed " + quote(printable(string(o.seed)))
	}
	if o.keys != "" {
		args += " --keys " + quote(printable(string(o.keys)))
	} else if len(o.algorithms) != 1 || o.algorithms[0] != mockAlgorithm {
		args += " --algorithms " + strings.Join(o.algorithms, ",") // all of them are words that we know
	}
	if o.issuerName != "" {
		args += " --issuer " + quote(printable(string(o.issuerName)))
	}
	for _, audience := range o.audience {
		args += " --audience " + quote(printable(audience))
	}
	if names := o.names.String(); names != "" {
		args += " --claim-names " + quote(printable(names))
	}
	return args
}

// testKit lets persauthtest run in a command.
type testKit struct{ cleanups []func() }

// testKitFailure is what Fatalf panics with.
type testKitFailure struct{ error }

func (*testKit) Helper() {}

func (*testKit) Fatalf(format string, args ...any) {
	text := strings.TrimPrefix(fmt.Sprintf(format, args...), "persauthtest: ")
	panic(testKitFailure{errors.New(text)})
}

func (k *testKit) Cleanup(f func()) { k.cleanups = append(k.cleanups, f) }

// withTestKit runs do, and what it leaves to be cleaned up. What the kit finds
// fatal is an error.
func withTestKit(do func(*testKit) error) (err error) {
	kit := new(testKit)
	defer func() {
		for _, cleanup := range slices.Backward(kit.cleanups) {
			cleanup()
		}
	}()
	defer func() {
		switch p := recover().(type) {
		case nil:
		case testKitFailure:
			err = p
		default:
			panic(p)
		}
	}()
	return do(kit)
}

func (sh *shell) mockCommand() *cobra.Command {
	var o issuerOptions
	var claims text
	address := text(mockAddress)
	cmd := &cobra.Command{
		Use:                   "mock [flags]",
		Short:                 "Serve a fake PERS API, to develop against",
		Long:                  mockHelp,
		Example:               "  persauth mock\n  persauth mock --addr 127.0.0.1:9000 --seed mine --algorithms RS256,EdDSA",
		Args:                  noArgument,
		DisableFlagsInUseLine: true,
	}
	o.register(cmd.Flags())
	cmd.Flags().Var(&address, "addr", "serve at `ADDRESS`; port 0 is any free one")
	cmd.Flags().Var(&claims, "claims", "add the claims of the JSON object `JSON` to tokens that have no others of these names")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		more, err := jsonClaims(claims)
		if err != nil {
			return err
		}
		if err := o.check(cmd.Flags()); err != nil {
			return err
		}
		if err := needsNetwork(cmd.CommandPath()); err != nil {
			return err
		}
		return withTestKit(func(kit *testKit) error {
			pers := persauthtest.NewServer(kit, o.issuer(kit, persauthtest.WithClaims(more)), persauthtest.InMemory())
			var config net.ListenConfig
			listener, err := config.Listen(cmd.Context(), "tcp", string(address))
			if err != nil {
				return fmt.Errorf("--addr: %w", err)
			}
			sh.introduce(listener.Addr(), pers.ProjectKey(), o.flags())
			return serve(cmd.Context(), listener, forBrowsers(pers))
		})
	}
	return cmd
}

// introduce says what the mock is, and how to use it.
func (sh *shell) introduce(at net.Addr, projectKey, mintFlags string) {
	const warning = `*** NOT FOR PRODUCTION ***
This is a fake PERS API. Its keys are made from a seed: whoever knows the seed can
sign tokens that it accepts. Use its project key and its keys nowhere else.
`
	fmt.Fprint(sh.err, warning)
	host, port, _ := net.SplitHostPort(at.String())
	ip := net.ParseIP(host)
	if !ip.IsLoopback() {
		fmt.Fprintf(sh.err, "Other machines can reach it at %s.\n", at)
	}
	if ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	base := "http://" + net.JoinHostPort(host, port)
	fmt.Fprintf(sh.out, `
base URL     %[1]s
project key  %[2]s

For persauth, and for services that read their settings from there:
  export PERS_BASE_URL=%[1]s
  export PERS_PROJECT_KEY=%[2]s

The keys:
  curl -H 'x-project-key: %[2]s' %[1]s/.well-known/jwks.json

A token, and whether it is good:
  persauth mint%[3]s --type business --role ADMIN
  persauth mint%[3]s | persauth verify

A session, for which any text is a provider's token:
  echo me | persauth login && persauth token

`, base, projectKey, mintFlags)
}

// serve serves until ctx ends, and then lets those finish who are being served.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := errors.Join(server.Shutdown(last), server.Close())
	if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// forBrowsers lets a page from any address ask: a front end under development is
// served from another one. There is nothing here to be kept from it.
func forBrowsers(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if r.Method == http.MethodOptions {
			w.Header().Set("Access-Control-Allow-Methods", "GET, POST")
			w.Header().Set("Access-Control-Allow-Headers", "x-project-key, content-type, authorization, dpop")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
