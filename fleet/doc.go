// Package fleet lets the instances of one tenant's services act as one verifier:
// it is the [persauth.Fleet] on Valkey or Redis, version 7.0 or later, standalone,
// with Sentinel, or as a cluster.
//
//	store, err := fleet.Open(fleet.Options{URL: "rediss://cache.example.com:6379", Secret: secret})
//	…
//	v, err := persauth.New(persauth.Config{ProjectKey: key, Fleet: store})
//
// What is promised, how it was tested, and when not to use it: docs/fleet.md.
//
// The store is not trusted. All that is read from it is authenticated with keys
// that are derived from Options.Secret, and bound to its purpose, its name and its
// time; names are keyed digests, and values are encrypted. Who can write to the
// store can make the instances ask PERS more, or answer 503.
package fleet
