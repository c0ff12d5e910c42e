// Package keyring holds keys over time: the soft age from which they are refreshed in
// the background, the hard age from which they are used no longer, the snapshot for
// the next start, and files that change.
//
// It promises that requests read an immutable set and never wait for keys that they
// do not need, that one refresh runs at a time, and that a failed one changes nothing
// but the state it shows. It knows nothing of tokens, nor of HTTP: an Origin reads.
package keyring
