// Package persauth tells a Go service, on every request, who is calling: for
// which tenant and business, in which role, or that this cannot be told.
//
// It verifies the JWTs of PERS locally, against keys that it already holds, and
// asks the PERS API only when it must. Make one [Verifier] and keep it:
//
//	v, err := persauth.New(persauth.Config{ProjectKey: os.Getenv("PERS_PROJECT_KEY")})
//	…
//	mux.Handle("POST /businesses/{business}/orders",
//		v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN"))(orders))
//
// [Verifier.Middleware] asks for a good token alone, [FromContext] has the claims,
// and [Verifier.Verify] is for tokens that did not come by HTTP.
//
// # The way of a token
//
// A token that was verified before is recognised, byte by byte, and costs a
// look-up. Any other is taken apart strictly: compact serialization (RFC 7515),
// canonical base64url, JSON without duplicate members. Its header must name an
// allowed algorithm and a key of the key set (RFC 7517), the signature must be
// that key's, and the claims must be complete and in time (RFC 7519, RFC 8725).
// A key that is not at hand is looked for at PERS, at most once in a while, and
// only for tokens that nothing else speaks against.
//
// # Keys
//
// Keys come from PERS, from bytes ([StaticKeys]), an embedded file ([FSKeys]) or
// a file that may change ([FileKeys]). Keys from PERS are refreshed in the
// background when a token is verified after their soft age, and used for no
// longer than their hard age. [Config.Snapshot] keeps them for the next start.
// Nothing runs between requests, and nothing needs to.
//
// # Requests
//
// A request has exactly one token, in the Authorization header unless
// [Config.TokenSources] says otherwise. A token that is bound to a key of the
// client (RFC 9449) needs a proof of that key for this request, which is good
// once: see [DPoP]. Guards such as [BusinessRole] say who may go on.
//
// # Answers
//
// There are three, which are never confused: the token is not good (401), the
// caller is not allowed to do this ([ErrForbidden], 403), and it cannot be told
// at the moment ([ErrUnavailable], 503). No error, log line or counter holds a
// token, a signature or a project key.
package persauth
