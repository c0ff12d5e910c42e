package persauth_test

// The file that carries the keys of PERS over a restart.

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keeping is serve with a snapshot in a folder of its own, written once.
func keeping(t *testing.T, changes ...func(*persauth.Config)) (s *service, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "jwks.json")
	changes = append(changes, func(c *persauth.Config) { c.Snapshot = path })
	s = serve(t, changes...)
	s.warm()
	s.v.Close() // and with that, the file is there
	require.FileExists(t, path)
	require.Empty(t, s.status().Keys.SnapshotError)
	return s, path
}

func listing(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// After a restart, with PERS down, tokens are verified from the snapshot: stale
// from the first, and to the hard age of what PERS said, not of the restart.
func TestSnapshotSurvivesRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, path := keeping(t)
		fetched := time.Now()
		token := s.token()
		s.pers.now(down)
		for range 3 {
			time.Sleep(5 * time.Hour)
			s.restart()
			assert.True(t, s.accepts(token).Verification().KeysStale)
			status := s.status()
			assert.Equal(t, "snapshot", status.Keys.Source)
			assert.True(t, status.Keys.Stale)
			assert.True(t, status.Ready)
			assert.Equal(t, fetched.UTC(), status.Keys.Loaded)
			assert.Equal(t, fetched.Add(hardAge).UTC(), status.Keys.ExpiresAt)
			synctest.Wait()
			assert.NotEmpty(t, s.status().Keys.LastError)
		}
		time.Sleep(time.Until(fetched.Add(hardAge - time.Microsecond)))
		s.restart()
		s.accepts(token)
		time.Sleep(time.Microsecond)
		s.refuses(token, persauth.ErrUnavailable)
		s.restart()
		s.refuses(token, persauth.ErrUnavailable)
		assert.Contains(t, s.status().Keys.SnapshotError, "older than keys may get")

		s.restart()
		s.pers.now(up(s.iss))
		s.accepts(token)
		s.v.Close()
		assert.Empty(t, s.status().Keys.SnapshotError)
		assert.Equal(t, []string{"jwks.json"}, listing(t, filepath.Dir(path)))
	})
}

// Right after a restart too PERS is asked whether the keys are still good.
func TestSnapshotIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := keeping(t)
		token := s.token()
		old := s.iss.Keys()
		s.iss.Rotate()
		s.iss.Retire(old...)
		s.pers.now(slow(time.Second, up(s.iss)))
		s.restart()
		assert.True(t, s.accepts(token).Verification().KeysStale)
		time.Sleep(time.Second)
		synctest.Wait()
		s.refuses(token, persauth.ErrUnknownKey)
		s.accepts(s.token())
		assert.Equal(t, "remote", s.status().Keys.Source)
		s.restart()
		s.pers.now(down)
		s.accepts(s.token()) // the new set was kept
	})
}

// The file is for its owner alone, holds nothing secret, and can be used as a
// key set by whoever has it.
func TestSnapshotFile(t *testing.T) {
	s, path := keeping(t)
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	s.discreet("snapshot", string(content))
	infos, err := persauth.InspectKeys(content)
	require.NoError(t, err)
	require.Len(t, infos, 1)
	assert.Empty(t, infos[0].Problem)

	for name, keys := range map[string]persauth.KeySource{
		"file": persauth.FileKeys(path), "bytes": persauth.StaticKeys(content),
	} {
		v, err := persauth.New(persauth.Config{Keys: keys})
		require.NoError(t, err, name)
		_, err = v.Verify(t.Context(), s.token())
		require.NoError(t, err, name)
		v.Close()
	}
}

// A snapshot that is not exactly what was written, or not ours to trust, is
// reported and ignored; the next answer of PERS replaces it.
func TestSnapshotDamaged(t *testing.T) {
	edit := func(change func([]byte) []byte) func(*testing.T, *service, string) {
		return func(t *testing.T, _ *service, path string) {
			content, err := os.ReadFile(path)
			require.NoError(t, err)
			write(t, path, change(content))
		}
	}
	replace := func(old, new string) func(*testing.T, *service, string) {
		return edit(func(b []byte) []byte {
			changed := bytes.Replace(b, []byte(old), []byte(new), 1)
			if bytes.Equal(changed, b) {
				panic("nothing to damage")
			}
			return changed
		})
	}
	for name, c := range map[string]struct {
		damage func(*testing.T, *service, string)
		text   string
		stays  bool // PERS' answer cannot replace it either
	}{
		"truncated":         {damage: edit(func(b []byte) []byte { return b[:len(b)/2] }), text: "it is"},
		"empty":             {damage: edit(func([]byte) []byte { return nil }), text: "it is"},
		"garbage":           {damage: edit(func([]byte) []byte { return []byte("garbage") }), text: "it is"},
		"flipped in a key":  {damage: edit(flipInKey), text: "damaged"},
		"other kid":         {damage: replace(`"test-key-1"`, `"test-key-2"`), text: "damaged"},
		"other date":        {damage: replace(`"2000-01-01T00:00:00Z"`, `"2000-01-01T01:00:00Z"`), text: "damaged"},
		"no date":           {damage: replace(`"fetched"`, `"fetchet"`), text: "damaged"},
		"two sets of keys":  {damage: replace(`"keys":`, `"keys": [], "keys":`), text: "it is"},
		"more behind it":    {damage: edit(func(b []byte) []byte { return append(b, "{}"...) }), text: "it is"},
		"too large":         {damage: edit(func(b []byte) []byte { return append(b, bytes.Repeat([]byte(" "), 5<<20)...) }), text: "larger"},
		"plain JWKS":        {damage: func(t *testing.T, s *service, path string) { write(t, path, s.iss.JWKS()) }, text: "no snapshot"},
		"an empty set":      {damage: edit(func([]byte) []byte { return []byte(`{"keys":[]}`) }), text: "no snapshot"},
		"null":              {damage: edit(func([]byte) []byte { return []byte(`null`) }), text: "no snapshot"},
		"from the future":   {damage: func(_ *testing.T, s *service, _ string) { s.jump(-time.Hour) }, text: "future"},
		"too old":           {damage: func(_ *testing.T, s *service, _ string) { s.jump(hardAge) }, text: "older"},
		"of another tenant": {damage: written(func(c *persauth.Config) { c.ProjectKey = "pk_test_another" }), text: "another tenant"},
		"of another place":  {damage: written(func(c *persauth.Config) { c.BaseURL = "https://other.test/v2" }), text: "another address"},
		"world-writable":    {damage: func(t *testing.T, _ *service, path string) { require.NoError(t, os.Chmod(path, 0o602)) }, text: "others may write"},
		"group-writable":    {damage: func(t *testing.T, _ *service, path string) { require.NoError(t, os.Chmod(path, 0o620)) }, text: "others may write"},
		"a directory": {damage: func(t *testing.T, _ *service, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, text: "not a regular file", stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { damagedSnapshot(t, c.damage, c.text, c.stays) })
		})
	}
}

func damagedSnapshot(t *testing.T, damage func(*testing.T, *service, string), text string, stays bool) {
	s, path := keeping(t)
	damage(t, s, path)
	s.pers.now(down)
	s.restart()
	assert.Contains(t, s.status().Keys.SnapshotError, text)
	assert.Equal(t, 1, s.log.lines("before the last stop"))
	assert.False(t, s.status().Ready)
	s.refuses(s.token(), persauth.ErrUnavailable)

	// With a seed, that is used.
	s.restart(func(c *persauth.Config) { c.Keys = persauth.StaticKeys(s.iss.JWKS()) })
	s.accepts(s.token())
	assert.Contains(t, s.status().Keys.SnapshotError, text)
	assert.Equal(t, "seed", s.status().Keys.Source)

	s.restart(func(c *persauth.Config) { c.Keys = nil })
	s.pers.now(up(s.iss))
	s.accepts(s.token())
	s.v.Close()
	if stays {
		assert.Contains(t, s.status().Keys.SnapshotError, "cannot be written")
	} else {
		assert.Empty(t, s.status().Keys.SnapshotError)
		s.pers.now(down)
		s.restart()
		s.accepts(s.token())
	}
	assert.Equal(t, []string{"jwks.json"}, listing(t, filepath.Dir(path)))
}

// flipInKey changes one character of a key's coordinate.
func flipInKey(content []byte) []byte {
	at := bytes.Index(content, []byte(`"y"`)) + 10
	content[at] ^= 1
	return content
}

// written has the file written by a service of another configuration.
func written(change func(*persauth.Config)) func(*testing.T, *service, string) {
	return func(t *testing.T, s *service, path string) {
		require.NoError(t, os.Remove(path))
		cfg := s.cfg
		cfg.HTTPClient = clientOf(up(s.iss))
		change(&cfg)
		v, err := persauth.New(cfg)
		require.NoError(t, err)
		require.NoError(t, v.Warm(t.Context()))
		v.Close()
		require.FileExists(t, path)
	}
}

// Where the file cannot be written, that is reported, once to the log, and
// verification goes on.
func TestSnapshotNotWritable(t *testing.T) {
	for name, path := range map[string]func(folder string) string{
		"a folder": func(folder string) string { return filepath.Join(folder, "folder") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				folder := t.TempDir()
				write(t, filepath.Join(folder, "file"), nil)
				require.NoError(t, os.MkdirAll(filepath.Join(folder, "folder", "inside"), 0o700))
				s := serve(t, func(c *persauth.Config) { c.Snapshot = path(folder) })
				token := s.token()
				for range 3 {
					s.accepts(token)
					synctest.Wait()
					assert.Contains(t, s.status().Keys.SnapshotError, "cannot be written")
					s.refresh()
				}
				assert.Equal(t, 1, s.log.lines("not kept for the next start"))
				assert.Empty(t, s.status().Keys.LastError, "the keys themselves are fine")
				assert.Equal(t, []string{"file", "folder"}, listing(t, folder), "nothing is left behind")
			})
		})
	}
}

// A snapshot that could never be written is a mistake in the settings.
func TestSnapshotWithoutFolder(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "file"), nil)
	for name, path := range map[string]string{
		"no such folder":     filepath.Join(folder, "missing", "jwks.json"),
		"a file as a folder": filepath.Join(folder, "file", "jwks.json"),
	} {
		for _, offline := range []bool{false, true} {
			v, err := persauth.New(persauth.Config{ProjectKey: projectKey, Snapshot: path, Offline: offline, Keys: persauth.StaticKeys([]byte(setFor("ES256")))})
			require.Error(t, err, name)
			assert.Nil(t, v)
			var at *fs.PathError
			require.ErrorAs(t, err, &at, name)
			assert.Equal(t, filepath.Dir(path), at.Path)
		}
	}
	t.Chdir(folder)
	v, err := persauth.New(persauth.Config{ProjectKey: projectKey, Snapshot: "jwks.json"})
	require.NoError(t, err)
	v.Close()
}

// Whoever reads the file, at any moment, finds a whole set; two services may
// write it.
func TestSnapshotIsAtomic(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jwks.json")
	keep := func(c *persauth.Config) { c.Snapshot = path }
	one, other := serve(t, keep), serve(t, keep)
	key := newKey(t, "key", "ES256")
	large := jwks(key)
	for i := range 200 {
		extra := bytes.Replace(key.JWK(), []byte(`"key"`), []byte(`"`+string(rune('a'+i%26))+`"`), 1)
		large = append(append(large[:len(large)-2], ','), append(extra, "]}"...)...)
	}
	one.pers.now(replies(200, large))
	other.pers.now(replies(200, jwks(key)))
	one.warm()
	one.v.Close()
	one.restart()

	var writers sync.WaitGroup
	done := make(chan struct{})
	for _, s := range []*service{one, other} {
		writers.Go(func() {
			for range 20 {
				s.jump(softAge)
				assert.NoError(t, s.v.Warm(t.Context()))
			}
			s.v.Close()
		})
	}
	go func() { writers.Wait(); close(done) }()
	sizes := map[int]int{}
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		var set struct{ Keys []json.RawMessage }
		require.NoError(t, json.Unmarshal(content, &set))
		sizes[len(set.Keys)]++
	}
	delete(sizes, 1)
	delete(sizes, 201)
	assert.Empty(t, sizes)
	assert.Equal(t, []string{"jwks.json"}, listing(t, filepath.Dir(path)))
	for _, s := range []*service{one, other} {
		s.restart()
		assert.Empty(t, s.status().Keys.SnapshotError)
		assert.Equal(t, "snapshot", s.status().Keys.Source)
	}
}

// Offline the snapshot is read, whatever its age, and never written.
func TestSnapshotOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, path := keeping(t)
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		token := s.token()
		s.pers.now(noNetwork{t}.RoundTrip)
		time.Sleep(2 * hardAge)
		seed := filepath.Join(t.TempDir(), "seed.json")
		write(t, seed, jwks(newKey(t, "seed", "ES256")))
		for _, keys := range []persauth.KeySource{nil, persauth.FileKeys(seed)} {
			s.restart(func(c *persauth.Config) { c.Offline, c.Keys = true, keys })
			assert.False(t, s.accepts(token).Verification().KeysStale)
			assert.Equal(t, "snapshot", s.status().Keys.Source)
			s.refuses(s.stranger(1), persauth.ErrUnknownKey)
			s.warm()
			s.accepts(token)
		}
		s.v.Close()
		after, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, before, after)

		// Where it cannot be used, New says why.
		write(t, path, []byte("garbage"))
		s.cfg.Keys = nil
		_, err = persauth.New(s.cfg)
		require.ErrorContains(t, err, "is not used")
	})
}
