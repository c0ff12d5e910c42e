package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// set makes a key set of JWKs.
func set(keys ...string) []byte { return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`) }

func newKey(t testing.TB, id, algorithm string) string {
	t.Helper()
	key, err := persauthtest.NewKey(id, algorithm, "seed")
	require.NoError(t, err)
	return string(key.JWK())
}

func TestShow(t *testing.T) {
	path := file(t, set(newKey(t, "one", "ES256"), `{"kty":"oct","kid":"two"}`))
	got := call(t, "", nil, "jwks", "show", path)
	assert.Equal(t, 0, got.status)
	lines := strings.Split(strings.TrimSpace(got.out), "\n")
	require.Len(t, lines, 3)
	assert.Regexp(t, `^KID +TYPE +ALGORITHMS +THUMBPRINT$`, lines[0])
	assert.Regexp(t, `^one +EC P-256 +ES256 +[A-Za-z0-9_-]{43}$`, lines[1])
	assert.Regexp(t, `^two +oct +none +cannot be used: it is symmetric`, lines[2])

	got = call(t, "", nil, "jwks", "show", "--json", path)
	assert.Equal(t, 0, got.status)
	var out struct{ Keys []persauth.KeyInfo }
	require.NoError(t, json.Unmarshal([]byte(got.out), &out))
	require.Len(t, out.Keys, 2)
	assert.Equal(t, []string{"ES256"}, out.Keys[0].Algorithms)
	assert.NotEmpty(t, out.Keys[1].Problem)

	got = call(t, "", nil, "jwks", "show", fixtureKeys)
	assert.Contains(t, got.out, "tJtkk4hWlWGK51PrK3JiW0xiyIyCUwxdPmS2Zwe76O0") // by another implementation
}

func TestLint(t *testing.T) {
	one, two := newKey(t, "one", "ES256"), newKey(t, "two", "EdDSA")
	noKid := strings.Replace(newKey(t, "gone", "ES384"), `"kid":"gone",`, "", 1)
	require.NotContains(t, noKid, "gone")
	for name, c := range map[string]struct {
		set  []byte
		want int
		says []string
		not  string
	}{
		"good":         {set(one, two), 0, []string{"✓ key 0, kid one: EC P-256, for ES256\n", "✓ key 1, kid two: OKP Ed25519, for EdDSA\n"}, "!"},
		"private":      {set(one, `{"kty":"OKP","crv":"Ed25519","kid":"p","x":"AA","d":"AA"}`), 1, []string{"✓ key 0", "✗ key 1, kid p: cannot be used: it is a private key"}, "!"},
		"unknown type": {set(`{"kty":"PQC","kid":"future"}`), 1, []string{"✗ key 0, kid future: cannot be used: keys of type"}, "✓"},
		"not a key":    {set(`"text"`, one), 1, []string{"✗ key 0: cannot be used", "✓ key 1"}, "!"},
		"no keys":      {set(), 1, []string{"✗ the set has no keys"}, "✓"},
		"no kid":       {set(one, noKid), 0, []string{"✓ key 1: EC P-384", "! key 1 has no kid"}, "✗"},
		"kid twice":    {set(one, two, newKey(t, "one", "ES512")), 0, []string{"! keys 0, 2 share the kid one\n"}, "✗"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, "", nil, "jwks", "lint", file(t, c.set))
			assert.Equal(t, c.want, got.status)
			for _, line := range c.says {
				assert.Equal(t, 1, strings.Count(got.out, line), got.out)
			}
			assert.NotContains(t, got.out, c.not)
			assert.Empty(t, got.stderr)
		})
	}
	assert.Equal(t, 0, call(t, "", nil, "jwks", "lint", fixtureKeys).status)
}

// What fetch writes is a key set for everyone: for the command, for the library,
// and as a snapshot.
func TestFetch(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	base, asked := persServer(t, iss)
	env := []string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", base}
	dir := t.TempDir()
	path := filepath.Join(dir, "jwks.json")

	got := call(t, "", env, "jwks", "fetch", "--out", path)
	require.Equal(t, 0, got.status, got.stderr)
	assert.Contains(t, got.out, "test-key-1")
	assert.Contains(t, got.out, path)
	token := iss.UserToken("acme")
	assert.Equal(t, 0, call(t, token, nil, "verify", "--jwks", path).status)
	v, err := persauth.New(persauth.Config{ProjectKey: secretKey, BaseURL: base, Offline: true, Snapshot: path})
	require.NoError(t, err)
	defer v.Close()
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)

	// It says when it was fetched, and as a seed is as old as that.
	body, err := os.ReadFile(path)
	require.NoError(t, err)
	var dated struct {
		Meta struct {
			Fetched time.Time `json:"fetched"`
		} `json:"persauth"`
	}
	require.NoError(t, json.Unmarshal(body, &dated))
	assert.WithinDuration(t, time.Now(), dated.Meta.Fetched, time.Minute)
	seeded, err := persauth.New(persauth.Config{ProjectKey: secretKey, BaseURL: base, Keys: persauth.StaticKeys(body)})
	require.NoError(t, err)
	defer seeded.Close()
	assert.Equal(t, dated.Meta.Fetched.UTC(), seeded.Status().Keys.Loaded)

	// A second time it asks again, whatever the file says, and through a link.
	iss.Rotate()
	link := filepath.Join(dir, "link.json")
	require.NoError(t, os.Symlink(path, link))
	before := asked.Load()
	got = call(t, "", nil, "jwks", "fetch", "--project-key", secretKey, "--base-url", base, "--out", link)
	require.Equal(t, 0, got.status, got.stderr)
	assert.Equal(t, before+1, asked.Load())
	body, err = os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(body), "test-key-2")
	assert.NotContains(t, string(body), secretKey)

	// Without --out, the set alone is on standard output.
	got = call(t, "", env, "jwks", "fetch")
	assert.Equal(t, 0, got.status)
	keys, err := persauth.InspectKeys([]byte(got.out))
	require.NoError(t, err)
	assert.Len(t, keys, 2)
	assert.Contains(t, got.stderr, "test-key-2")

	// What fails changes nothing, and leaves nothing behind.
	down := httptest.NewServer(nil)
	down.Close()
	for name, c := range map[string]struct {
		env  []string
		out  string
		want int
	}{
		"down":             {[]string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", down.URL}, path, 3},
		"another key":      {[]string{"PERS_PROJECT_KEY", "other", "PERS_BASE_URL", base}, path, 3},
		"no such folder":   {env, filepath.Join(dir, "none", "jwks.json"), 2},
		"a folder":         {env, dir, 2},
		"not a plain file": {env, os.DevNull, 2},
	} {
		got := call(t, "", c.env, "jwks", "fetch", "--out", c.out)
		assert.Equal(t, c.want, got.status, name)
		assert.NotEmpty(t, got.stderr, name)
		assert.Empty(t, got.out, name)
	}
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(body), string(after))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 2)
}

// Keys that cannot be used are left out, and named.
func TestFetchSkips(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(set(newKey(t, "good", "ES256"), `{"kty":"oct","kid":"bad"}`))
	}))
	t.Cleanup(server.Close)
	got := call(t, "", []string{"PERS_PROJECT_KEY", secretKey, "PERS_BASE_URL", server.URL}, "jwks", "fetch")
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.stderr, "key 1, kid bad, is left out: it is symmetric")
	assert.NotContains(t, got.out, "bad")
}
