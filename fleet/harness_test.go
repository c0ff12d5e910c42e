package fleet_test

// Real servers that tests start, stop and kill.

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/persauth/persauth/fleet"
	"github.com/redis/rueidis"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("PERSAUTH_FLEET_CHILD") != "" {
		runChild()
		return
	}
	goleak.VerifyTestMain(m)
}

// server is a store of the test's own.
type server struct {
	t    testing.TB
	dir  string
	port int
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

// start starts a server without persistence, on a port of its own.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	s := later(t, args...)
	s.run()
	return s
}

// later is a server that is not running yet.
func later(t testing.TB, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "" {
			t.Skip("redis-server is not installed")
		}
		t.Fatal("redis-server is not installed")
	}
	s := &server{t: t, dir: t.TempDir(), port: freePort(t), args: args}
	t.Cleanup(s.kill)
	return s
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts the process and waits until it answers.
func (s *server) run() {
	s.t.Helper()
	args := append([]string{"--port", strconv.Itoa(s.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
		"--dir", s.dir, "--enable-debug-command", "yes"}, s.args...)
	s.runWith(args...)
}

// runWith is run with arguments of the caller's own.
func (s *server) runWith(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.log, &s.log
	require.NoError(s.t, s.cmd.Start())
	require.Eventually(s.t, func() bool {
		c, err := net.Dial("tcp", s.address())
		if err != nil {
			return false
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Second))
		fmt.Fprint(c, "PING\r\n")
		var b [1]byte
		n, _ := c.Read(b[:])
		return n == 1
	}, 10*time.Second, 10*time.Millisecond, "the server does not start")
}

func (s *server) address() string { return "127.0.0.1:" + strconv.Itoa(s.port) }
func (s *server) url() string     { return "redis://" + s.address() }

func (s *server) signal(sig syscall.Signal) { require.NoError(s.t, s.cmd.Process.Signal(sig)) }

// freeze is a black hole: connections stay, and nothing answers.
func (s *server) freeze() { s.signal(syscall.SIGSTOP) }
func (s *server) thaw()   { s.signal(syscall.SIGCONT) }

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

// admin runs a command as an operator, or an attacker, with full access.
func (s *server) admin(args ...string) rueidis.RedisResult {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.address()}, ForceSingleClient: true, DisableCache: true})
	require.NoError(s.t, err)
	defer c.Close()
	return c.Do(context.Background(), c.B().Arbitrary(args...).Build())
}

// do is admin for a command that must succeed.
func (s *server) do(args ...string) {
	s.t.Helper()
	if err := s.admin(args...).Error(); !rueidis.IsRedisNil(err) {
		require.NoError(s.t, err)
	}
}

// keysLike lists the keys that match a pattern.
func (s *server) keysLike(pattern string) []string {
	s.t.Helper()
	keys, err := s.admin("KEYS", pattern).AsStrSlice()
	require.NoError(s.t, err)
	return keys
}

var secret = bytes.Repeat([]byte("s"), 32)

// open opens a store, which is closed at the end.
func open(t testing.TB, url string, changes ...func(*fleet.Options)) *fleet.Store {
	t.Helper()
	o := fleet.Options{URL: url, Secret: secret, Name: "test"}
	for _, change := range changes {
		change(&o)
	}
	s, err := fleet.Open(o)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func (s *server) open(changes ...func(*fleet.Options)) *fleet.Store {
	s.t.Helper()
	return open(s.t, s.url(), changes...)
}

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// dump is the content of the store, and restore puts it back: what a replica has
// that becomes the primary without the last writes, or what an attacker kept.
func (s *server) dump() map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	for _, key := range s.keysLike("*") {
		value, err := s.admin("DUMP", key).ToString()
		require.NoError(s.t, err)
		all[key] = value
	}
	return all
}

func (s *server) restore(all map[string]string) {
	s.t.Helper()
	s.do("FLUSHALL")
	for key, value := range all {
		s.do("RESTORE", key, "0", value)
	}
}

// withPassword is do for a server that wants one.
func (s *server) withPassword(password string, args ...string) {
	s.t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.address()}, Password: password, ForceSingleClient: true, DisableCache: true})
	require.NoError(s.t, err)
	defer c.Close()
	require.NoError(s.t, c.Do(context.Background(), c.B().Arbitrary(args...).Build()).Error())
}

// dropClients closes the connections of all others.
func (s *server) dropClients(password string) {
	s.t.Helper()
	s.withPassword(password, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	s.withPassword(password, "CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
}
