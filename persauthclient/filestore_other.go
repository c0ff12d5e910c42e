//go:build !unix

package persauthclient

import (
	"fmt"
	"os"
)

// openPrivate opens a regular file. Who may read it is up to the folder that it
// is in: there are no modes here.
func openPrivate(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}
