package persauth

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
)

// snapshot is one such file.
type snapshot struct {
	path   string
	source string // the URL of the key set
	tenant string // tells one tenant's project key from another's

	mu    sync.Mutex
	err   error   // of the last read or write
	saved instant // what the file holds was loaded then
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
	SHA256  string    `json:"sha256"` // of the keys, to notice damage
}

func newSnapshot(path string, a *api) *snapshot {
	// A project key has far too many bits to be guessed from its hash.
	sum := sha256.Sum256([]byte("persauth snapshot\x00" + a.projectKey))
	return &snapshot{path: path, source: a.base + keysPath, saved: noInstant,
		tenant: base64.RawURLEncoding.EncodeToString(sum[:12])}
}

// load returns the key set in the file and when it was fetched. A file that is
// not there is no error, and nil.
func (s *snapshot) load(now instant) (*keyIndex, instant, error) {
	index, fetched, err := s.read(now)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("snapshot %s is not used: %w", s.path, err)
	}
	s.err = err
	return index, fetched, err
}

func (s *snapshot) read(now instant) (*keyIndex, instant, error) {
	file, err := openRegular(s.path)
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	if err := checkOwner(file); err != nil {
		return nil, 0, err
	}
	body, err := readLimited(file, 2*maxSetSize)
	if err != nil {
		return nil, 0, err
	}
	var content snapshotFile
	if err := json.Unmarshal(body, &content); err != nil {
		return nil, 0, fmt.Errorf("it is %w", withoutContent(err))
	}
	fetched := instantOf(content.Meta.Fetched)
	switch {
	case content.Meta.SHA256 != digestOf(content.Keys):
		return nil, 0, errors.New("it is damaged, or no snapshot")
	case content.Meta.Source != s.source || content.Meta.Tenant != s.tenant:
		return nil, 0, errors.New("it is of another tenant or another address")
	case fetched > now.add(maxLeeway):
		return nil, 0, errors.New("it is from the future")
	}
	set, err := json.Marshal(struct {
		Keys []jsontext.Value `json:"keys"`
	}{content.Keys})
	if err != nil {
		return nil, 0, err
	}
	index, err := parseKeys(set)
	return index, fetched, err
}

// save writes the set to the file, as a whole or not at all.
func (s *snapshot) save(set *keySet, log *slog.Logger) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if set.loaded < s.saved {
		return
	}
	err := s.write(set)
	if err == nil {
		s.saved = set.loaded
	} else {
		err = fmt.Errorf("snapshot %s cannot be written: %w", s.path, err)
		if s.err == nil {
			log.Warn("persauth: keys are not kept for the next start", "error", err)
		}
	}
	s.err = err
}

func (s *snapshot) write(set *keySet) error {
	content := snapshotFile{Meta: snapshotMeta{Source: s.source, Tenant: s.tenant, Fetched: set.loaded.time()}}
	for _, key := range set.keys {
		content.Keys = append(content.Keys, key.raw)
	}
	content.Meta.SHA256 = digestOf(content.Keys)
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

// problem returns what is wrong with the file, or nil.
func (s *snapshot) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// digestOf covers the keys in a form that indentation does not change.
func digestOf(keys []jsontext.Value) string {
	var all bytes.Buffer
	for _, key := range keys {
		compact := jsontext.Value(bytes.Clone(key))
		if err := compact.Compact(); err != nil {
			return ""
		}
		all.Write(compact)
		all.WriteByte('\n')
	}
	sum := sha256.Sum256(all.Bytes())
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
