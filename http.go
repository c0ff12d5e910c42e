package persauth

// Authentication of HTTP requests: from a request to claims, and back to an
// answer that a client can act on. Guards, which decide what a caller may do,
// are in guard.go.

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// VerifyRequest tells who sent the request. It finds the token in the places of
// [Config.TokenSources], verifies it as [Verifier.Verify] does, and, for a token
// that is bound to a client's key, the proof that came with it (RFC 9449).
//
// The error is [ErrNoToken] where there is no token, [ErrMalformed] where there
// is more than one, [ErrProof] or [ErrReplay] for a proof, or one of Verify's.
// [Verifier.WriteError] turns it into an answer. On any error the claims are nil.
func (v *Verifier) VerifyRequest(r *http.Request) (*Claims, error) {
	found, err := v.credentials(r)
	if err != nil {
		v.countRefused(err)
		return nil, err
	}
	claims, err := v.Verify(r.Context(), found.token)
	if err != nil {
		return nil, err
	}
	if err := v.proofs.check(r, found, claims); err != nil {
		v.countRefused(err)
		return nil, err
	}
	return claims, nil
}

// credentials returns the one token of a request.
func (v *Verifier) credentials(r *http.Request) (credentials, error) {
	var all []credentials
	for _, source := range v.sources {
		all = append(all, source.find(r)...)
	}
	switch {
	case len(all) > 1:
		// Whoever looks at the other one would see another caller.
		return credentials{}, &Error{Check: "credentials", Want: "one token", Got: "several", Err: ErrMalformed}
	case len(all) == 0 || all[0].token == "":
		names := make([]string, len(v.sources))
		for i, source := range v.sources {
			names[i] = source.name
		}
		return credentials{}, &Error{Check: "credentials", Want: "a token in " + strings.Join(names, " or "), Got: "none", Err: ErrNoToken}
	}
	return all[0], nil
}

// authenticated is the context of a request whose caller is known.
type authenticated struct {
	context.Context
	verifier *Verifier
	claims   *Claims
}

type contextKey struct{}

func (a *authenticated) Value(key any) any {
	if key == (contextKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// FromContext returns the claims of the caller whose request ctx belongs to, as
// [Verifier.Middleware] and its like left them. It reports false where the
// request was not authenticated; then the claims are nil.
func FromContext(ctx context.Context) (*Claims, bool) {
	if a, ok := ctx.Value(contextKey{}).(*authenticated); ok {
		return a.claims, true
	}
	return nil, false
}

// Middleware lets only requests through whose caller is known, and gives the
// claims to next in the request's context: see [FromContext]. Others are
// answered as [Verifier.WriteError] does, or as [Config.OnRefused] says.
func (v *Verifier) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r, ok := v.authenticate(w, r); ok {
			next.ServeHTTP(w, r)
		}
	})
}

// OptionalMiddleware is [Verifier.Middleware], and also lets requests through
// that have no token at all, without claims. A token that is there must be good.
func (v *Verifier) OptionalMiddleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := v.credentials(r); errors.Is(err, ErrNoToken) && len(r.Header["Dpop"]) == 0 {
			next.ServeHTTP(w, r)
		} else if r, ok := v.authenticate(w, r); ok {
			next.ServeHTTP(w, r)
		}
	})
}

// authenticate returns the request with the claims in its context, or answers
// it and reports false.
func (v *Verifier) authenticate(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	v.proofs.offerNonce(w.Header())
	claims, err := v.VerifyRequest(r)
	if err != nil {
		v.refuse(w, r, err)
		return nil, false
	}
	return r.WithContext(&authenticated{r.Context(), v, claims}), true
}

func (v *Verifier) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if v.onRefused != nil {
		v.onRefused(w, r, err)
		return
	}
	v.WriteError(w, r, err)
}

// problem is the body of an answer (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// WriteError answers a request that an error of this package refused: 401 with a
// challenge (RFC 6750 §3, RFC 9449 §7.1), 403, or 503 with Retry-After, and a
// problem (RFC 9457) that says what to do. It tells nothing of keys and tokens.
// An error that is not this package's is answered with 500.
func (v *Verifier) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, r.Context().Err()) {
		return // nobody is there to read it
	}
	p := problem{Type: "about:blank"}
	h := w.Header()
	switch {
	case errors.Is(err, ErrForbidden):
		p.Status, p.Detail = http.StatusForbidden, "Your account may not do this. Signing in again will not help."
		h.Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
	case errors.Is(err, ErrUnavailable):
		p.Status, p.Detail = http.StatusServiceUnavailable, "It cannot be checked at the moment who you are. Try again shortly."
		h.Set("Retry-After", strconv.Itoa(retrySeconds(err)))
	case Code(err) == "internal":
		p.Status, p.Detail = http.StatusInternalServerError, "Something went wrong here."
	default:
		p.Status = http.StatusUnauthorized
		p.Detail = v.challenge(h, err)
	}
	p.Title = http.StatusText(p.Status)
	body, err := json.Marshal(p)
	if err != nil {
		body = nil
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body)
	}
}

// challenge sets WWW-Authenticate for a 401 and says what the client should do.
func (v *Verifier) challenge(h http.Header, err error) (detail string) {
	algs := v.proofs.algs()
	dpop := func(code string) { h.Add("WWW-Authenticate", `DPoP error="`+code+`", algs="`+algs+`"`) }
	switch {
	case errors.Is(err, errUseNonce):
		dpop("use_dpop_nonce")
		v.proofs.offerNonce(h)
		return "The proof needs the nonce in the DPoP-Nonce header. Make a new proof with it."
	case errors.Is(err, ErrProof) || errors.Is(err, ErrReplay):
		dpop("invalid_dpop_proof")
		return "The access token is bound to a key, and the proof of that key is missing or not accepted. Make a new proof."
	case errors.Is(err, ErrNoToken):
		// RFC 6750 §3.1: no error code for a request without credentials.
		h.Add("WWW-Authenticate", "Bearer")
		if algs != "" {
			h.Add("WWW-Authenticate", `DPoP algs="`+algs+`"`)
		}
		return "Sign in, and send the access token."
	}
	h.Add("WWW-Authenticate", `Bearer error="invalid_token"`)
	if algs != "" {
		dpop("invalid_token")
	}
	if errors.Is(err, ErrExpired) {
		return "The access token has expired. Get a new one."
	}
	return "The access token is not accepted. Sign in again."
}

// retrySeconds is the Retry-After of a 503, in whole seconds.
func retrySeconds(err error) int {
	wait := time.Second
	var e *Error
	if errors.As(err, &e) {
		wait = max(wait, e.RetryAfter)
	}
	return int(math.Ceil(wait.Seconds()))
}
