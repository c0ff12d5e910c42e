package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What the command writes, the command itself tells apart.
func TestFixturesCommand(t *testing.T) {
	noConnections(t)
	folder := filepath.Join(t.TempDir(), "fixtures")
	got := call(t, "", nil, "fixtures", folder)
	require.Equal(t, 0, got.status, got.stderr)
	body, err := os.ReadFile(filepath.Join(folder, "tokens.ndjson"))
	require.NoError(t, err)
	good := 0
	for line := range bytes.Lines(body) {
		var f struct{ Name, Expect, Error, Token string }
		require.NoError(t, json.Unmarshal(line, &f))
		got := call(t, "", nil, "verify", "--offline", "--jwks", filepath.Join(folder, "jwks.json"), "--json", f.Token)
		var answer struct {
			Valid bool
			Error string
		}
		require.NoError(t, json.Unmarshal([]byte(got.out), &answer), f.Name)
		assert.Equal(t, f.Expect == "valid", answer.Valid, f.Name)
		assert.Equal(t, f.Error, answer.Error, f.Name)
		if answer.Valid {
			good++
		}
	}
	assert.Equal(t, 12, good)
	again := t.TempDir()
	require.Equal(t, 0, call(t, "", nil, "fixtures", again).status)
	same, err := os.ReadFile(filepath.Join(again, "tokens.ndjson"))
	require.NoError(t, err)
	assert.Equal(t, string(body), string(same))
	require.Equal(t, 0, call(t, "", nil, "fixtures", "--seed", "other", again).status)
	other, err := os.ReadFile(filepath.Join(again, "tokens.ndjson"))
	require.NoError(t, err)
	assert.NotEqual(t, string(body), string(other))

	for name, args := range map[string][]string{"no folder": {"fixtures"}, "two": {"fixtures", "a", "b"}, "an empty one": {"fixtures", ""},
		"no algorithms": {"fixtures", "--algorithms", "", again}, "a file": {"fixtures", filepath.Join(folder, "jwks.json")}} {
		got := call(t, "", nil, args...)
		assert.Equal(t, exitUsage, got.status, name)
		assert.NotEmpty(t, got.stderr, name)
	}
}
