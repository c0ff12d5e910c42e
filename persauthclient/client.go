package persauthclient

// What PERS is asked for: POST /auth/token and POST /auth/refresh.

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/persauth/persauth"
)

const (
	defaultBaseURL = "https://api.pers.ninja/v2"
	tokenPath      = "/auth/token"
	refreshPath    = "/auth/refresh"

	opExchange = "exchange"
	opRefresh  = "refresh"
)

// Client calls the two endpoints of PERS that hand tokens out. Its fields must not
// change after the first call, and it must not be copied. It is safe for
// concurrent use. A call ends with its context, and after two minutes at most.
type Client struct {
	// ProjectKey is the tenant's project key (x-project-key). It is needed.
	ProjectKey string
	// BaseURL is where the PERS API is. Default https://api.pers.ninja/v2. Plain
	// http is taken for loopback addresses only.
	BaseURL string
	// HTTPClient sends the requests. Default: a client of its own on
	// [http.DefaultTransport]. Its CheckRedirect is not used: no redirect is
	// followed.
	HTTPClient *http.Client
	// Key is the key that tokens are bound to (RFC 9449 §5): each call brings a
	// proof of it, and tokens that are not bound to it are refused with
	// [ErrAnswer]. nil: tokens are bound to no key.
	Key *Key
	// InsecureAllowHTTP allows plain http to any host: anyone on the way can read
	// the tokens.
	InsecureAllowHTTP bool
	// Now is the clock. Default [time.Now].
	Now func() time.Time

	nonce atomic.Pointer[string] // the last one that PERS asked for (RFC 9449 §8)
}

// Request asks for a session.
type Request struct {
	// AuthToken is the token of the identity provider.
	AuthToken string
	// AuthType is the kind of session. Empty: a user's.
	AuthType persauth.AuthType
	// Business and Tenant choose what the session is for, where the user has
	// several to choose from: see [SelectionError].
	Business, Tenant string
}

// Tokens are what PERS hands out. Printed, logged or encoded as JSON, they show
// when they expire, and no token.
type Tokens struct {
	// AccessToken is sent to services.
	AccessToken string `json:"-"`
	// RefreshToken gets the next pair, once. Empty: the session cannot be
	// refreshed.
	RefreshToken string `json:"-"`
	// IssuedAt and ExpiresAt are what the access token says, by PERS' clock.
	// Nobody has verified it here. IssuedAt may be zero.
	IssuedAt, ExpiresAt time.Time
	// RefreshExpiresAt is when the refresh token expires, or zero where it does
	// not say.
	RefreshExpiresAt time.Time `json:",omitzero"`

	life time.Duration // of the access token, from when it came
}

// Format writes when the tokens expire, for every verb.
func (t Tokens) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "tokens that expire at %s", t.ExpiresAt.UTC().Format(time.RFC3339))
}

// LogValue gives log/slog when the tokens expire.
func (t Tokens) LogValue() slog.Value {
	return slog.GroupValue(slog.Time("expiresAt", t.ExpiresAt))
}

// Exchange gets a session for a provider's token. The error is an [ErrRejected],
// a [SelectionError], [ErrUnavailable] or [ErrAnswer]; then there are no tokens.
func (c *Client) Exchange(ctx context.Context, request Request) (*Tokens, error) {
	return orNone(c.exchange(ctx, request, nil, c.Key))
}

// InsecureUnauthenticatedSession gets a session that nobody has authenticated: a
// tenant in "sandbox or trial mode" (allowJWTForUnauthenticatedUsers) creates a
// user from raw login data, no matter who sends them. Such a session proves nothing
// about who uses it. data is encoded as a JSON object.
func (c *Client) InsecureUnauthenticatedSession(ctx context.Context, request Request, data map[string]any) (*Tokens, error) {
	if data == nil {
		data = map[string]any{}
	}
	return orNone(c.exchange(ctx, request, data, c.Key))
}

// Refresh gets the next pair of tokens. The refresh token is used up by it, also
// where the answer is lost on the way; a [TokenSource] takes care of that. The
// error is an [ErrRejected], [ErrUnavailable] or [ErrAnswer].
func (c *Client) Refresh(ctx context.Context, refreshToken string) (*Tokens, error) {
	return orNone(c.refresh(ctx, refreshToken, c.Key))
}

func orNone(tokens *Tokens, err error) (*Tokens, error) {
	if err != nil {
		return nil, err
	}
	return tokens, nil
}

// Format writes where PERS is, for every verb, and not the project key.
func (c *Client) Format(f fmt.State, _ rune) {
	if c == nil {
		fmt.Fprint(f, "<nil>")
		return
	}
	fmt.Fprintf(f, "client of %s", cmp.Or(c.BaseURL, defaultBaseURL))
}

type exchangeBody struct {
	AuthToken string            `json:"authToken"`
	AuthType  persauth.AuthType `json:"authType,omitempty"`
	Context   *exchangeContext  `json:"context,omitempty"`
	RawLogin  map[string]any    `json:"rawLoginData,omitzero"`
}

type exchangeContext struct {
	Business string `json:"businessId,omitempty"`
	Tenant   string `json:"tenantId,omitempty"`
}

func (c *Client) exchange(ctx context.Context, request Request, raw map[string]any, key *Key) (*Tokens, error) {
	if request.AuthToken == "" && raw == nil {
		return nil, &Error{Op: opExchange, Got: "no token of a provider", Err: ErrRejected}
	}
	body := exchangeBody{AuthToken: request.AuthToken, AuthType: request.AuthType, RawLogin: raw}
	if request.Business != "" || request.Tenant != "" {
		body.Context = &exchangeContext{request.Business, request.Tenant}
	}
	return c.tokens(ctx, opExchange, tokenPath, body, key)
}

// refresh returns tokens beside an ErrAnswer where the refresh token was replaced
// all the same: it must not be lost.
func (c *Client) refresh(ctx context.Context, refreshToken string, key *Key) (*Tokens, error) {
	if refreshToken == "" {
		return nil, &Error{Op: opRefresh, Got: "no refresh token", Err: ErrRejected}
	}
	tokens, err := c.tokens(ctx, opRefresh, refreshPath, map[string]string{"refreshToken": refreshToken}, key)
	if tokens != nil && tokens.RefreshToken == "" {
		// RFC 6749 §6: without a new one, the old one stays good.
		tokens.RefreshToken = refreshToken
		tokens.RefreshExpiresAt = peekToken(refreshToken).expiresAt()
	}
	return tokens, err
}

func (c *Client) tokens(ctx context.Context, op, path string, asked any, key *Key) (*Tokens, error) {
	body, err := json.Marshal(asked)
	if err != nil { // text that is not UTF-8
		return nil, &Error{Op: op, Got: "a request that is not JSON", Err: ErrRejected}
	}
	answer, err := c.post(ctx, op, path, body, key)
	if err != nil {
		return nil, err
	}
	return readTokens(op, answer, key)
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
