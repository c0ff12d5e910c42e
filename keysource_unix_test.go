//go:build unix

package persauth_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/require"
)

// A pipe is no file of keys: it could be read once, and never again.
func TestFileKeysIsPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	_, err := persauth.New(persauth.Config{Keys: persauth.FileKeys(path)})
	require.ErrorContains(t, err, "not a regular file")
}
