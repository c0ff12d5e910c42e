// Package redact says what may be said of text that others wrote: quoted and short,
// or not at all. It also bounds what is read from others.
//
// It promises that an error which went through it repeats nothing that a peer sent:
// no token, no project key. It knows nothing of tokens, keys or HTTP messages, and
// imports nothing of this project.
package redact
