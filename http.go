package persauth

// Authentication of HTTP requests: from a request to claims. What a refused
// client is told is in answer.go; guards, which decide what a caller may do, are
// in guard.go.

import (
	"context"
	"net/http"
	"strings"

	"github.com/persauth/persauth/internal/dpop"
)

// VerifyRequest tells who sent the request. It finds the token in the places of
// [Config.TokenSources], verifies it, and, for a token that is bound to a client's
// key, the proof that came with it (RFC 9449).
//
// The error is [ErrNoToken] where there is no token, [ErrMalformed] where there
// is more than one, [ErrProof] or [ErrReplay] for a proof, or one of Verify's.
// [Verifier.WriteError] turns it into an answer. On any error the claims are nil.
//
// A proof is good once. A request that [Verifier.Middleware] or its like let
// through is therefore not verified again: its claims are in its context.
func (v *Verifier) VerifyRequest(r *http.Request) (*Claims, error) {
	a, err := v.verifyRequest(r)
	if err != nil {
		return nil, err
	}
	return a.claims, nil
}

// authenticated is a caller who is known.
type authenticated struct {
	verifier *Verifier
	claims   *Claims
	token    string
	dpop     bool // with token: the credentials, in less room
	// oldNonce: the proof was good, and the next one should have another nonce.
	oldNonce bool
}

func (a *authenticated) credentials() credentials { return credentials{a.token, a.dpop} }

// callerContext is the context of a request whose caller is known. It holds the
// credentials behind a pointer, so that none is printed with it: see printing.go.
type callerContext struct {
	context.Context
	caller *authenticated
}

// withCaller returns ctx with a caller in it, made in one piece.
func withCaller(ctx context.Context, caller authenticated) context.Context {
	both := &struct {
		context callerContext
		caller  authenticated
	}{caller: caller}
	both.context = callerContext{ctx, &both.caller}
	return &both.context
}

// callerKey is the context key of the innermost caller. The outer ones are found
// under their verifier.
type callerKey struct{}

func (c *callerContext) Value(key any) any {
	if key == (callerKey{}) || c.caller.verifier != nil && key == any(c.caller.verifier) {
		return c.caller
	}
	return c.Context.Value(key)
}

// verifyRequest returns who sent the request, without a context.
func (v *Verifier) verifyRequest(r *http.Request) (authenticated, error) {
	found, n := v.credentials(r)
	if n != 1 {
		err := v.notOne(n)
		v.countRefused(err)
		return authenticated{}, err
	}
	// Only the credentials that were verified: a context may be handed on to
	// another request.
	if a, ok := r.Context().Value(v).(*authenticated); ok && a.credentials() == found {
		return *a, nil
	}
	claims, err := v.VerifyWithoutProof(r.Context(), found.token)
	if err != nil {
		return authenticated{}, err
	}
	a := authenticated{verifier: v, claims: claims, token: found.token, dpop: found.dpop}
	needed, err := v.proofs.needsProof(claims, found.dpop)
	if needed {
		a.oldNonce, err = v.checkProof(r, found.token, claims)
	}
	if err != nil {
		v.countRefused(err)
		return authenticated{}, err
	}
	return a, nil
}

// checkProof checks the proof of a request whose token needs one.
func (v *Verifier) checkProof(r *http.Request, token string, claims *Claims) (oldNonce bool, err error) {
	target, err := v.proofs.checker.Target(r)
	if err != nil {
		return false, proofErr(err)
	}
	return v.proofs.check(r.Context(), dpop.Presented{Proofs: r.Header["Dpop"], Method: r.Method, Target: target, Token: token}, claims)
}

// credentials returns what the request has for credentials, and how many.
func (v *Verifier) credentials(r *http.Request) (found credentials, n int) {
	for _, source := range v.sources {
		if c, more := source.find(r); more > 0 {
			found, n = c, n+more
		}
	}
	return found, n
}

// notOne is the error for a request that has no credentials, or several.
func (v *Verifier) notOne(n int) error {
	if n > 1 {
		// Another reader may take the other one, and see another caller.
		return errSeveralTokens()
	}
	names := make([]string, len(v.sources))
	for i, source := range v.sources {
		names[i] = source.name
	}
	return &Error{Check: "credentials", Want: "a token in " + strings.Join(names, " or "), Got: "none", Err: ErrNoToken}
}

// FromContext returns the claims of the caller whose request ctx belongs to, as
// [Verifier.Middleware] and its like, or [NewContext], left them; the innermost
// where there are several. It reports false where the request was not
// authenticated; then the claims are nil.
func FromContext(ctx context.Context) (*Claims, bool) {
	if a, ok := ctx.Value(callerKey{}).(*authenticated); ok && a.claims != nil {
		return a.claims, true
	}
	return nil, false
}

// NewContext returns a context from which [FromContext] gets the claims: for
// transports other than net/http, and for tests of handlers. With nil claims,
// FromContext finds none, not even those of an outer context.
//
// It says who the caller is and nothing of how that was found out: middleware
// that it reaches authenticates the request all the same.
func NewContext(ctx context.Context, claims *Claims) context.Context {
	return withCaller(ctx, authenticated{claims: claims})
}

// Middleware lets only requests through whose caller is known, and gives the
// claims to next in the request's context: see [FromContext]. Others are
// answered as [Verifier.WriteError] does, or as [Config.OnRefused] says.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r, claims := v.authenticate(w, r); claims != nil {
			next.ServeHTTP(w, r)
		}
	})
}

// OptionalMiddleware is [Verifier.Middleware], and also lets requests through
// that have no token and no proof at all, without claims. A token that is there
// must be good.
func (v *Verifier) OptionalMiddleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, n := v.credentials(r); n == 0 && len(r.Header["Dpop"]) == 0 {
			next.ServeHTTP(w, r)
		} else if r, claims := v.authenticate(w, r); claims != nil {
			next.ServeHTTP(w, r)
		}
	})
}

// authenticate returns the claims of the caller, and the request with them in
// its context. Or it answers the request, and the claims are nil.
func (v *Verifier) authenticate(w http.ResponseWriter, r *http.Request) (*http.Request, *Claims) {
	a, err := v.verifyRequest(r)
	if err != nil {
		v.refuse(w, r, err)
		return nil, nil
	}
	ctx := r.Context()
	if last, ok := ctx.Value(callerKey{}).(*authenticated); ok && last.verifier == v && last.credentials() == a.credentials() {
		return r, a.claims // as this verifier left it
	}
	if a.oldNonce {
		v.proofs.offerNonce(w.Header())
	}
	if v.onAccepted != nil {
		v.onAccepted(r, a.claims)
	}
	return r.WithContext(withCaller(ctx, a)), a.claims
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if v.onRefused != nil {
		v.onRefused(v, w, r, err)
		return
	}
	v.WriteError(w, r, err)
}
