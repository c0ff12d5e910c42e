package keyring

// The last good key set of PERS, kept in a file for the next start. The file is
// itself a JWK Set, with one more member that says what it is a copy of.

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/clock"
	"github.com/persauth/persauth/internal/jose"
	"github.com/persauth/persauth/internal/redact"
	"github.com/persauth/persauth/internal/strictjson"
)

// maxSnapshotSize is room for a key set of MaxKeySetSize with white space in it.
const maxSnapshotSize = 4 * jose.MaxKeySetSize

// Snapshot is one such file.
type Snapshot struct {
	path   string
	source string // the URL of the key set
	tenant string // tells one tenant's project key from another's

	writing sync.Mutex // held while the file is written, by one at a time
	saved   uint64     // the number of the refresh that was written last
	failing bool       // the last time it could not be

	mu  sync.Mutex // guards err; never held across I/O
	err error      // of the last read or write
}

// snapshotFile is its content.
type snapshotFile struct {
	Keys []jsontext.Value `json:"keys"`
	Meta snapshotMeta     `json:"persauth"`
}

type snapshotMeta struct {
	Source  string    `json:"source"`
	Tenant  string    `json:"tenant"`
	Fetched time.Time `json:"fetched"`
	SHA256  string    `json:"sha256"` // of all the rest, to notice damage
}

// NewSnapshot is the file at path with the keys of a tenant from an address.
func NewSnapshot(path, source, tenant string) *Snapshot {
	return &Snapshot{path: path, source: source, tenant: tenant}
}

// CheckFolder refuses a snapshot that could never be written. One in a folder that is
// read-only for now is only reported when it is due.
func CheckFolder(snapshot string) error {
	if snapshot == "" {
		return nil
	}
	folder := filepath.Dir(snapshot)
	info, err := os.Stat(folder)
	if err == nil && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: folder, Err: errors.New("it is not a folder")}
	}
	if err != nil {
		return fmt.Errorf("the folder of Snapshot cannot be used: %w", err)
	}
	return nil
}

// load returns the key set in the file and when it was fetched. longest is how
// old it may be, 0 for any age. A file that is not there is no error, and nil.
func (s *Snapshot) load(now clock.Instant, longest time.Duration) (*jose.KeySet, clock.Instant, error) {
	index, fetched, err := s.read(now, longest)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("snapshot %s is not used: %w", s.path, err)
	}
	s.note(err)
	return index, fetched, err
}

func (s *Snapshot) read(now clock.Instant, longest time.Duration) (*jose.KeySet, clock.Instant, error) {
	file, err := openRegular(s.path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	if err := checkOwner(file); err != nil {
		return nil, 0, err
	}
	body, err := redact.ReadAll(file, maxSnapshotSize)
	if err != nil {
		return nil, 0, err
	}
	var content snapshotFile
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, 0, fmt.Errorf("it is %w", strictjson.Error(err))
	}
	fetched := clock.Of(content.Meta.Fetched)
	switch {
	case content.Meta.SHA256 != content.digest():
		return nil, 0, errors.New("it is damaged, or no snapshot")
	case content.Meta.Source != s.source || content.Meta.Tenant != s.tenant:
		return nil, 0, errors.New("it is of another tenant or another address")
	case fetched > now.Add(clockTolerance):
		return nil, 0, errors.New("it is from the future")
	case longest > 0 && now >= fetched.Add(longest):
		return nil, 0, errors.New("it is older than keys may get")
	}
	set, err := json.Marshal(struct {
		Keys []jsontext.Value `json:"keys"`
	}{content.Keys})
	if err != nil {
		return nil, 0, err
	}
	index, err := jose.ParseKeySet(set)
	return index, fetched, err
}

// seedDate returns when a set was fetched that is in the form of a snapshot, as
// `persauth jwks fetch` writes it, and whether it says so at all. A date that cannot
// be read is one from long ago.
func seedDate(jwks []byte) (fetched time.Time, dated bool) {
	var content struct {
		Meta jsontext.Value `json:"persauth"`
	}
	if err := json.Unmarshal(jwks, &content); err != nil {
		return time.Time{}, true
	}
	if content.Meta == nil {
		return time.Time{}, false
	}
	var meta snapshotMeta
	if err := json.Unmarshal(content.Meta, &meta); err != nil {
		return time.Time{}, true
	}
	return meta.Fetched, true
}

// save writes the set to the file, as a whole or not at all. number counts the
// refreshes: of two that end at the same time the later one stays.
func (s *Snapshot) save(set *Set, number uint64, log *slog.Logger) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if number < s.saved {
		return
	}
	err := s.write(set)
	if err == nil {
		s.saved = number
	} else {
		err = fmt.Errorf("snapshot %s cannot be written: %w", s.path, err)
	}
	s.note(err)
	if err != nil && !s.failing {
		log.Warn("persauth: keys are not kept for the next start", "error", err)
	}
	s.failing = err != nil
}

// note keeps err for problem.
func (s *Snapshot) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *Snapshot) write(set *Set) error {
	content := snapshotFile{Meta: snapshotMeta{Source: s.source, Tenant: s.tenant, Fetched: set.Loaded.Time()}}
	for _, key := range set.Keys {
		content.Keys = append(content.Keys, key.Raw)
	}
	content.Meta.SHA256 = content.digest()
	body, err := json.Marshal(content, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	// os.CreateTemp makes a file that only its owner can read: mode 0600.
	file, err := os.CreateTemp(filepath.Dir(s.path), "."+filepath.Base(s.path)+".*")
	if err != nil {
		return err
	}
	_, err = file.Write(append(body, '\n'))
	err = errors.Join(err, file.Sync(), file.Close())
	if err == nil {
		err = os.Rename(file.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

// Problem returns what is wrong with the file, or nil.
func (s *Snapshot) Problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// digest covers what the file says, in a form that indentation does not change.
func (f *snapshotFile) digest() string {
	all := fmt.Appendf(nil, "%s\n%s\n%d\n", f.Meta.Source, f.Meta.Tenant, f.Meta.Fetched.UnixMicro())
	for _, key := range f.Keys {
		compact := jsontext.Value(bytes.Clone(key))
		if err := compact.Compact(); err != nil {
			return ""
		}
		all = append(append(all, compact...), '\n')
	}
	sum := sha256.Sum256(all)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
