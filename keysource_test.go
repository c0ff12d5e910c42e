package persauth_test

// Keys that come with the service: as bytes, in an fs.FS, in a file.

import (
	"bytes"
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/jwks.json
var embedded embed.FS

// The same keys verify the same tokens, wherever they are from.
func TestKeySources(t *testing.T) {
	for name, c := range map[string]struct {
		keys   persauth.KeySource
		source string
	}{
		"bytes": {persauth.StaticKeys(fixtureKeys), "static"},

		"embed": {persauth.FSKeys(embedded, "testdata/jwks.json"), "static"},
		"dir":   {persauth.FSKeys(os.DirFS("testdata"), "jwks.json"), "static"},
		"map":   {persauth.FSKeys(fstest.MapFS{"a/b": {Data: fixtureKeys}}, "a/b"), "static"},
		"file":  {persauth.FileKeys("testdata/jwks.json"), "file"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{Keys: c.keys})
			require.NoError(t, err)
			defer v.Close()
			for _, f := range fixtures(t) {
				_, err := v.Verify(t.Context(), f.Token)
				assert.Equal(t, f.Expect == "valid", err == nil, f.Name)
			}
			status := v.Status().Keys
			assert.Equal(t, c.source, status.Source)
			assert.Zero(t, status.StaleAt)
			assert.Zero(t, status.ExpiresAt)
		})
	}
}

// Bytes are taken as they are at the call.
func TestStaticKeysAreCopied(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	set := iss.JWKS()
	keys := persauth.StaticKeys(set)
	clear(set)
	v, err := persauth.New(persauth.Config{Keys: keys})
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Verify(t.Context(), iss.Token(map[string]any{}))
	require.NoError(t, err)
}

// What cannot be used is an error of New, with the place and the reason.
func TestKeySourceErrors(t *testing.T) {
	folder := t.TempDir()
	large := filepath.Join(folder, "large")
	write(t, large, append(bytes.Repeat([]byte(" "), 1<<20), fixtureKeys...))
	garbage := filepath.Join(folder, "garbage")
	write(t, garbage, []byte("garbage"))
	for name, c := range map[string]struct {
		keys persauth.KeySource
		text string
	}{
		"no bytes":          {persauth.StaticKeys([]byte("")), "key set is"},
		"nil":               {persauth.StaticKeys(nil), "key set is"},
		"garbage":           {persauth.StaticKeys([]byte("garbage")), "key set is"},
		"empty set":         {persauth.StaticKeys([]byte(`{"keys":[]}`)), "no usable key"},
		"only bad keys":     {persauth.StaticKeys([]byte(`{"keys":[{"kty":"oct","kid":"hmac","k":"AAAA"}]}`)), `key 0 (kid "hmac"): it is symmetric`},
		"too large":         {persauth.StaticKeys([]byte(strings.Repeat(" ", 1<<20) + `{"keys":[]}`)), "larger than"},
		"no such file":      {persauth.FileKeys(filepath.Join(folder, "missing")), "no such file"},
		"no path":           {persauth.FileKeys(""), "no such file"},
		"a folder":          {persauth.FileKeys(folder), "not a regular file"},
		"a large file":      {persauth.FileKeys(large), "larger than"},
		"a garbled file":    {persauth.FileKeys(garbage), "key set is"},
		"a device":          {persauth.FileKeys("/dev/zero"), "not a regular file"},
		"missing in the fs": {persauth.FSKeys(embedded, "missing.json"), "file does not exist"},
		"folder in the fs":  {persauth.FSKeys(embedded, "testdata"), "testdata"},
		"path with ..":      {persauth.FSKeys(os.DirFS(folder), "../large"), "invalid"},
		"no fs":             {persauth.FSKeys(nil, "jwks.json"), "nil"},
		"large in the fs":   {persauth.FSKeys(os.DirFS(folder), "large"), "larger than"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := persauth.New(persauth.Config{Keys: c.keys})
			require.ErrorContains(t, err, c.text)
			assert.Nil(t, v)
			// As a seed it is no better.
			_, err = persauth.New(persauth.Config{Keys: c.keys, ProjectKey: projectKey})
			require.ErrorContains(t, err, c.text)
			assert.NotContains(t, err.Error(), projectKey)
		})
	}
	_, err := persauth.New(persauth.Config{Keys: persauth.FSKeys(embedded, "missing.json")})
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// filed is a verifier of the keys in a file, in a bubble.
type filed struct {
	*service
	path string
}

func serveFile(t *testing.T) *filed {
	path := filepath.Join(t.TempDir(), "jwks.json")
	iss := persauthtest.NewIssuer(t)
	write(t, path, iss.JWKS())
	s := serve(t, func(c *persauth.Config) { c.ProjectKey, c.Keys = "", persauth.FileKeys(path) })
	s.iss = iss
	return &filed{s, path}
}

// Every way to change a file is noticed: a new key with its first token, and a
// key that left with the next token a second later.
func TestFileKeysChange(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, path string, content []byte){
		"in place": write1,
		"renamed onto": func(t *testing.T, path string, content []byte) {
			write(t, path+".new", content)
			require.NoError(t, os.Rename(path+".new", path))
		},
		"removed and written": func(t *testing.T, path string, content []byte) {
			require.NoError(t, os.Remove(path))
			write(t, path, content)
		},
		"same size and time, in place": func(t *testing.T, path string, content []byte) { sameTime(t, path, content, write1) },
		"same size and time, renamed": func(t *testing.T, path string, content []byte) {
			sameTime(t, path, content, func(t *testing.T, path string, content []byte) {
				write(t, path+".new", content)
				require.NoError(t, os.Rename(path+".new", path))
			})
		},
		"with a time long ago": func(t *testing.T, path string, content []byte) {
			write(t, path, content)
			require.NoError(t, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
		},
		"by a link": func(t *testing.T, path string, content []byte) {
			write(t, path+".other", content)
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Symlink(path+".other", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serveFile(t)
				f.changes(t, func(content []byte) { change(t, f.path, content) })
			})
		})
	}
}

func write1(t *testing.T, path string, content []byte) { write(t, path, content) }

func sameTime(t *testing.T, path string, content []byte, change func(*testing.T, string, []byte)) {
	before, err := os.Stat(path)
	require.NoError(t, err)
	if pad := int(before.Size()) - len(content); pad > 0 {
		content = append(content, bytes.Repeat([]byte(" "), pad)...)
	}
	change(t, path, content)
	require.NoError(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
}

// changes publishes a new key, and then takes the old one out.
func (f *filed) changes(t *testing.T, publish func([]byte)) {
	old := f.token()
	assert.False(t, f.accepts(old).Verification().KeysStale)
	first := f.iss.Keys()[0]
	f.iss.Rotate()
	publish(f.iss.JWKS())
	f.accepts(f.token())
	f.accepts(old)

	f.iss.Retire(first)
	publish(f.iss.JWKS())
	time.Sleep(time.Second)
	f.refuses(old, persauth.ErrUnknownKey)
	f.accepts(f.token())

	// A service that slept does not take what left while it did.
	last := f.token()
	f.accepts(last)
	f.iss.Retire(f.iss.Keys()...)
	f.iss.Rotate()
	time.Sleep(100 * time.Hour)
	publish(f.iss.JWKS())
	f.refuses(last, persauth.ErrUnknownKey)
	claims := f.accepts(f.token())
	assert.False(t, claims.Verification().KeysStale)
	assert.Empty(t, f.status().Keys.LastError)
	assert.False(t, f.status().Keys.Stale)
}

// A mounted ConfigMap: jwks.json → ..data/jwks.json, ..data → a dated folder,
// which is swapped as a whole.
func TestFileKeysConfigMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		iss := persauthtest.NewIssuer(t)
		version := 0
		publish := func(content []byte) {
			version++
			dated := "..dated_" + string(rune('a'+version))
			require.NoError(t, os.Mkdir(filepath.Join(folder, dated), 0o700))
			write(t, filepath.Join(folder, dated, "jwks.json"), content)
			before, _ := os.Readlink(filepath.Join(folder, "..data"))
			require.NoError(t, os.Symlink(dated, filepath.Join(folder, "..data_tmp")))
			require.NoError(t, os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
			if before != "" {
				require.NoError(t, os.RemoveAll(filepath.Join(folder, before)))
			}
		}
		publish(iss.JWKS())
		path := filepath.Join(folder, "jwks.json")
		require.NoError(t, os.Symlink("..data/jwks.json", path))
		s := serve(t, func(c *persauth.Config) { c.ProjectKey, c.Keys = "", persauth.FileKeys(path) })
		s.iss = iss
		(&filed{s, path}).changes(t, publish)
	})
}

// What is no key set, or no file at all, changes nothing but what Status says,
// and is left behind as soon as the file is good again.
func TestFileKeysBroken(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		text   string
	}{
		"deleted":   {func(t *testing.T, path string) { require.NoError(t, os.Remove(path)) }, "no such file"},
		"garbage":   {func(t *testing.T, path string) { write(t, path, []byte("garbage")) }, "key set is"},
		"empty":     {func(t *testing.T, path string) { write(t, path, nil) }, "key set is"},
		"no keys":   {func(t *testing.T, path string) { write(t, path, []byte(`{"keys":[]}`)) }, "no usable key"},
		"too large": {func(t *testing.T, path string) { write(t, path, bytes.Repeat([]byte(" "), 1<<20+1)) }, "larger than"},
		"a folder": {func(t *testing.T, path string) {
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.Mkdir(path, 0o700))
		}, "not a regular file"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serveFile(t)
				token := f.token()
				c.damage(t, f.path)
				for range 10 {
					time.Sleep(time.Second)
					f.accepts(token)
					f.accepts(f.token())
				}
				assert.Contains(t, f.status().Keys.LastError, c.text)
				assert.True(t, f.status().Ready)
				// Its key may be in the file that nobody can read.
				f.refuses(f.stranger(1), persauth.ErrUnavailable)
				assert.Equal(t, 1, f.log.lines("cannot be refreshed"))

				require.NoError(t, os.RemoveAll(f.path))
				f.iss.Rotate()
				write(t, f.path, f.iss.JWKS())
				time.Sleep(time.Second)
				f.accepts(f.token())
				assert.Empty(t, f.status().Keys.LastError)
			})
		})
	}
}

// The file is read again at most once a second, however many tokens come.
func TestFileKeysRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serveFile(t)
		for range 100 {
			f.accepts(f.token())
			time.Sleep(50 * time.Millisecond)
		}
		assert.LessOrEqual(t, f.status().Counters.Keys.Refreshes, uint64(5))
		before := f.status().Counters.Keys.Refreshes
		f.v.Close()
		time.Sleep(time.Minute)
		f.accepts(f.token())
		assert.Equal(t, before, f.status().Counters.Keys.Refreshes)
	})
}

// What Status gives belongs to the caller, who may change it.
func TestStatusIsACopy(t *testing.T) {
	v := holding(t, setOf(string(keyFor("EdDSA").JWK()), `{"kty":"oct"}`))
	token := tokenWith(keyFor("EdDSA"), goodClaims)
	s := v.Status()
	s.Keys.Keys[0].Algorithms[0] = "none"
	s.Keys.Skipped[0].Problem = ""
	answers(t, v, token, nil)
	s = v.Status()
	assert.Equal(t, []string{"EdDSA"}, s.Keys.Keys[0].Algorithms)
	assert.NotEmpty(t, s.Keys.Skipped[0].Problem)
}
