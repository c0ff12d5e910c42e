package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVersion(t *testing.T) {
	noConnections(t)
	got := call(t, "", nil, "version")
	assert.Equal(t, 0, got.status)
	assert.Contains(t, got.out, "persauth devel\n"+runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	got = call(t, "", nil, "version", "--json")
	var a about
	require.NoError(t, json.Unmarshal([]byte(got.out), &a))
	assert.Equal(t, runtime.Version(), a.Go)

	a = readAbout(&debug.BuildInfo{
		Main:     debug.Module{Version: "v1.2.3"},
		Deps:     []*debug.Module{{Path: "example.com/x", Version: "v0.1.0"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}, {Key: "vcs.modified", Value: "true"}},
	})
	assert.Equal(t, "v1.2.3", a.Version)
	assert.Equal(t, map[string]string{"example.com/x": "v0.1.0"}, a.Modules)
	assert.Contains(t, a.String(), "commit abc, changed\n")
	assert.Equal(t, "devel", readAbout(nil).Version)
}
