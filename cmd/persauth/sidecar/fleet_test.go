package sidecar

// Sidecars that share a fleet.

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
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

// Two sidecars on one store: what an operator's program says counts for both.
func TestFleetOfSidecars(t *testing.T) {
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
	url := "redis://" + address.String()

	iss := persauthtest.NewIssuer(t)
	fleetPart := "fleet: {url: '" + url + "', secretFile: fleet.secret, maxLag: 5s, whenBehind: refuse}\n"
	var all []*running
	var o Options
	for range 2 {
		o = options(t, iss, configFor("nginx")+fleetPart)
		write(t, filepath.Dir(o.Config), "fleet.secret", fleetSecret+"\n")
		all = append(all, runSidecar(t, o))
	}
	token := iss.Token(map[string]any{"sub": "alice", "tenantId": tenant})
	for _, s := range all {
		require.Equal(t, 200, decide(t, s.url, "GET", "/me", token))
	}
	fo, err := FleetOptions(o)
	require.NoError(t, err)
	store, err := fleet.Open(fo)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	require.Eventually(t, func() bool {
		return persauth.RevokeInFleet(t.Context(), store, persauth.Revocation{Subject: "alice"}) == nil
	}, 10*time.Second, 50*time.Millisecond)
	for _, s := range all {
		assert.Eventually(t, func() bool { return decide(t, s.url, "GET", "/me", token) == 401 }, 5*time.Second, 5*time.Millisecond)
		assert.Eventually(t, func() bool {
			_, page := get(t, s.admin+"/metrics")
			return strings.Contains(page, "persauth_fleet_members 2") && strings.Contains(page, "persauth_fleet_reachable 1")
		}, 5*time.Second, 50*time.Millisecond)
	}
	require.NoError(t, all[0].stop())
	assert.Eventually(t, func() bool {
		report, err := store.Inspect(t.Context())
		return err == nil && len(report.Members) == 1
	}, 5*time.Second, 50*time.Millisecond, "the one that stopped has left")
}

func TestFleetSettings(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	for name, c := range map[string]struct{ part, says string }{
		"no secret":       {"fleet: {url: 'redis://127.0.0.1:1'}", "Secret"},
		"no url":          {"fleet: {secretFile: fleet.secret}", "url is missing"},
		"a missing file":  {"fleet: {url: 'redis://127.0.0.1:1', secretFile: missing}", "missing"},
		"whenBehind":      {"fleet: {url: 'redis://127.0.0.1:1', secretFile: fleet.secret, whenBehind: perhaps}", "whenBehind"},
		"maxLag":          {"fleet: {url: 'redis://127.0.0.1:1', secretFile: fleet.secret, maxLag: 1h}", "MaxLag"},
		"an unknown word": {"fleet: {address: 'redis://127.0.0.1:1'}", "address"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t, iss, configFor("nginx")+c.part+"\n")
			write(t, filepath.Dir(o.Config), "fleet.secret", fleetSecret)
			require.ErrorContains(t, Check(o), c.says)
		})
	}
}
