package persauthclient

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/persauth/persauth"
)

const defaultTimeout = 10 * time.Second

// Config configures a [TokenSource].
type Config struct {
	// Client calls PERS. It is needed. Its Key binds the tokens, where it is set.
	Client *Client
	// Store keeps the session. nil: in memory.
	Store Store
	// SignIn is asked for a provider's token when there is no session, or it has
	// ended. nil: then the error is [ErrSignIn], and a person has to sign in: see
	// [TokenSource.SignIn].
	SignIn func(ctx context.Context) (Request, error)
	// BindTo, "ES256" or "EdDSA", makes a key for each session, which its tokens
	// are bound to, and keeps it in the store. It takes the place of Client.Key.
	BindTo string

	// Verifier checks each token before it is used. nil: only what an unverified
	// token says is held against what was asked for, and against the session's
	// tokens before it.
	Verifier *persauth.Verifier
	// Tenant, Business and AuthType are what tokens must be for; empty ones are
	// not checked. They need a Verifier.
	Tenant, Business string
	AuthType         persauth.AuthType

	// Timeout is how long a caller waits for a token, when there is none to use
	// meanwhile. Default 10 s. PERS is waited for longer, in the background: an
	// answer that nobody waits for is a refresh token that is lost.
	Timeout time.Duration
	// Logger hears of refreshes that fail. nil: none does. See [TokenSource.Status].
	Logger *slog.Logger
}

// NewTokenSource checks the configuration, and does no I/O.
func NewTokenSource(cfg Config) (*TokenSource, error) {
	var wrong []error
	fail := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("persauthclient: "+format, args...))
	}
	base := ""
	if cfg.Client == nil {
		fail("Client is missing")
	} else {
		var err error
		if base, err = cfg.Client.base(); err != nil {
			fail("%w", err)
		}
	}
	switch cfg.BindTo {
	case "", algES256, algEdDSA:
	default:
		fail("BindTo is neither ES256 nor EdDSA")
	}
	if cfg.BindTo != "" && cfg.Client != nil && cfg.Client.Key != nil {
		fail("both BindTo and Client.Key say what tokens are bound to")
	}
	if cfg.Verifier == nil && (cfg.Tenant != "" || cfg.Business != "" || cfg.AuthType != "") {
		fail("Tenant, Business and AuthType need a Verifier: without one nobody knows that a token says the truth")
	}
	if cfg.Timeout < 0 {
		fail("Timeout is negative")
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	if cfg.Store == nil {
		cfg.Store = new(MemoryStore)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	log := cfg.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &TokenSource{cfg: cfg, account: account(base, cfg.Client.ProjectKey), log: log, clock: cfg.Client.Now}, nil
}
