//go:build unix

package persauth_test

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// A named pipe in place of the snapshot keeps nobody waiting.
func TestSnapshotIsPipe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		damagedSnapshot(t, func(t *testing.T, _ *service, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, syscall.Mkfifo(path, 0o600))
		}, "not a regular file", false)
	})
}

// Who owns the file could have put keys of their own into it.
func TestSnapshotOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	synctest.Test(t, func(t *testing.T) {
		damagedSnapshot(t, func(t *testing.T, _ *service, path string) {
			require.NoError(t, os.Chown(path, 65534, 65534))
		}, "another user", false)
	})
}
