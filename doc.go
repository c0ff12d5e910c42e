// Package persauth tells a Go service, on every request, who is calling: which user,
// for which tenant and business, in which role. If that cannot be known at the
// moment, it says so.
//
// It verifies the JWTs of PERS locally, against keys that it already holds, and
// asks the PERS API only when it must. Make one [Verifier] and share it:
//
//	cfg, err := persauth.FromEnv() // PERS_PROJECT_KEY and others
//	…
//	v, err := persauth.New(cfg)
//	…
//	mux.Handle("POST /businesses/{business}/orders",
//		v.Require(persauth.BusinessRole(persauth.PathValue("business"), "ADMIN"))(orders))
//
// [Verifier.Middleware] requires a good token and nothing else. [FromContext] returns
// the claims in a handler. [Verifier.Verify] is for tokens that did not come by HTTP.
//
// # How a token is verified
//
// A token that was verified before is recognized byte by byte; that costs one
// look-up. Any other token is parsed strictly: compact serialization (RFC 7515),
// canonical base64url, JSON without duplicate members. Its header must name an
// allowed algorithm and a key of the key set (RFC 7517), the signature must be
// by that key, and the claims must be complete and in time (RFC 7519, RFC 8725).
// If the key is unknown, PERS is asked for newer keys, and then about the token:
// rarely, within a budget, and only if every other check passes.
//
// # Keys
//
// Keys come from PERS, from bytes ([StaticKeys]), an embedded file ([FSKeys]) or
// a file that may change ([FileKeys]). Keys from PERS have two ages. Past the soft
// age, the next token starts a refresh in the background. Past the hard age, the
// keys are not used any more. [Config.Snapshot] keeps them for the next start.
// Between requests nothing runs.
//
// # Requests
//
// A request has exactly one token, in the Authorization header unless
// [Config.TokenSources] says otherwise. A token that is bound to a key of the
// client (RFC 9449) needs a proof by that key for this request, and each proof is
// accepted once: see [DPoP]. Guards such as [BusinessRole] decide whether the caller
// is allowed to continue.
//
// # Answers
//
// There are three answers, and they are never confused: the token is not good (401),
// the caller is not allowed to do this ([ErrForbidden], 403), or the answer cannot be
// known at the moment ([ErrUnavailable], 503). No error, log line or counter contains
// a token, a signature or a project key.
package persauth
