package persauthtest_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// read returns the files of a folder.
func read(t *testing.T, folder string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		all[e.Name()], err = os.ReadFile(filepath.Join(folder, e.Name()))
		require.NoError(t, err)
	}
	return all
}

// The files are what they say: a verifier that has the key set alone says of each
// token what is expected, now and in years.
func TestWriteFixtures(t *testing.T) {
	for name, options := range map[string][]persauthtest.IssuerOption{
		"usual":        nil,
		"one key":      {persauthtest.WithAlgorithms("ES384"), persauthtest.WithSeed("mine")},
		"own keys":     {persauthtest.WithKeys(persauthtest.KeyFS(os.DirFS("testdata"), "key.pem"))},
		"own settings": {persauthtest.WithIssuer("https://pers.example"), persauthtest.WithAudience("shop"), persauthtest.WithTenant("acme")},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "new")
			persauthtest.WriteFixtures(t, folder, options...)
			files := read(t, folder)
			again := t.TempDir()
			persauthtest.WriteFixtures(t, again, options...)
			assert.Equal(t, files, read(t, again), "the same options make other bytes")

			cfg := persauth.Config{Keys: persauth.StaticKeys(files["jwks.json"])}
			if name == "own settings" {
				cfg.Issuer, cfg.Audience, cfg.Tenants = "https://pers.example", "shop", []string{"acme"}
			}
			v, err := persauth.New(cfg)
			require.NoError(t, err)
			t.Cleanup(v.Close)
			seen := make(map[string]bool)
			for line := range bytes.Lines(files["tokens.ndjson"]) {
				var f persauthtest.Fixture
				require.NoError(t, json.Unmarshal(line, &f))
				require.False(t, seen[f.Name], f.Name)
				seen[f.Name] = true
				require.NotEmpty(t, f.Why, f.Name)
				_, err := v.Verify(t.Context(), f.Token)
				assert.Equal(t, f.Error, persauth.Code(err), "%s: %v", f.Name, err)
				assert.Equal(t, f.Expect == "valid", err == nil, f.Name)
				assert.Equal(t, f.Expect == "unknown-key", f.Error == "unknown_key", f.Name)
				assert.Equal(t, f.Expect == "valid", f.Rule == "", f.Name)
			}
			assert.Greater(t, len(seen), 35)
			// The private keys are the ones that signed.
			keys, err := persauth.InspectKeys(files["jwks.json"])
			require.NoError(t, err)
			require.Len(t, files, len(keys)+2)
			for file, content := range files {
				if filepath.Ext(file) != ".pem" {
					continue
				}
				private, err := persauthtest.ReadKeys(persauthtest.KeyBytes(content))
				require.NoError(t, err)
				thumbprints := make([]string, 0, len(keys))
				for _, k := range keys {
					thumbprints = append(thumbprints, k.Thumbprint)
				}
				assert.Contains(t, thumbprints, private[0].Thumbprint())
				info, err := os.Stat(filepath.Join(folder, file))
				require.NoError(t, err)
				assert.Zero(t, info.Mode().Perm()&0o077)
			}
		})
	}
}
