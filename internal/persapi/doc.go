// Package persapi is the HTTP side of PERS: the key set and /auth/verify.
//
// It promises that the project key goes to the configured address alone, that no
// redirect is followed, that what is read is bounded, and that an error holds neither
// the project key nor what was sent or answered. It does not decide when to call, and
// does not read what comes back.
package persapi
