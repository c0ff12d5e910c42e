package persauthclient

// Where requests get their tokens from.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Source gives requests their tokens. [TokenSource] keeps a session fresh,
// [StaticToken] is one token, [CallerToken] that of a service's own caller, and
// the TokenSource of package persauthtest is for tests. It is safe for concurrent
// use.
type Source interface {
	// Authorize returns the values of the headers Authorization and DPoP for one
	// request; the second is empty where the token is bound to no key. nonce is
	// the last one that the service asked for, or empty. The proof is for this
	// method and target alone, and for one try.
	Authorize(ctx context.Context, method string, target *url.URL, nonce string) (authorization, proof string, err error)
	// Renew is told that a service did not accept a value of Authorization, and
	// returns nil where there is another one to try.
	Renew(ctx context.Context, authorization string) error
}

// errNotRenewed: there is no other token to try.
var errNotRenewed = &Error{Op: opToken, Got: "a service does not accept the token, and there is no other", Err: ErrRejected}

// StaticToken is a source of one token: a program's own long-lived one
// (TENANT_SYSTEM_JWT), from its settings. key is the one that it is bound to, or
// nil. When it has expired or was revoked, services say so.
func StaticToken(token string, key *Key) (Source, error) {
	if !isToken(token) {
		return nil, &Error{Op: opToken, Got: "not a token: a line break from a file, perhaps", Err: ErrRejected}
	}
	if said := peekToken(token); said.Confirmation.Thumbprint != "" || key != nil {
		if err := checkBinding(opToken, said, key); err != nil {
			return nil, err
		}
	}
	return &fixedToken{newCredential(token, key)}, nil
}

type fixedToken struct{ credential }

func (f *fixedToken) Authorize(_ context.Context, method string, target *url.URL, nonce string) (string, string, error) {
	return f.credential.authorize(method, target, nonce, time.Now)
}

// Format writes nothing of the token, for every verb.
func (*fixedToken) Format(f fmt.State, _ rune) { fmt.Fprint(f, "a static token") }

func (*fixedToken) Renew(context.Context, string) error { return errNotRenewed }

// credential is a token and its key, prepared for requests.
type credential struct {
	authorization string // the header
	hash          string // of the token, for proofs
	key           *Key   // nil: the token is bound to none
}

func newCredential(token string, key *Key) credential {
	if key == nil {
		return credential{authorization: "Bearer " + token}
	}
	return credential{"DPoP " + token, tokenHash(token), key}
}

func (c *credential) authorize(method string, target *url.URL, nonce string, now func() time.Time) (string, string, error) {
	if c.key == nil {
		return c.authorization, "", nil
	}
	proof, err := c.key.prove(method, target, c.hash, nonce, now())
	if err != nil {
		return "", "", &Error{Op: opToken, Got: "a proof cannot be made", Err: ErrUnavailable, Cause: err}
	}
	return c.authorization, proof, nil
}

type callerTokenKey struct{}

// WithCallerToken returns a context for requests that a service makes on behalf
// of its caller: they carry the token of r, by a [Transport] whose source is
// [CallerToken]. Verify r before. The error is [ErrBound] for a token that is bound
// to the caller's key, because only the caller can make proofs for it, and
// ErrRejected where r has no token, or several.
func WithCallerToken(ctx context.Context, r *http.Request) (context.Context, error) {
	refuse := func(err error, got string) (context.Context, error) {
		return nil, &Error{Op: opToken, Got: got, Err: err}
	}
	values := r.Header["Authorization"]
	if len(values) != 1 {
		return refuse(ErrRejected, "the request does not have one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case strings.EqualFold(scheme, "DPoP"):
		return refuse(ErrBound, "only the caller can make proofs for it")
	case !strings.EqualFold(scheme, "Bearer") || !isToken(token):
		return refuse(ErrRejected, "the request has no token")
	case peekToken(token).Confirmation.Thumbprint != "":
		return refuse(ErrBound, "only the caller can make proofs for it")
	}
	held := newCredential(token, nil)
	return context.WithValue(ctx, callerTokenKey{}, &held), nil
}

// CallerToken is the source of the tokens of [WithCallerToken]. A request without
// one in its context fails.
func CallerToken() Source { return callerSource{} }

type callerSource struct{}

func (callerSource) Authorize(ctx context.Context, method string, target *url.URL, nonce string) (string, string, error) {
	held, ok := ctx.Value(callerTokenKey{}).(*credential)
	if !ok {
		return "", "", &Error{Op: opToken, Err: ErrRejected, Cause: errors.New("the context has no caller's token: see WithCallerToken")}
	}
	return held.authorize(method, target, nonce, time.Now)
}

func (callerSource) Renew(context.Context, string) error { return errNotRenewed }
