//go:build unix

package keyring

import (
	"errors"
	"os"
	"syscall"
)

// openRegular opens a regular file. It does not wait for a writer, as
// opening a named pipe does.
func openRegular(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	return onlyRegular(file)
}

// checkOwner refuses a snapshot that somebody else could have written. In a
// directory such as /tmp anyone can put a file of that name first, with keys of
// their own in it.
func checkOwner(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return errors.New("it belongs to another user")
	}
	if info.Mode().Perm()&0o022 != 0 {
		return errors.New("others may write to it")
	}
	return nil
}
