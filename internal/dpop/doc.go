// Package dpop checks proofs of a client's key (RFC 9449): their form, their claims,
// their signature, their nonce, and that each is used once.
//
// It promises that a proof is accepted for one method, one address, one token and one
// key, and that of any number at once exactly one is. What must be checked is given to
// it; whether a token needs a proof at all is decided above. It knows nothing of
// claims of access tokens.
package dpop
