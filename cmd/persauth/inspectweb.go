package main

// persauth inspect --web: the page to look at a token, served or as files.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/inspector"
	"github.com/persauth/persauth/persauthtest"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	webAddress = "127.0.0.1:8788"
	// keysTimeout bounds a look at the keys of PERS.
	keysTimeout = 5 * time.Second
)

// webOptions are the flags of inspect that are for the page.
type webOptions struct {
	web, mock                            bool
	addr, out, jwks, projectKey, baseURL text
}

func (o *webOptions) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	o.addr = webAddress
	flags.BoolVar(&o.web, "web", false, "serve a page that explains tokens in the browser; no token leaves it")
	flags.Var(&o.addr, "addr", "with --web: serve at `ADDRESS`; port 0 is any free one")
	flags.Var(&o.out, "out", "with --web: write the page as files to `DIR`, for any web server, and serve nothing")
	flags.Var(&o.jwks, "jwks", "with --web: offer the keys of the JWK Set in `FILE`")
	flags.BoolVar(&o.mock, "mock", false, "with --web: offer the keys of the running persauth mock")
	flags.Var(&o.projectKey, "project-key", "with --web: offer the keys of PERS for project key `KEY` (better: PERS_PROJECT_KEY)")
	flags.Var(&o.baseURL, "base-url", "with --web: the PERS API is at `URL` (or PERS_BASE_URL)")
}

// check refuses flags that would do nothing.
func (o *webOptions) check(cmd *cobra.Command, args []string) error {
	if !o.web {
		for _, name := range []string{"addr", "out", "jwks", "mock", "project-key", "base-url"} {
			if cmd.Flags().Changed(name) {
				return fmt.Errorf("--%s needs --web\nsee: %s --help", name, cmd.CommandPath())
			}
		}
		return nil
	}
	if len(args) > 0 {
		return errors.New("--web takes no token: paste it into the page")
	}
	if cmd.Flags().Changed("json") {
		return errors.New("--json is not for --web")
	}
	return nil
}

// keys returns where the keys come from that the page offers, and the source;
// neither, where it offers none.
func (o *webOptions) keys(sh *shell) (string, inspector.KeySource, error) {
	if o.jwks != "" {
		path := string(o.jwks)
		if path == "-" {
			return "", nil, errors.New("--jwks: keys are read from a file, not from standard input")
		}
		_, err := sh.inspectFile(path)
		return path, func(context.Context) ([]byte, error) { return readKeyFile(path) }, err
	}
	projectKey, baseURL := sh.account(o.projectKey, o.baseURL)
	from := "PERS"
	if o.mock {
		from, baseURL = "the running mock", "http://"+mockAddress
		err := withTestKit(func(kit *testKit) error {
			options := issuerOptions{seed: mockSeed, algorithms: []string{mockAlgorithm}}
			projectKey = persauthtest.NewServer(kit, options.issuer(kit), persauthtest.InMemory()).ProjectKey()
			return nil
		})
		if err != nil {
			return "", nil, err
		}
	}
	if projectKey == "" {
		return "", nil, nil
	}
	// Nothing is asked yet: New says whether the settings hold.
	v, err := persauth.New(persauth.Config{ProjectKey: projectKey, BaseURL: baseURL})
	if err != nil {
		return "", nil, err
	}
	v.Close()
	if baseURL == "" {
		baseURL = "https://api.pers.ninja/v2"
	} else if at, err := url.Parse(baseURL); err == nil {
		from += " at " + at.Host
	}
	return from, func(ctx context.Context) ([]byte, error) { return keysOfPERS(ctx, projectKey, baseURL) }, nil
}

// keysOfPERS gets the key set as it is, also with keys that cannot be used: the
// page says why.
func keysOfPERS(ctx context.Context, projectKey, baseURL string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(baseURL, "/")+"/.well-known/jwks.json", nil)
	if err != nil {
		return nil, errors.New("the address of PERS does not hold")
	}
	r.Header.Set("x-project-key", projectKey)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		return nil, errors.New("PERS, or the mock, does not answer")
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("PERS, or the mock, answers with status %d", answer.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxKeyFile))
	if err != nil {
		return nil, errors.New("the answer of PERS breaks off")
	}
	return body, nil
}

// run serves the page until ctx ends, or writes it.
func (o *webOptions) run(ctx context.Context, sh *shell) error {
	from, keys, err := o.keys(sh)
	if err != nil {
		return err
	}
	fmt.Fprintln(sh.err, "persauth: putting the page together …")
	page, err := inspector.Load(ctx, from)
	if err != nil {
		return err
	}
	if o.out != "" {
		var offered []byte
		if keys != nil {
			if offered, err = keys(ctx); err != nil {
				return err
			}
		}
		if err := page.Write(string(o.out), offered); err != nil {
			return err
		}
		fmt.Fprintf(sh.out, "written to %s\n", printable(string(o.out)))
		return nil
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", string(o.addr))
	if err != nil {
		return fmt.Errorf("--addr: %w", err)
	}
	fmt.Fprintf(sh.out, "The page is at http://%s/\n", listener.Addr())
	return serve(ctx, listener, page.Handler(keys))
}
