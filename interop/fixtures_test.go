package interop_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/persauth/persauth/internal/foreign"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A library for JWTs that is not this one says of the written fixtures what they
// say of themselves: the good ones are good, and what any library has to notice,
// it does.
func TestFixturesInNode(t *testing.T) {
	folder, node := foreign.Node(t, ".")
	written := filepath.Join(folder, "fixtures")
	persauthtest.WriteFixtures(t, written)
	out, err := run(t, folder, node, "fixtures.mjs", written)
	require.NoError(t, err, out)
	var said map[string]string
	require.NoError(t, json.Unmarshal([]byte(out), &said))
	file, err := os.Open(filepath.Join(written, "tokens.ndjson"))
	require.NoError(t, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 64<<10)
	checked := 0
	for lines.Scan() {
		var f persauthtest.Fixture
		require.NoError(t, json.Unmarshal(lines.Bytes(), &f))
		require.NotEmpty(t, said[f.Name], f.Name)
		switch {
		case f.Expect == "valid":
			assert.Equal(t, "valid", said[f.Name], f.Name)
		case f.Rule == "jwt":
			assert.NotEqual(t, "valid", said[f.Name], f.Name)
		default:
			continue // it may, or it may not
		}
		checked++
	}
	require.NoError(t, lines.Err())
	assert.Greater(t, checked, 25)
}
