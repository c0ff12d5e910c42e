package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/persauth/persauth/bench/start/keys"
)

// The programs of start embed the keys that the bench signs with. If those
// change, UPDATE=1 go test . writes the file anew.
func TestEmbeddedKeys(t *testing.T) {
	var worlds []*world
	for _, algorithm := range algorithms {
		w, err := newWorld(algorithm)
		require.NoError(t, err)
		worlds = append(worlds, w)
	}
	set := append(keySet(worlds...), '\n')
	if os.Getenv("UPDATE") != "" {
		require.NoError(t, os.WriteFile("start/keys/jwks.json", set, 0o644))
	}
	assert.Equal(t, string(set), string(keys.JWKS))
}
