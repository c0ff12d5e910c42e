package persauth

// Keys that come with the service: from bytes, from a file system, from a file
// that may change.

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// KeySource is where [Config.Keys] come from: [StaticKeys], [FSKeys] or
// [FileKeys].
type KeySource interface {
	// open reads the keys for the first time. The origin is nil where they
	// cannot change.
	open() (body []byte, origin keyOrigin, err error)
}

// StaticKeys are keys from the JSON of a JWK Set (RFC 7517 §5). They have no
// age.
func StaticKeys[T []byte | string](jwks T) KeySource { return staticKeys(bytes.Clone([]byte(jwks))) }

type staticKeys []byte

func (s staticKeys) open() ([]byte, keyOrigin, error) { return s, nil, nil }

// FSKeys are keys from a JWK Set in a file of fsys, an [embed.FS] for instance.
// The file is read once, in [New]. The keys have no age.
func FSKeys(fsys fs.FS, name string) KeySource { return fsKeys{fsys, name} }

type fsKeys struct {
	fsys fs.FS
	name string
}

func (s fsKeys) open() ([]byte, keyOrigin, error) {
	file, err := s.fsys.Open(s.name)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	body, err := readLimited(file, maxSetSize)
	return body, nil, err
}

// FileKeys are keys from a JWK Set in the file at path. It is looked at again,
// at most once a second and only while tokens are verified, and read again when
// it has changed, also when a symbolic link on the way was swapped, as happens
// to a mounted ConfigMap. A new content that is not a usable key set is reported
// in [Status], and the keys from before stay in use. The keys have no age.
func FileKeys(path string) KeySource { return fileKeys(path) }

type fileKeys string

func (s fileKeys) open() ([]byte, keyOrigin, error) {
	origin := &fileOrigin{path: string(s)}
	got, err := origin.read(context.Background(), false)
	return got.body, origin, err
}

// fileLook is how often a file is looked at.
const fileLook = time.Second

// fileOrigin reads a file when its metadata says that it may have changed.
type fileOrigin struct {
	path string

	mu   sync.Mutex
	seen fs.FileInfo // what body was read from
	at   time.Time   // when it was
	body []byte
}

func (o *fileOrigin) name() string { return "file" }

func (o *fileOrigin) read(context.Context, bool) (reading, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	info, err := os.Stat(o.path)
	if err != nil {
		return reading{}, err
	}
	// A file that was written shortly before it was read may have been written
	// again within the same tick of its clock.
	settled := o.seen != nil && o.at.Sub(o.seen.ModTime()) > 2*time.Second
	if settled && os.SameFile(info, o.seen) && info.ModTime().Equal(o.seen.ModTime()) && info.Size() == o.seen.Size() {
		return reading{body: o.body}, nil
	}
	file, err := os.Open(o.path)
	if err != nil {
		return reading{}, err
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return reading{}, err
	}
	body, err := readLimited(file, maxSetSize)
	if err != nil {
		return reading{}, fmt.Errorf("read %s: %w", o.path, err)
	}
	o.seen, o.at, o.body = info, time.Now(), body
	return reading{body: body}, nil
}

// readLimited reads all of r, and fails where that is more than limit bytes.
func readLimited(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = ownError(fmt.Sprintf("larger than %d bytes", limit))
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}
