package main

// The fleet from the shell, on a real store.

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/persauth/persauth/fleet"
	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fleetSecret = "a secret of the fleet, 32 bytes or more"

// startStore starts a store, and returns its URL.
func startStore(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("redis-server is not installed")
		}
		t.Skip("redis-server is not installed")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().(*net.TCPAddr)
	l.Close()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(address.Port), "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address.String())
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return "redis://" + address.String()
}

func TestFleetFromTheShell(t *testing.T) {
	url := startStore(t)
	env := []string{"PERSAUTH_FLEET_URL", url, "PERSAUTH_FLEET_SECRET", fleetSecret}
	iss := persauthtest.NewIssuer(t)
	store, err := fleet.Open(fleet.Options{URL: url, Secret: []byte(fleetSecret)})
	require.NoError(t, err)
	t.Cleanup(store.Close)
	v := iss.Verifier(func(cfg *persauth.Config) { cfg.Fleet = store })
	token := iss.Token(map[string]any{"sub": "alice", "iat": time.Now().Add(-time.Minute).Unix()})
	_, err = v.Verify(t.Context(), token)
	require.NoError(t, err)
	require.NoError(t, v.Warm(t.Context()))

	refused := func(want bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := v.Verify(t.Context(), token)
			return (err != nil) == want
		}, 5*time.Second, 5*time.Millisecond)
	}
	for _, c := range []struct {
		args  []string
		stdin string
		says  string
	}{
		{[]string{"--subject", "alice", "--issued-before", "now"}, "", "subject alice, issued before"},
		{[]string{"--token"}, token + "\n", "a token"},
		{[]string{"--subject", "alice", "--tenant", persauthtest.DefaultTenant}, "", "subject alice, tenant " + persauthtest.DefaultTenant},
	} {
		got := call(t, c.stdin, env, append([]string{"revoke"}, c.args...)...)
		require.Equal(t, exitValid, got.status, got.stderr)
		assert.Contains(t, got.out, "revoked, "+c.says)
		assert.NotContains(t, got.out+got.stderr, token)
		refused(true)
		args := c.args
		if len(args) == 4 && args[3] == "now" {
			args = args[:2] // whatever the time was
		}
		got = call(t, c.stdin, env, append([]string{"unrevoke"}, args...)...)
		require.Equal(t, exitValid, got.status, got.stderr)
		assert.Contains(t, got.out, "taken back")
		refused(false)
	}

	got := call(t, "", env, "fleet", "status")
	require.Equal(t, exitValid, got.status, got.stderr)
	for _, text := range []string{"1 running", "6 entries", "taken back, a token", "revoked, subject alice, issued before 20", "9400 left"} {
		assert.Contains(t, got.out, text)
	}
	got = call(t, "", env, "fleet", "status", "--json")
	require.Equal(t, exitValid, got.status, got.stderr)
	var report struct {
		Running int `json:"running"`
		Latest  []struct {
			Revoked bool   `json:"revoked"`
			Subject string `json:"subject"`
		} `json:"latest"`
	}
	decoder := json.NewDecoder(strings.NewReader(got.out))
	require.NoError(t, decoder.Decode(&report))
	assert.False(t, decoder.More())
	assert.Equal(t, 1, report.Running)
	require.Len(t, report.Latest, 6)
	assert.Equal(t, "alice", report.Latest[0].Subject)
	assert.False(t, report.Latest[0].Revoked)
}

func TestFleetFromTheShellWithoutOne(t *testing.T) {
	nowhere := []string{"PERSAUTH_FLEET_URL", "redis://127.0.0.1:1", "PERSAUTH_FLEET_SECRET", fleetSecret}
	for _, c := range []struct {
		name   string
		env    []string
		stdin  string
		args   []string
		status int
		says   string
	}{
		{"no fleet", nil, "", []string{"fleet", "status"}, exitUsage, "there is no fleet"},
		{"no secret", nowhere[:2], "", []string{"fleet", "status"}, exitUsage, "Secret has less than 32 bytes"},
		{"no store", nowhere, "", []string{"fleet", "status"}, exitUnknown, "store"},
		{"no store to revoke", nowhere, "", []string{"revoke", "--subject", "alice"}, exitUnknown, "no answer of the store"},
		{"nothing named", nowhere, "", []string{"revoke"}, exitUsage, "nothing is named"},
		{"only a time", nowhere, "", []string{"revoke", "--issued-before", "now"}, exitUsage, "nothing is named"},
		{"no token", nowhere, "", []string{"revoke", "--token"}, exitUsage, "no token on standard input"},
		{"not a token", nowhere, "hello\n", []string{"revoke", "--token"}, exitUsage, ""},
		{"no time", nowhere, "", []string{"revoke", "--subject", "alice", "--issued-before", "soon"}, exitUsage, "issued-before"},
		{"an empty name", nowhere, "", []string{"unrevoke", "--subject", ""}, exitUsage, "subject"},
		{"a file that is not there", nowhere, "", []string{"fleet", "status", "--config", "missing.yaml"}, exitUsage, "missing.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := call(t, c.stdin, c.env, c.args...)
			assert.Equal(t, c.status, got.status, got.stderr)
			assert.Contains(t, got.stderr, c.says)
			assert.NotContains(t, got.stderr, fleetSecret)
		})
	}
}
