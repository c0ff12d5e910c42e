package main

// The flags that commands share, and the verifier that they ask for.

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/cmd/persauth/internal/plaintext"
	"github.com/spf13/pflag"
)

const (
	envProjectKey = "PERS_PROJECT_KEY"
	envBaseURL    = "PERS_BASE_URL"

	// recentTokens is how many verified tokens are remembered: a log names the
	// same one several times in a row, and more would only cost memory.
	recentTokens = 1000
	// maxKeyFile is more than the library takes for a key set.
	maxKeyFile = 2 << 20
)

const optionsHelp = `Keys come from PERS with a project key, or from --jwks. With both, the keys in
the file are used until PERS has answered; so with --jwks alone, PERS is still
asked where PERS_PROJECT_KEY is set. With --offline no connection is opened,
whatever is set.

A token whose key PERS does not publish is sent to PERS, which decides. Whether
tokens were revoked is only asked with --live.

The better place for a token is standard input, and for the project key the
variable PERS_PROJECT_KEY: other users of the machine can see arguments.`

// options are the flags of verify and explain.
type options struct {
	jwks, projectKey, baseURL text
	issuer, audience          text
	tenants                   texts
	names                     claimNames
	now                       clock
	leeway                    time.Duration
	offline, live             bool
}

func (o *options) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.Var(&o.jwks, "jwks", "take the keys from the JWK Set in `FILE`")
	flags.Var(&o.projectKey, "project-key", "fetch the keys from PERS with project key `KEY` (better: PERS_PROJECT_KEY)")
	flags.Var(&o.baseURL, "base-url", "the PERS API is at `URL` (or PERS_BASE_URL; default https://api.pers.ninja/v2)")
	flags.Var(&o.issuer, "issuer", "accept only tokens whose iss is `I`")
	flags.Var(&o.audience, "audience", "accept only tokens whose aud has `A`")
	flags.Var(&o.tenants, "tenant", "accept only tokens of tenant `T`; may be given several times")
	flags.Var(&o.names, "claim-names", claimNamesHelp)
	flags.Var(&o.now, "now", "verify as if it were `TIME`: RFC 3339, or Unix seconds")
	flags.DurationVar(&o.leeway, "leeway", 30*time.Second, "allow clocks to differ by `D`, for example 1m; 0 for not at all")
	flags.BoolVar(&o.live, "live", false, "ask PERS about each token whether it was revoked; needs a project key")
	flags.BoolVar(&o.offline, "offline", false, "never open a connection; needs --jwks")
}

// verifier makes the verifier that the flags and the environment ask for.
func (o *options) verifier(sh *shell, flags *pflag.FlagSet) (*persauth.Verifier, error) {
	cfg := persauth.Config{
		Issuer:      string(o.issuer),
		Audience:    string(o.audience),
		Tenants:     o.tenants,
		ClaimNames:  persauth.ClaimNames(o.names),
		Offline:     o.offline,
		Now:         o.now.now,
		CacheTokens: recentTokens,
		Logger:      slog.New(slog.DiscardHandler), // the answers say what is wrong
		// A log of tokens must not use up the calls that a tenant's services
		// need.
		Revocation: persauth.RevocationOff(),
	}
	if o.live {
		cfg.Revocation = persauth.RevocationAlways()
	}
	if flags.Changed("leeway") {
		switch {
		case o.leeway < 0:
			return nil, fmt.Errorf("--leeway is %v, which is negative", o.leeway)
		case o.leeway == 0:
			cfg.Leeway = persauth.NoLeeway
		default:
			cfg.Leeway = o.leeway
		}
	}
	if key, base := sh.account(o.projectKey, o.baseURL); key != "" && !o.offline {
		if err := needsNetwork("a project key"); err != nil {
			return nil, err
		}
		cfg.ProjectKey, cfg.BaseURL = key, base
	}
	switch {
	case o.jwks != "":
		body, err := readKeyFile(string(o.jwks))
		if err != nil {
			return nil, fmt.Errorf("--jwks: %w", err)
		}
		if _, err := persauth.InspectKeys(body); err != nil {
			return nil, fmt.Errorf("--jwks: %s: %w", o.jwks, err)
		}
		cfg.Keys = persauth.StaticKeys(body)
	case o.offline:
		return nil, errors.New("--offline needs --jwks: there are no keys otherwise")
	case cfg.ProjectKey == "":
		return nil, errors.New("there are no keys: give --jwks, or a project key in " + envProjectKey)
	}
	if o.live && (o.offline || cfg.ProjectKey == "") {
		return nil, errors.New("--live needs a project key, in " + envProjectKey + ", and not --offline")
	}
	if o.baseURL != "" && cfg.ProjectKey == "" && !o.offline {
		return nil, errors.New("--base-url needs a project key, in " + envProjectKey)
	}
	return persauth.New(cfg)
}

// account returns the project key and the base URL that are given, or those of
// the environment.
func (sh *shell) account(projectKey, baseURL text) (string, string) {
	if projectKey == "" {
		projectKey = text(sh.getenv(envProjectKey))
	}
	if baseURL == "" {
		baseURL = text(sh.getenv(envBaseURL))
	}
	return string(projectKey), string(baseURL)
}

// readKeyFile reads a file that should be a key set, and no more of it than a
// key set can have.
func readKeyFile(path string) ([]byte, error) {
	if path == "-" {
		return nil, errors.New("keys are read from a file, not from standard input")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxKeyFile))
}

// text is a flag that must not be empty: a shell variable that is not set must
// not waive a check.
type text string

func (t *text) String() string { return string(*t) }
func (t *text) Type() string   { return "string" }

func (t *text) Set(value string) error {
	if value == "" {
		return errors.New("it is empty: a variable that is not set, perhaps")
	}
	*t = text(value)
	return nil
}

// texts is a text that may be given several times.
type texts []string

func (t *texts) String() string { return strings.Join(*t, ", ") }
func (t *texts) Type() string   { return "string" }

func (t *texts) Set(value string) error {
	var one text
	err := one.Set(value)
	*t = append(*t, value)
	return err
}

// clock is the flag --now. Its zero value stands for the system's clock.
type clock struct {
	given string
	now   func() time.Time
}

func (c *clock) String() string { return c.given }
func (c *clock) Type() string   { return "time" }

func (c *clock) Set(value string) error {
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		at, err = unixTime(value)
	}
	if err != nil {
		return err
	}
	c.given, c.now = value, func() time.Time { return at }
	return nil
}

// read returns the time that tokens are held against.
func (c *clock) read() time.Time {
	if c.now == nil {
		return time.Now()
	}
	return c.now()
}

// unixTime reads decimal seconds since 1970, with a fraction or without.
func unixTime(value string) (time.Time, error) {
	wrong := errors.New("it is neither RFC 3339, as in 2026-01-02T15:04:05Z, nor Unix seconds")
	if strings.Trim(value, "-.0123456789") != "" {
		return time.Time{}, wrong // ParseFloat takes far more forms
	}
	seconds, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return time.Time{}, wrong
	}
	return plaintext.TimeAt(seconds)
}
