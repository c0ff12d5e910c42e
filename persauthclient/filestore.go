package persauthclient

// A session in a file: replaced as a whole, read and written by its owner alone,
// under a lock that every process on the machine respects.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockPoll is how often a lock that another process holds is tried.
const lockPoll = 20 * time.Millisecond

// FileStore keeps a session in a file, for one user of a machine: mode 0600, and
// refused where anybody else can read or write it. Processes that share the path
// take turns by a lock on the file beside it, path + ".lock"; the lock of a
// process that ends goes with it. The folder must exist, on a disk of this
// machine: network file systems may not keep locks.
type FileStore struct{ path string }

// NewFileStore makes a store of the file at path. It touches nothing yet.
func NewFileStore(path string) *FileStore { return &FileStore{path} }

// Load returns what is kept. It takes no lock: a file is replaced as a whole.
func (f *FileStore) Load(context.Context) ([]byte, error) {
	file, err := openPrivate(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	kept, err := io.ReadAll(io.LimitReader(file, maxSession+1))
	if err == nil && len(kept) > maxSession {
		err = fmt.Errorf("%s is too large", f.path)
	}
	return kept, err
}

// Update changes what is kept, once it has the lock.
func (f *FileStore) Update(ctx context.Context, change func([]byte) ([]byte, error)) error {
	return f.locked(ctx, func() error {
		kept, err := f.Load(ctx)
		if err != nil {
			return err
		}
		next, err := change(kept)
		switch {
		case err != nil || bytes.Equal(kept, next):
			return err
		case next == nil:
			return f.remove()
		}
		return f.replace(next)
	})
}

// Remove removes the file, whatever is in it.
func (f *FileStore) Remove(ctx context.Context) error { return f.locked(ctx, f.remove) }

// locked calls do while no other process does.
func (f *FileStore) locked(ctx context.Context, do func() error) error {
	lock := flock.New(f.path+".lock", flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, lockPoll); err != nil {
		return fmt.Errorf("%s.lock: %w", f.path, err)
	}
	defer lock.Close() // and unlocks
	return do()
}

func (f *FileStore) remove() error {
	if err := os.Remove(f.path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// replace writes the file as a whole, or not at all.
func (f *FileStore) replace(content []byte) (err error) {
	folder := filepath.Dir(f.path)
	file, err := os.CreateTemp(folder, ".persauth-session-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), f.path); err != nil {
		return err
	}
	syncFolder(folder)
	return nil
}

// syncFolder makes a rename survive a power failure, where the system can.
func syncFolder(path string) {
	if folder, err := os.Open(path); err == nil {
		_ = folder.Sync()
		_ = folder.Close()
	}
}
