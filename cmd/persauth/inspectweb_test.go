package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startPage runs inspect --web until the test ends, and returns the address.
func startPage(t *testing.T, env []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	status := make(chan int, 1)
	go func() {
		defer writer.Close()
		getenv := func(name string) string {
			for i := 0; i < len(env); i += 2 {
				if env[i] == name {
					return env[i+1]
				}
			}
			return ""
		}
		status <- run(ctx, append([]string{"inspect", "--web", "--addr", "127.0.0.1:0"}, args...), strings.NewReader(""), writer, io.Discard, getenv)
	}()
	said, err := bufio.NewReader(reader).ReadString('\n')
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		assert.Equal(t, exitInterrupted, <-status)
	})
	at, ok := strings.CutPrefix(strings.TrimSpace(said), "The page is at ")
	require.True(t, ok, said)
	return at
}

func fetched(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, string(body)
}

// The page offers the keys that it is told of, and the project key stays here.
func TestInspectWeb(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this compiles the library to WebAssembly")
	}
	m, stop := startMock(t)
	at := startPage(t, m.env)
	status, page := fetched(t, at)
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, page, "Look at a token")
	_, config := fetched(t, at+"config.json")
	assert.Contains(t, config, "PERS at 127.0.0.1")
	status, keys := fetched(t, at+"keys.json")
	assert.Equal(t, http.StatusOK, status)
	assert.Contains(t, keys, `"kid":"test-key-1"`)
	for _, answer := range []string{page, config, keys} {
		assert.NotContains(t, answer, m.env[3])
	}

	static := startPage(t, nil, "--jwks", fixtureKeys)
	_, keys = fetched(t, static+"keys.json")
	want, err := os.ReadFile(fixtureKeys)
	require.NoError(t, err)
	assert.Equal(t, string(want), keys)

	folder := filepath.Join(t.TempDir(), "page")
	got := call(t, "", m.env, "inspect", "--web", "--out", folder)
	assert.Equal(t, 0, got.status, got.stderr)
	written, err := os.ReadFile(filepath.Join(folder, "keys.json"))
	require.NoError(t, err)
	assert.Contains(t, string(written), `"kid":"test-key-1"`)
	assert.FileExists(t, filepath.Join(folder, "persauth.wasm.gz"))

	stop()
	gone := startPage(t, m.env)
	status, text := fetched(t, gone+"keys.json")
	assert.Equal(t, http.StatusBadGateway, status)
	assert.Contains(t, text, "does not answer")
	assert.NotContains(t, text, m.env[3])
}

func TestInspectWebUsage(t *testing.T) {
	noConnections(t)
	for name, c := range map[string]struct {
		args []string
		env  []string
		want string
	}{
		"a token":              {args: []string{"--web", valid(t)}, want: "--web takes no token"},
		"an address alone":     {args: []string{"--addr", "127.0.0.1:1"}, want: "--addr needs --web"},
		"the mock alone":       {args: []string{"--mock"}, want: "--mock needs --web"},
		"JSON":                 {args: []string{"--web", "--json"}, want: "--json is not for --web"},
		"no such file":         {args: []string{"--web", "--jwks", "/no/such/file"}, want: "/no/such/file"},
		"plain HTTP":           {args: []string{"--web", "--base-url", "http://pers.example"}, env: []string{"PERS_PROJECT_KEY", secretKey}, want: "http"},
		"an address of no one": {args: []string{"--web", "--addr", "127.0.0.1:99999"}, want: "--addr"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "an address of no one" && testing.Short() {
				t.Skip("SKIPPED: -short, and this compiles the library to WebAssembly")
			}
			got := call(t, "", c.env, append([]string{"inspect"}, c.args...)...)
			assert.Equal(t, exitUsage, got.status)
			assert.Contains(t, got.stderr, c.want)
			assert.Empty(t, got.out)
		})
	}
}
