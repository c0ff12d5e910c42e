package persauth

// Where in a request the token is, and that there is exactly one.

import (
	"net/http"
	"strings"
)

// TokenSource is a place in a request where a token may be. The sources are
// [AuthorizationHeader], [Cookie] and [Header].
type TokenSource struct {
	name string
	find func(*http.Request) []credentials
}

// credentials are a token and the scheme that it came with.
type credentials struct {
	token string
	dpop  bool // the scheme was DPoP (RFC 9449 §7.1), not Bearer
}

// AuthorizationHeader takes the token from "Authorization: Bearer" (RFC 6750
// §2.1) or "Authorization: DPoP" (RFC 9449 §7.1). Other schemes are not looked
// at: they are for somebody else.
func AuthorizationHeader() TokenSource {
	return TokenSource{"Authorization", func(r *http.Request) (found []credentials) {
		for _, value := range r.Header["Authorization"] {
			scheme, token, _ := strings.Cut(value, " ")
			isDPoP := strings.EqualFold(scheme, "DPoP")
			if isDPoP || strings.EqualFold(scheme, "Bearer") {
				found = append(found, credentials{strings.TrimLeft(token, " "), isDPoP})
			} else {
				found = append(found, credentials{})
			}
		}
		return found
	}}
}

// Cookie takes a bearer token from the cookie of that name. A browser sends
// cookies along with requests that other sites cause: protect what changes
// something from cross-site request forgery.
func Cookie(name string) TokenSource {
	return TokenSource{"cookie " + name, func(r *http.Request) (found []credentials) {
		for _, cookie := range r.CookiesNamed(name) {
			found = append(found, credentials{token: cookie.Value})
		}
		return found
	}}
}

// Header takes a bearer token from a header of that name, without a scheme.
func Header(name string) TokenSource {
	return TokenSource{"header " + name, func(r *http.Request) (found []credentials) {
		for _, value := range r.Header.Values(name) {
			found = append(found, credentials{token: value})
		}
		return found
	}}
}
