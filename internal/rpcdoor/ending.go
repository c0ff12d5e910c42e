package rpcdoor

// Why a stream ended.

import (
	"context"

	"github.com/persauth/persauth"
)

// ending is why a stream was ended because of a message.
type ending struct{ cause error }

func (e *ending) Error() string { return e.cause.Error() }

// End ends the context of a stream because of a message.
func End(end context.CancelCauseFunc, cause error) { end(&ending{cause}) }

// Refusal returns why the context of a stream was ended here, by [End] or by
// [persauth.Verifier.ContextWhileValid], or nil where it lives, or its client went
// away first. What came first decides: a client that goes away while it is refused
// is refused.
func Refusal(ctx context.Context) error {
	switch cause := context.Cause(ctx).(type) {
	case *ending:
		return cause.cause
	case *persauth.Error:
		return cause
	}
	return nil
}
