// Package keys is the key set that the programs beside it embed.
package keys

import _ "embed"

// JWKS is a JWK Set (RFC 7517 §5) with a key for each algorithm that is timed.
//
//go:embed jwks.json
var JWKS []byte
