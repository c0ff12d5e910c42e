package persauth

// What a client is told whose request was refused: a status, a challenge that
// programs understand, and a sentence that says what to do. Nothing of it tells
// about keys or tokens.

import (
	"context"
	"errors"
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

// WriteError answers a request that was refused with err: 401 with a challenge
// (RFC 6750 §3, RFC 9449 §7.1), 403, or 503 with Retry-After, and a problem (RFC
// 9457) that says what to do. It tells nothing of keys and tokens. An error that
// is not this package's is answered with 500. A client that is gone gets 499, so
// that it is not taken for a failure of the service.
func (v *Verifier) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	h := w.Header()
	p := problem{Type: "about:blank"}
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		w.WriteHeader(statusClientGone)
		return
	case errors.Is(err, ErrForbidden):
		p.Status, p.Detail = http.StatusForbidden, "Your account may not do this. Signing in again will not help."
		v.challenge(h, r, "insufficient_scope")
	case errors.Is(err, ErrUnavailable):
		p.Status, p.Detail = http.StatusServiceUnavailable, "It cannot be checked at the moment who you are. Try again shortly."
		h.Set("Retry-After", strconv.Itoa(retrySeconds(err)))
	case Code(err) == "internal":
		p.Status, p.Detail = http.StatusInternalServerError, "Something went wrong here."
	default:
		var code string
		p.Status = http.StatusUnauthorized
		code, p.Detail = explained(err)
		v.challenge(h, r, code)
		if code == "use_dpop_nonce" {
			v.proofs.offerNonce(h)
		}
	}
	p.Title = http.StatusText(p.Status)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	_ = json.MarshalWrite(w, p) // whoever is gone needs no answer
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
	case code == "invalid_token" && errors.Is(err, ErrProof):
		return code, "The access token was not sent in the way it was issued for: one that is bound to a key needs the scheme DPoP and a proof by that key."
	case errors.Is(err, ErrProof) || errors.Is(err, ErrReplay):
		return "invalid_dpop_proof", "The proof in the DPoP header is missing, or not one for this request. Make a new proof."
	case errors.Is(err, ErrExpired):
		return "invalid_token", "The access token has expired. Get a new one."
	}
	return "invalid_token", "The access token is not accepted. Sign in again."
}

// challenge sets WWW-Authenticate: a challenge for each scheme that is taken.
// code, where there is one, goes to the scheme that the client used (RFC 9449
// §7.2), or to both where it used both.
func (v *Verifier) challenge(h http.Header, r *http.Request, code string) {
	h.Del("WWW-Authenticate")
	found, n := v.credentials(r)
	bearer, dpop := v.proofs.cfg.Mode != DPoPRequired, v.proofs.algs != ""
	if bearer {
		// RFC 6750 §3: a parameter at least.
		challenge := `Bearer realm="PERS"`
		if code != "" && (!found.dpop || n > 1 || !dpop) {
			challenge += `, error="` + code + `"`
		}
		h.Add("WWW-Authenticate", challenge)
	}
	if dpop {
		challenge := `DPoP algs="` + v.proofs.algs + `"`
		if code != "" && (found.dpop || n > 1 || !bearer) {
			challenge += `, error="` + code + `"`
		}
		h.Add("WWW-Authenticate", challenge)
	}
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
