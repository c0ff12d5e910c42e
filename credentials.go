package persauth

// Where in a request the token is, and that there is exactly one.

import (
	"net/http"
	"strings"
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
// §2.1) or "Authorization: DPoP" (RFC 9449 §7.1). A header with another scheme
// is for somebody else: it is as if it were not there.
func AuthorizationHeader() TokenSource {
	return TokenSource{"header Authorization", func(r *http.Request) (credentials, int) {
		values := r.Header["Authorization"]
		if len(values) != 1 {
			return credentials{}, len(values)
		}
		scheme, token, _ := strings.Cut(values[0], " ")
		dpop := strings.EqualFold(scheme, "DPoP")
		if !dpop && !strings.EqualFold(scheme, "Bearer") {
			return credentials{}, 0
		}
		return credentials{strings.TrimLeft(token, " "), dpop}, 1
	}}
}

// TokenCookie takes a bearer token from the cookie of that name. A browser sends
// cookies along with requests that other sites cause: protect what changes
// something from cross-site request forgery. An empty cookie is none.
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
// empty header is none.
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
