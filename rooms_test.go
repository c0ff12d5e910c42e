package persauth_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const modulePath = "github.com/persauth/persauth"

// roomEdges says which rooms under internal/ each of them may import. What stands
// above imports what stands below it, so there is no circle.
var roomEdges = map[string][]string{
	"redact":     nil,
	"cache":      nil,
	"clock":      nil,
	"strictjson": {"redact"},
	"jose":       {"strictjson", "redact"},
	"persapi":    {"redact"},
	"httpend":    nil,
	"keyring":    {"jose", "clock", "strictjson", "redact"},
	"dpop":       {"jose", "cache", "clock", "strictjson", "redact"},
	// Above the root package: what the doors of RPC systems share.
	"rpcdoor": {"."},
	// For tests alone.
	"foreign":  nil,
	"jsontest": nil,
	"pages":    nil,
}

type listedPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// No arrow between rooms points up: a room knows nothing of those above it, nor of
// the root package. Its tests keep to that, too.
func TestRooms(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./internal/...").Output()
	require.NoError(t, err)
	found := map[string]bool{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		room := path.Base(p.ImportPath)
		allowed, known := roomEdges[room]
		assert.True(t, known, "%s is in no list: say what it may import", p.ImportPath)
		found[room] = true
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if imported == p.ImportPath || imported != modulePath && !strings.HasPrefix(imported, modulePath+"/") {
				continue
			}
			below, isRoom := strings.CutPrefix(imported, modulePath+"/internal/")
			if imported == modulePath {
				below, isRoom = ".", true
			}
			forTests := below == "jsontest" && !slices.Contains(p.Imports, imported)
			assert.True(t, isRoom && (forTests || slices.Contains(allowed, below)), "%s imports %s", p.ImportPath, imported)
		}
	}
	for room, below := range roomEdges {
		assert.True(t, found[room], "there is no room %s", room)
		for _, other := range below {
			assert.NotContains(t, roomEdges[other], room, "a circle")
		}
	}
}
