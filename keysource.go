package persauth

// Keys that come with the service: from bytes, from a file system, from a file
// that may change.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
)

// KeySource is where [Config.Keys] come from: [StaticKeys], [FSKeys] or
// [FileKeys].
type KeySource interface {
	// open reads the keys for the first time. The origin is nil where they
	// cannot change.
	open() (body []byte, origin keyOrigin, err error)
}

// keySource is every KeySource. What it reads is in a function, which fmt never
// looks into, also where it finds a KeySource in an unexported field.
type keySource struct {
	name string // for people
	read func() (body []byte, origin keyOrigin, err error)
}

func (s *keySource) open() ([]byte, keyOrigin, error) { return s.read() }

// StaticKeys are keys from the JSON of a JWK Set (RFC 7517 §5). They have no
// age.
func StaticKeys(jwks []byte) KeySource {
	jwks = bytes.Clone(jwks)
	return &keySource{fmt.Sprintf("StaticKeys(%d bytes)", len(jwks)),
		func() ([]byte, keyOrigin, error) { return jwks, nil, nil }}
}

// FSKeys are keys from a JWK Set in a file of fsys, an [embed.FS] for instance.
// The file is read once, in [New]. The keys have no age.
func FSKeys(fsys fs.FS, name string) KeySource {
	return &keySource{fmt.Sprintf("FSKeys(%q)", name), func() ([]byte, keyOrigin, error) {
		if fsys == nil {
			return nil, nil, errors.New("the file system is nil")
		}
		file, err := fsys.Open(name)
		if err != nil {
			return nil, nil, err
		}
		defer file.Close()
		body, err := redact.ReadAll(file, jose.MaxKeySetSize)
		return body, nil, err
	}}
}

// FileKeys are keys from a JWK Set in the file at path, which must be a regular
// file. It is read again at most once a second, and only while tokens are
// verified, so a change takes effect with the next token after that second, also
// when a symbolic link on the way was swapped, as happens to a mounted
// ConfigMap. A token with an unknown key id has it read at once. A new content
// that is not a usable key set is reported in [Status], and the keys from before
// stay in use. The keys have no age.
func FileKeys(path string) KeySource {
	return &keySource{fmt.Sprintf("FileKeys(%q)", path), func() ([]byte, keyOrigin, error) {
		got, err := fileOrigin(path).read(context.Background(), false)
		return got.body, fileOrigin(path), err
	}}
}

const (
	// fileLook is how often a file is read again.
	fileLook = time.Second
	// filePatience is how long a request waits for that. It takes microseconds,
	// except where the file is on a network that does not answer.
	filePatience = 100 * time.Millisecond
)

// fileOrigin reads the file at this path, each time anew: a key set is small,
// and what the file system tells about a file does not always tell of a change,
// as when its time was set back, or its inode was used again.
type fileOrigin string

func (o fileOrigin) name() string { return "file" }

func (o fileOrigin) read(context.Context, bool) (reading, error) {
	file, err := openRegular(string(o))
	if err != nil {
		return reading{}, err
	}
	defer file.Close()
	body, err := redact.ReadAll(file, jose.MaxKeySetSize)
	if err != nil {
		return reading{}, fmt.Errorf("read %s: %w", string(o), err)
	}
	return reading{body: body}, nil
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
