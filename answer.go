package persauth

// What the client of a refused request is told: a status, a challenge for programs,
// and a sentence that says what to do. None of them says anything of keys or tokens.

import (
	"context"
	"errors"
	"maps"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
)

// statusClientGone is what others log, too, for a client that did not wait for
// its answer. No client ever sees it.
const statusClientGone = 499

// problem is the body of an answer (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// Refusal is what a refused caller is told, for every transport: one line of the
// table of answers in docs/guards.md. It says nothing of keys and tokens.
type Refusal struct {
	// Status is the HTTP status: 401, 403, 503, 400 for a request that no
	// credentials could put right, or 500 for an error that is not this package's.
	Status int
	// Code is [Code] of the error, for programs.
	Code string
	// Detail is a sentence for a person, which says what to do.
	Detail string
	// Challenges are the values of WWW-Authenticate (RFC 6750 §3, RFC 9449 §7.1),
	// one for each scheme that is taken. Empty for a 503.
	Challenges []string
	// Nonce is what the client's next proof needs (RFC 9449 §9), for the header
	// DPoP-Nonce, or "".
	Nonce string
	// RetryAfter is when to come again, for a 503; at least a second then.
	RetryAfter time.Duration
}

// Refusal returns the answer to a caller that err refuses. authorization are the
// values of the Authorization header: the challenge is for the scheme in it. The
// error of a context that ended is answered like any that is [ErrUnavailable]; a
// transport that has a code of its own for it checks for it first.
func (v *Verifier) Refusal(err error, authorization []string) Refusal {
	found, n := parseAuthorization(authorization)
	return v.refusal(err, found.dpop, n > 1)
}

// refusal is Refusal for a caller who used the scheme DPoP or not, or both.
func (v *Verifier) refusal(err error, dpop, both bool) Refusal {
	r := Refusal{Code: Code(err)}
	switch {
	case errors.Is(err, ErrForbidden):
		r.Status, r.Detail = http.StatusForbidden, detailOf(err, "Your account may not do this. Signing in again will not help.")
		r.Challenges = v.challenges("insufficient_scope", dpop, both)
	case errors.Is(err, ErrUnavailable):
		r.Status, r.Detail = http.StatusServiceUnavailable, "Your sign-in cannot be verified right now. Try again shortly."
		r.RetryAfter = retryAfterOf(err)
	case r.Code == "internal":
		r.Status, r.Detail = http.StatusInternalServerError, "Something went wrong here."
	default:
		var code string
		r.Status = http.StatusUnauthorized
		code, r.Detail = explained(err)
		if code == "invalid_request" {
			r.Status = http.StatusBadRequest // RFC 6750 §3.1
		}
		r.Challenges = v.challenges(code, dpop, both)
		if code == "use_dpop_nonce" {
			r.Nonce = v.DPoPNonce()
		}
	}
	return r
}

// WriteError answers a request that was refused with err: 401 with a challenge
// (RFC 6750 §3, RFC 9449 §7.1), 403, or 503 with Retry-After, and a problem (RFC
// 9457) that says what to do. It tells nothing of keys and tokens. An error that
// is not this package's is answered with 500. A client that is gone gets 499, so
// that it is not taken for a failure of the service.
func (v *Verifier) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) && r.Context().Err() != nil {
		w.WriteHeader(statusClientGone)
		return
	}
	found, n := v.credentials(r)
	v.refusal(err, found.dpop, n > 1).write(w)
}

// write sends the refusal over HTTP.
func (r Refusal) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), r.Header())
	w.WriteHeader(r.Status)
	_, _ = w.Write(r.Problem()) // a client that is gone needs no answer
}

// Header returns the headers of the answer over HTTP, for those who do not use
// net/http's ResponseWriter.
func (r Refusal) Header() http.Header {
	h := http.Header{"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "X-Content-Type-Options": {"nosniff"}}
	if r.Challenges != nil {
		h["Www-Authenticate"] = r.Challenges
	}
	if r.Nonce != "" {
		h.Set("DPoP-Nonce", r.Nonce)
	}
	if r.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(r.RetryAfter.Seconds()))))
	}
	return h
}

// Problem returns the body of the answer over HTTP: a problem (RFC 9457), as JSON.
func (r Refusal) Problem() []byte {
	body, _ := json.Marshal(problem{Type: "about:blank", Title: http.StatusText(r.Status), Status: r.Status, Detail: r.Detail})
	return body
}

// explained returns the error code for a 401 (RFC 6750 §3.1, RFC 9449 §7.1), and
// what the client should do.
func explained(err error) (code, detail string) {
	var e *Error
	if errors.As(err, &e) {
		code = e.code
	}
	switch {
	case errors.Is(err, ErrNoToken):
		// RFC 6750 §3.1: no code for a request without credentials.
		return "", "Sign in, and send the access token."
	case code == "invalid_request":
		return code, "Send one access token, in one place."
	case code == "use_dpop_nonce":
		return code, "The proof needs the nonce in the DPoP-Nonce header. Make a new proof with it."
	case code == "invalid_token":
		return code, detailOf(err, "The access token is not accepted. Sign in again.")
	case errors.Is(err, ErrReplay):
		return "invalid_dpop_proof", "The proof in the DPoP header was used before. Make a new proof for each request."
	case errors.Is(err, ErrProof):
		return "invalid_dpop_proof", "The request needs one DPoP header with a proof that was made for it. Make a new proof."
	case errors.Is(err, ErrExpired):
		return "invalid_token", "The access token has expired. Get a new one."
	case errors.Is(err, ErrNotYetValid):
		return "invalid_token", "The access token is not valid yet. Try again shortly."
	}
	return "invalid_token", "The access token is not accepted. Sign in again."
}

// detailOf returns what the client is told of err: usual, where nothing else is
// noted.
func detailOf(err error, usual string) string {
	var e *Error
	if errors.As(err, &e) && e.detail != "" {
		return e.detail
	}
	return usual
}

// challenges are a challenge for each scheme that is taken. code, where there is
// one, goes to the scheme that the client used (RFC 9449 §7.2), or to both where it
// used both.
func (v *Verifier) challenges(code string, usedDPoP, both bool) (all []string) {
	bearer, dpop := v.proofs.mode != DPoPRequired, v.proofs.algs != ""
	add := func(challenge string, used bool) {
		if v.resource != nil {
			challenge += v.resource.parameter
		}
		if code != "" && used {
			challenge += `, error="` + code + `"`
		}
		all = append(all, challenge)
	}
	if bearer {
		// RFC 6750 §3: a parameter at least.
		add(`Bearer realm="PERS"`, !usedDPoP || both || !dpop)
	}
	if dpop {
		add(`DPoP algs="`+v.proofs.algs+`"`, usedDPoP || both || !bearer)
	}
	return all
}

// retryAfterOf is when a caller should try again.
func retryAfterOf(err error) time.Duration {
	wait := time.Second
	var e *Error
	if errors.As(err, &e) {
		wait = max(wait, e.RetryAfter)
	}
	return wait
}
