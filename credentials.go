package persauth

// Where in a request the token is, and that there is exactly one.

import (
	"context"
	"net/http"
	"strings"

	"github.com/persauth/persauth/internal/dpop"
)

// TokenSource is a place in a request where a token may be. The sources are
// [AuthorizationHeader], [TokenCookie] and [TokenHeader]; [New] refuses the zero value.
type TokenSource struct {
	name string
	// find returns the credentials that are there, and how many there are.
	find func(*http.Request) (credentials, int)
}

// credentials are a token and the scheme that it came with.
type credentials struct {
	token string
	dpop  bool // the scheme was DPoP (RFC 9449 §7.1), not Bearer
}

// AuthorizationHeader takes the token from "Authorization: Bearer" (RFC 6750
// §2.1) or "Authorization: DPoP" (RFC 9449 §7.1). Other schemes are ignored.
func AuthorizationHeader() TokenSource {
	return TokenSource{"header Authorization", func(r *http.Request) (credentials, int) {
		return parseAuthorization(r.Header["Authorization"])
	}}
}

// parseAuthorization returns the credentials in the values of an Authorization
// header, and how many there are. One of another scheme counts for nothing.
func parseAuthorization(values []string) (credentials, int) {
	if len(values) != 1 {
		return credentials{}, len(values)
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	dpop := strings.EqualFold(scheme, "DPoP")
	if !dpop && !strings.EqualFold(scheme, "Bearer") {
		return credentials{}, 0
	}
	return credentials{strings.TrimLeft(token, " "), dpop}, 1
}

// Credentials are what a caller sent to say who it is, and the request that they
// came with, by any transport. See [Verifier.VerifyCredentials].
type Credentials struct {
	// Authorization are the values of the header (or metadata) of that name, as
	// they came: exactly one, of the scheme Bearer (RFC 6750 §2.1) or DPoP (RFC
	// 9449 §7.1), is good.
	Authorization []string
	// Proofs are the values of the header DPoP (RFC 9449 §4.1), as they came.
	// They are looked at only for a token that is bound to a key.
	Proofs []string
	// Method is the method that a proof must name in "htm": of an HTTP request
	// its own, of gRPC and Connect POST.
	Method string
	// URL is what a proof must name in "htu": the address that the client used,
	// absolute, or as a path to which [DPoP.Origin] is put. A query does not
	// matter. Pass an absolute URL only if its host can be trusted.
	URL string
}

// VerifyCredentials tells who sent the credentials. It is the one entry for every
// transport: [Verifier.VerifyRequest] is the same for an *http.Request. Its errors
// are those of VerifyRequest, and [Verifier.Refusal] turns them into an answer.
//
// A proof is good once, so credentials with one are verified once. Send the
// client [Verifier.DPoPNonce] with the answer where that is not empty.
func (v *Verifier) VerifyCredentials(ctx context.Context, c Credentials) (*Claims, error) {
	claims, err := v.verifyCredentials(ctx, c)
	if err != nil {
		return nil, err
	}
	return claims, nil
}

func (v *Verifier) verifyCredentials(ctx context.Context, c Credentials) (*Claims, error) {
	found, n := parseAuthorization(c.Authorization)
	if n != 1 {
		err := error(&Error{Check: "credentials", Want: "a token in Authorization", Got: "none", Err: ErrNoToken})
		if n > 1 {
			err = errSeveralTokens()
		}
		v.countRefused(err)
		return nil, err
	}
	claims, err := v.VerifyWithoutProof(ctx, found.token)
	if err != nil {
		return nil, err
	}
	needed, err := v.proofs.needsProof(claims, found.dpop)
	if needed {
		var target string
		if target, err = v.proofs.checker.TargetOf(c.URL); err == nil {
			_, err = v.proofs.check(ctx, dpop.Presented{Proofs: c.Proofs, Method: c.Method, Target: target, Token: found.token}, claims)
		}
		err = proofErr(err)
	}
	if err != nil {
		v.countRefused(err)
		return nil, err
	}
	return claims, nil
}

// DPoPNonce returns the nonce that a client's next proof should have (RFC 9449
// §8.2), or "" where [DPoP.NonceSecret] is not set and none is asked for.
func (v *Verifier) DPoPNonce() string { return v.proofs.checker.Nonce() }

// withoutProof returns claims of a token that came without a proof, or the error
// that it had to have one.
func (v *Verifier) withoutProof(ctx context.Context, token string, claims *Claims) (*Claims, error) {
	if !v.needsProof(ctx, token, claims) {
		return claims, nil
	}
	err := v.errWithoutProof(claims)
	v.countRefused(err)
	return nil, err
}

// needsProof reports whether the token alone is not enough.
func (v *Verifier) needsProof(ctx context.Context, token string, claims *Claims) bool {
	if claims.Confirmation() == "" && v.proofs.mode != DPoPRequired {
		return false
	}
	// A proof may have come with the request that ctx belongs to.
	a, ok := ctx.Value(v).(*authenticated)
	return !ok || a.token != token
}

func (v *Verifier) errWithoutProof(claims *Claims) error {
	if claims.Confirmation() == "" || v.proofs.mode == DPoPOff {
		_, err := v.proofs.needsProof(claims, false)
		return err
	}
	return badBinding("a proof beside a token that is bound to a key (VerifyRequest and VerifyCredentials take both)", "the token alone", detailNeedsProof)
}

// errSeveralTokens refuses a request with several tokens: another reader may look
// at another one, and see another caller.
func errSeveralTokens() error {
	return &Error{Check: "credentials", Want: "one token", Got: "several", Err: ErrMalformed, code: "invalid_request"}
}

// TokenCookie takes a bearer token from the cookie of that name. A browser sends
// cookies along with requests that other sites cause: protect what changes
// something from cross-site request forgery. An empty cookie does not count.
func TokenCookie(name string) TokenSource {
	if name == "" {
		return TokenSource{}
	}
	return TokenSource{"cookie " + name, func(r *http.Request) (found credentials, n int) {
		for _, cookie := range r.CookiesNamed(name) {
			if cookie.Value != "" {
				found, n = credentials{token: cookie.Value}, n+1
			}
		}
		return found, n
	}}
}

// TokenHeader takes a bearer token from a header of that name, without a scheme. An
// empty header does not count.
func TokenHeader(name string) TokenSource {
	if name == "" {
		return TokenSource{}
	}
	name = http.CanonicalHeaderKey(name)
	return TokenSource{"header " + name, func(r *http.Request) (found credentials, n int) {
		for _, value := range r.Header[name] {
			if value != "" {
				found, n = credentials{token: value}, n+1
			}
		}
		return found, n
	}}
}
