package persauth_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No test may leave a goroutine behind, and so neither may a Verifier that was
// closed.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
