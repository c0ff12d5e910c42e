package persauthclient

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The ways in which this package fails. Test for them with [errors.Is]; the
// details are in [Error] and [SelectionError], found with [errors.As].
var (
	// ErrRejected: PERS does not accept the token that it was given.
	ErrRejected = errors.New("PERS does not accept the token")
	// ErrUnavailable: PERS gave no answer, or asks for patience.
	ErrUnavailable = errors.New("PERS cannot be asked at the moment")
	// ErrSelection: the user may act for several businesses or tenants, and the
	// request names none. The options are in a [SelectionError].
	ErrSelection = errors.New("the request must name a business or tenant")
	// ErrAnswer: PERS gave an answer that must not be used: tokens of another
	// tenant, without the key that was asked for, or something that is not an
	// answer to the question.
	ErrAnswer = errors.New("answer of PERS cannot be used")
	// ErrSignIn: there is no session, or it has ended: the user has to sign in.
	ErrSignIn = errors.New("sign in again")
	// ErrStore: the [Store] failed.
	ErrStore = errors.New("the session cannot be read or kept")
	// ErrOrigin: a request is not for one of the origins of a [Transport].
	ErrOrigin = errors.New("the token is not for this origin")
	// ErrBound: the token is bound to a key, and the caller can only use one
	// that is not.
	ErrBound = errors.New("the token is bound to a key")
)

// Error tells what failed. It never holds a token, a project key, or what PERS
// answered.
type Error struct {
	// Op is what was tried: "exchange", "refresh", "token", "store", "request".
	Op string
	// Got says what was wrong. It may be empty.
	Got string
	// Status is the HTTP status of the answer; 0 where there was none.
	Status int
	// RetryAfter says in how long another try makes sense; 0 where that is not
	// known.
	RetryAfter time.Duration
	// Err is one of the package's sentinels.
	Err error
	// Cause is what lies beneath, or nil.
	Cause error
}

// Error returns one line of text.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "persauthclient: %s: %v", e.Op, e.Err)
	if e.Got != "" {
		b.WriteString(": " + e.Got)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Cause != nil {
		fmt.Fprintf(&b, ": %v", e.Cause)
	}
	return b.String()
}

// Unwrap returns the sentinel and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// SelectionError is [ErrSelection] with what there is to choose from. Exchange
// again with [Request.Business] or [Request.Tenant] set to one of the options.
type SelectionError struct {
	// Options are those that could be read. The form in which PERS gives them is
	// not documented, so there may be none. At most 1,000 are kept. The texts in
	// them are PERS': make them printable before they are shown.
	Options []Option
}

// Option is a business or tenant that a user may act for.
type Option struct {
	// Business or Tenant is its id; at least one of them is set.
	Business, Tenant string
	// Name and Role are for the user to recognise it, and may be empty.
	Name, Role string
}

// Error returns one line of text, without the options.
func (e *SelectionError) Error() string {
	return fmt.Sprintf("persauthclient: exchange: %v: there are %d to choose from", ErrSelection, len(e.Options))
}

// Unwrap returns [ErrSelection].
func (e *SelectionError) Unwrap() error { return ErrSelection }
