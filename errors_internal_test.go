package persauth

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// place answers as a look with errors.Is for each sentinel would.
func TestPlace(t *testing.T) {
	plain := func(err error) int {
		for i, c := range codes {
			if errors.Is(err, c.err) {
				return i
			}
		}
		return len(codes)
	}
	errs := []error{nil, errors.New("foreign"), context.Canceled, interrupted(canceled(), "keys"), mismatch("a", "b")}
	for i, c := range codes {
		other := codes[(i+5)%len(codes)].err
		errs = append(errs, c.err, &Error{Err: c.err}, &Error{Err: c.err, Cause: other}, &Error{Err: c.err, Cause: &Error{Err: other}},
			failures{&Error{Err: c.err}, &Error{Err: other}}, fmt.Errorf("a service: %w", &Error{Err: c.err}),
			errors.Join(&Error{Err: other}, c.err), &Error{Err: c.err, Cause: errors.New("foreign")})
	}
	for _, err := range errs {
		assert.Equal(t, plain(err), codeIndex(err), "%v", err)
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
