package persauth

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/keyring"
	"github.com/persauth/persauth/internal/persapi"
	"github.com/persauth/persauth/internal/redact"
)

// The ways in which a token can fail. Test for them with [errors.Is]; the
// details are in [Error], found with [errors.As].
//
// They fall into three answers that must never be confused. A caller is told
// 403 for [ErrForbidden], 503 for [ErrUnavailable], and 401 for all others.
var (
	// ErrMalformed: not a compact JWS of strict base64url and strict JSON, or
	// one that breaks a rule of its header other than the algorithm.
	ErrMalformed = errors.New("token is malformed")
	// ErrAlgorithm: "alg" is missing, not allowed, or not the key's.
	ErrAlgorithm = errors.New("algorithm is not allowed")
	// ErrUnknownKey: the key that the token names is not in the key set.
	ErrUnknownKey = errors.New("key is unknown")
	// ErrSignature: the signature is not the key's over this token.
	ErrSignature = errors.New("signature is invalid")
	// ErrExpired: "exp" has passed. The signature need not have been looked at:
	// it makes no difference then.
	ErrExpired = errors.New("token has expired")
	// ErrNotYetValid: "nbf" or "iat" is in the future.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrIssuer: "iss" is not the configured issuer.
	ErrIssuer = errors.New("issuer is not the expected one")
	// ErrAudience: "aud" does not hold the configured audience.
	ErrAudience = errors.New("audience is not the expected one")
	// ErrTenant: the token belongs to a tenant that is not configured.
	ErrTenant = errors.New("tenant is not an expected one")
	// ErrClaims: a required claim is missing, or a claim has the wrong form.
	ErrClaims = errors.New("claims are invalid")
	// ErrRevoked: the token was good, and has been revoked.
	ErrRevoked = errors.New("token is revoked")
	// ErrRejected: PERS does not accept a token whose key is not in the key set.
	ErrRejected = errors.New("token is rejected by PERS")
	// ErrRemoteMismatch: PERS' answer contradicts itself or the token. Such an
	// error is also ErrUnavailable: the token may be good or bad.
	ErrRemoteMismatch = errors.New("answer of PERS cannot be believed")
	// ErrNoToken: a request has no token where one was looked for.
	ErrNoToken = errors.New("request has no token")
	// ErrProof: a token that is bound to a key came without a good proof of
	// that key, or with the wrong scheme (RFC 9449).
	ErrProof = errors.New("proof is not accepted")
	// ErrReplay: the proof was used before.
	ErrReplay = errors.New("proof was used before")
	// ErrForbidden: the caller is known, and not allowed to do this.
	ErrForbidden = errors.New("not allowed")
	// ErrUnavailable: whether the token is good cannot be told at the moment.
	ErrUnavailable = errors.New("cannot be verified at the moment")
)

// codes gives each sentinel the short, stable word that [Code] answers with.
// The order decides which one speaks for several joined failures.
var codes = [...]struct {
	err  error
	code string
}{
	{ErrForbidden, "forbidden"},
	{ErrMalformed, "malformed"},
	{ErrAlgorithm, "algorithm"},
	{ErrSignature, "signature"},
	{ErrNoToken, "no_token"},
	{ErrReplay, "replay"},
	{ErrProof, "proof"},
	{ErrRevoked, "revoked"},
	{ErrRejected, "rejected"},
	{ErrClaims, "claims"},
	{ErrExpired, "expired"},
	{ErrNotYetValid, "not_yet_valid"},
	{ErrIssuer, "issuer"},
	{ErrAudience, "audience"},
	{ErrTenant, "tenant"},
	{ErrRemoteMismatch, "remote_mismatch"},
	{ErrUnavailable, "unavailable"},
	{ErrUnknownKey, "unknown_key"},
}

// Code returns a short, stable word for err: "expired", "signature",
// "unavailable" and so on, one for each sentinel, to be used as a metric label
// or an error code of an API. It returns "" for nil and "internal" for an
// error that is not this package's.
func Code(err error) string {
	if err == nil {
		return ""
	}
	if i := codeIndex(err); i < len(codes) {
		return codes[i].code
	}
	return "internal"
}

// codeIndex returns the index in codes of the sentinel that speaks for err, or
// len(codes). It is errors.Is for all of them at once: an error is counted for
// every token that is refused.
func codeIndex(err error) int {
	first := len(codes)
	switch err := err.(type) {
	case nil:
		return first
	case *Error:
		return min(codeIndex(err.Err), codeIndex(err.Cause))
	case failures:
		for _, one := range err {
			first = min(first, codeIndex(one))
		}
		return first
	}
	for i, c := range codes {
		if err == c.err {
			return i
		}
	}
	for i, c := range codes {
		if errors.Is(err, c.err) {
			return i
		}
	}
	return first
}

// Error tells which check failed, what it wanted and what it got. It never
// holds the token, its signature, or the project key.
//
// When several claims fail, the error that Verify returns joins one *Error for
// each, and [errors.As] finds the first.
type Error struct {
	// Check is the name of the failed check, as [Report] lists it: "alg",
	// "signature", "exp".
	Check string
	// Want and Got say what the check asked for and what the token has. Got
	// is cut to a short length. Either may be empty.
	Want, Got string
	// KeyID is the "kid" of the token's header, when one was read. It comes
	// from the token, so until the signature holds it is a stranger's word.
	KeyID string
	// RetryAfter says, with ErrUnavailable, in how long a new try makes sense.
	// Zero when that is not known.
	RetryAfter time.Duration
	// Err is one of the package's sentinels.
	Err error
	// Cause is what lies beneath, or nil.
	Cause error

	// code is the "error" of an HTTP challenge (RFC 6750 §3.1, RFC 9449 §7.1)
	// where it is not the usual one for Err.
	code string
	// plain: Got says all that Want does, and more.
	plain bool
	// detail is what the client is told where that is not the usual for Err. It
	// says nothing of keys and tokens.
	detail string
}

// Error returns one line of text.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("persauth: ")
	b.WriteString(e.Err.Error())
	sep := ": "
	part := func(label, value string) {
		if value != "" {
			b.WriteString(sep)
			b.WriteString(label)
			b.WriteString(value)
			sep = ", "
		}
	}
	part("check ", e.Check)
	if e.plain {
		sep = ": "
		part("", e.Got)
	} else {
		part("want ", e.Want)
		part("got ", e.Got)
	}
	if e.KeyID != "" {
		part("kid ", redact.Quote(e.KeyID))
	}
	if e.Cause != nil {
		b.WriteString(": ")
		b.WriteString(e.Cause.Error())
	}
	return b.String()
}

// Unwrap returns the sentinel and the cause, for [errors.Is] and [errors.As].
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// joseErr makes the public error of what is wrong with a token's form, key or
// signature.
func joseErr(err error) error {
	e, ok := err.(*jose.Error)
	if !ok {
		return err
	}
	sentinel := [...]error{jose.Malformed: ErrMalformed, jose.UnknownKey: ErrUnknownKey, jose.WrongAlgorithm: ErrAlgorithm, jose.BadSignature: ErrSignature}[e.Kind]
	return &Error{Check: e.Check, Want: e.Want, Got: e.Got, Err: sentinel, Cause: e.Cause}
}

// apiErr makes the public error of a call of PERS that got no answer.
func apiErr(err error) error {
	var e *persapi.Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Check: e.Call, Want: "an answer with a 2xx status", RetryAfter: e.RetryAfter, Err: ErrUnavailable, Cause: e.Cause}
}

// keysErr makes the public error of keys that cannot be had: because ctx ended, or
// because a refresh failed.
func keysErr(ctx context.Context, err error) error {
	var e *keyring.Unavailable
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return &Error{Check: "keys", Want: "the current key set", Got: e.Got, RetryAfter: e.RetryAfter, Err: ErrUnavailable, Cause: apiErr(e.Cause)}
	}
	return interrupted(ctx, "keys")
}

// failures joins errors as [errors.Join] does, but on one line, so that one
// refused token is one line of a log.
type failures []error

// join returns nil for none and the error itself for one.
func (f failures) join() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return f[0]
	}
	return f
}

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// interrupted is what a caller gets whose context ends while it waits.
func interrupted(ctx context.Context, check string) error {
	return &Error{Check: check, Err: ErrUnavailable, Cause: ctx.Err()}
}

// withKeyID adds the kid to an error, and to each of several that are joined.
func withKeyID(err error, kid string) error {
	switch err := err.(type) {
	case *Error:
		err.KeyID = kid
	case failures:
		for _, one := range err {
			_ = withKeyID(one, kid)
		}
	}
	return err
}
