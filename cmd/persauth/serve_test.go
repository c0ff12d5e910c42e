//go:build unix

package main

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const sidecarConfig = "proxy: nginx\nroutes:\n  - {methods: [GET], path: /me, authenticated: true}\n"

func TestServeUsage(t *testing.T) {
	good := file(t, []byte(sidecarConfig))
	misspelled := file(t, []byte("proxy: nginx\nroutes:\n  - {methods: [GTE], path: /me, authTypes: [admin]}\n  - {methods: [GET], path: /a, tenant: '${TENANT}'}\n"))
	keys := []string{"PERS_PROJECT_KEY", strings.Repeat("ab", 32)}
	assert.Equal(t, result{exitValid, "", ""}, call(t, "", keys, "serve", "--config", good, "--check"))
	for name, row := range map[string]struct {
		env  []string
		args []string
		says string
	}{
		"no configuration": {keys, nil, "--config is missing"},
		"no file":          {keys, []string{"--config", good + "x"}, "no such file"},
		"empty":            {keys, []string{"--config", ""}, "empty"},
		"no keys":          {nil, []string{"--config", good, "--check"}, "no source of keys"},
		"address":          {keys, []string{"--config", good, "--addr", "here", "--check"}, "here"},
		"all faults":       {keys, []string{"--config", file(t, []byte("proxy: x\nroutes: [{methods: [GET], path: /}]\n")), "--check"}, "requires nothing"},
		"no word of ours":  {keys, []string{"--config", misspelled, "--check"}, misspelled + `:3: auth type is admin: want user, business, tenant, system or external; did you mean tenant?`},
		"no method":        {keys, []string{"--config", misspelled, "--check"}, misspelled + `:3: method GTE is not known: want one of HTTP in capitals, or "*"; did you mean GET?`},
		"no value":         {keys, []string{"--config", misspelled, "--check"}, misspelled + `:4: tenant is ${TENANT}: a variable that was not replaced`},
		"argument":         {keys, []string{"--config", good, "more"}, "argument"},
	} {
		got := call(t, "", row.env, append([]string{"serve"}, row.args...)...)
		assert.Equal(t, exitUsage, got.status, name)
		assert.Contains(t, got.stderr, row.says, name)
	}
}

// transcript takes what is written, while others read it.
type transcript struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// It serves for a mock, reads its configuration again on SIGHUP, and ends with 0
// when it is asked to.
func TestServe(t *testing.T) {
	m, _ := startMock(t)
	config := filepath.Join(t.TempDir(), "sidecar.yaml")
	text := sidecarConfig + "pers: {baseURL: " + m.base + "}\n"
	require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	ctx, cancel := context.WithCancel(t.Context())
	var said transcript
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"serve", "--config", config, "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"},
			strings.NewReader(""), io.Discard, &said, func(name string) string {
				if name == m.env[2] {
					return m.env[3]
				}
				return ""
			})
	}()
	wait := func(what string) {
		t.Helper()
		require.Eventually(t, func() bool { return strings.Contains(said.String(), what) }, 10*time.Second, 5*time.Millisecond, "%s", &said)
	}
	wait(`"msg":"serving"`)
	addr := regexp.MustCompile(`"addr":"([^"]+)"`).FindStringSubmatch(said.String())[1]
	token := strings.TrimSpace(call(t, "", nil, "mint").out)
	ask := func() int {
		r, err := http.NewRequest(http.MethodGet, "http://"+addr+"/auth", nil)
		require.NoError(t, err)
		r.Header.Set("X-Original-Method", "GET")
		r.Header.Set("X-Original-URI", "/me")
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	assert.Equal(t, 200, ask())
	require.NoError(t, os.WriteFile(config, []byte(strings.Replace(text, "authenticated: true", "authTypes: [system]", 1)), 0o600))
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGHUP))
	wait("configuration reloaded")
	assert.Equal(t, 403, ask())
	cancel()
	assert.Equal(t, exitValid, <-status)
	assert.NotContains(t, said.String(), m.env[3], "the project key")
	http.DefaultClient.CloseIdleConnections()
}
