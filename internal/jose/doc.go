// Package jose is what a signature rests on: the compact serialization (RFC 7515
// §7.1), the JOSE header (§4), JWKs and JWK Sets (RFC 7517), and algorithms (RFC
// 7518, RFC 8037). With strictjson it is what can let a forger in.
//
// It promises that KeySet.Verify returns a key only if that key made the signature,
// and is for the algorithm of the header (RFC 8725 §3.1). It computes nothing itself:
// the standard library does. It knows nothing of claims, time, or the network.
package jose
