package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
)

// A key set in a file that may change.

const (
	// FileInterval is how often a file is read again.
	FileInterval = time.Second
	// FilePatience is how long a request waits for that. It takes microseconds,
	// except where the file is on a network that does not answer.
	FilePatience = 100 * time.Millisecond
)

// File reads the file at this path each time: a key set is small,
// and what the file system tells about a file does not always tell of a change,
// as when its time was set back, or its inode was used again.
type File string

func (o File) Name() string { return "file" }

func (o File) Read(context.Context, bool) (Reading, error) {
	file, err := openRegular(string(o))
	if err != nil {
		return Reading{}, err
	}
	defer file.Close()
	body, err := redact.ReadAll(file, jose.MaxKeySetSize)
	if err != nil {
		return Reading{}, fmt.Errorf("read %s: %w", string(o), err)
	}
	return Reading{Body: body}, nil
}

// onlyRegular closes a file that is a directory, a pipe or a device.
func onlyRegular(file *os.File) (*os.File, error) {
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: file.Name(), Err: errors.New("it is not a regular file")}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}
