package main

// The command as a whole: what it answers to each way of calling it, and the
// built binary once. This file has what the other tests share, too.

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const fixtureKeys = "../../testdata/jwks.json"

// secretKey is a project key. It must never come out again.
const secretKey = "pk_test_c0ffee0123456789"

// result is what came of one call of the command.
type result struct {
	status      int
	out, stderr string
}

// call runs the command as a shell would. env has names and values by turns.
func call(t testing.TB, stdin string, env []string, args ...string) result {
	t.Helper()
	return callWith(t, t.Context(), strings.NewReader(stdin), env, args...)
}

func callWith(t testing.TB, ctx context.Context, stdin io.Reader, env []string, args ...string) result {
	t.Helper()
	var out, stderr bytes.Buffer
	getenv := func(name string) string {
		for i := 0; i < len(env); i += 2 {
			if env[i] == name {
				return env[i+1]
			}
		}
		return ""
	}
	status := run(ctx, args, stdin, &out, &stderr, getenv)
	assert.NotContains(t, out.String()+stderr.String(), secretKey, "the project key came out")
	return result{status, out.String(), stderr.String()}
}

// file writes content to a new file and returns its path.
func file(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.json")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// fixture is a token that an independent implementation made.
type fixture struct {
	Name, Expect, Why, Token string
}

func fixtures(t testing.TB) (all []fixture) {
	t.Helper()
	body, err := os.ReadFile("../../testdata/tokens.ndjson")
	require.NoError(t, err)
	for line := range bytes.Lines(body) {
		var f fixture
		require.NoError(t, json.Unmarshal(line, &f))
		all = append(all, f)
	}
	require.NotEmpty(t, all)
	return all
}

// payload returns the claims of a token.
func payload(t testing.TB, token string) string {
	t.Helper()
	d, err := decode(line{token: token})
	require.NoError(t, err)
	return string(d.Claims)
}

func valid(t testing.TB) string {
	t.Helper()
	for _, f := range fixtures(t) {
		if f.Expect == "valid" {
			return f.Token
		}
	}
	t.Fatal("no valid fixture")
	return ""
}

// failingTransport makes any connection of the default client fail the test.
type failingTransport struct{ t testing.TB }

func (f failingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	f.t.Errorf("a connection was opened to %s", r.URL)
	return nil, errors.New("no connection here")
}

func noConnections(t *testing.T) {
	before := http.DefaultTransport
	http.DefaultTransport = failingTransport{t}
	t.Cleanup(func() { http.DefaultTransport = before })
}

// Wrong usage is answered with 2, a reason, and no output that could be taken
// for an answer.
func TestUsage(t *testing.T) {
	noConnections(t)
	token := valid(t)
	empty := file(t, []byte(`{"keys":[]}`))
	notSet := file(t, []byte(`<html>`))
	symmetric := file(t, []byte(`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`))
	key := []string{"PERS_PROJECT_KEY", secretKey}
	for name, c := range map[string]struct {
		args []string
		env  []string
		want string
	}{
		"no command":             {args: nil, want: "a command is missing"},
		"unknown command":        {args: []string{"verfy"}, want: "did you mean verify?"},
		"a token for a command":  {args: []string{token}, want: "no such command"},
		"unknown flag":           {args: []string{"verify", "--frobnicate"}, want: "--frobnicate"},
		"two tokens":             {args: []string{"verify", "--jwks", fixtureKeys, token, token}, want: "one token"},
		"no keys":                {args: []string{"verify", token}, want: "there are no keys"},
		"offline, no keys":       {args: []string{"verify", "--offline", token}, env: key, want: "--offline needs --jwks"},
		"no such file":           {args: []string{"verify", "--jwks", "/no/such/file", token}, want: "/no/such/file"},
		"a folder":               {args: []string{"verify", "--jwks", ".", token}, want: "--jwks"},
		"keys from stdin":        {args: []string{"verify", "--jwks", "-", token}, want: "not from standard input"},
		"not a key set":          {args: []string{"verify", "--jwks", notSet, token}, want: "key set"},
		"empty key set":          {args: []string{"verify", "--jwks", empty, token}, want: "no usable key"},
		"unusable keys":          {args: []string{"verify", "--jwks", symmetric, token}, want: "symmetric"},
		"endless key set":        {args: []string{"verify", "--jwks", "/dev/zero", token}, want: "larger than"},
		"json and ndjson":        {args: []string{"verify", "--jwks", fixtureKeys, "--json", "--ndjson", token}, want: "json ndjson"},
		"empty issuer":           {args: []string{"verify", "--jwks", fixtureKeys, "--issuer", "", token}, want: "it is empty"},
		"empty audience":         {args: []string{"verify", "--jwks", fixtureKeys, "--audience=", token}, want: "it is empty"},
		"empty tenant":           {args: []string{"verify", "--jwks", fixtureKeys, "--tenant", "a", "--tenant", "", token}, want: "it is empty"},
		"empty key":              {args: []string{"verify", "--project-key", "", token}, want: "it is empty"},
		"time is a word":         {args: []string{"verify", "--jwks", fixtureKeys, "--now", "yesterday", token}, want: "RFC 3339"},
		"time is NaN":            {args: []string{"verify", "--jwks", fixtureKeys, "--now", "NaN", token}, want: "RFC 3339"},
		"time with an exponent":  {args: []string{"verify", "--jwks", fixtureKeys, "--now", "1e9", token}, want: "RFC 3339"},
		"time in milliseconds":   {args: []string{"verify", "--jwks", fixtureKeys, "--now", "1790000000000", token}, want: "milliseconds"},
		"leeway without unit":    {args: []string{"verify", "--jwks", fixtureKeys, "--leeway", "30", token}, want: "--leeway"},
		"negative leeway":        {args: []string{"verify", "--jwks", fixtureKeys, "--leeway", "-1ns", token}, want: "negative"},
		"leeway too large":       {args: []string{"verify", "--jwks", fixtureKeys, "--leeway", "11m", token}, want: "Leeway"},
		"claims not looked at":   {args: []string{"verify", "--jwks", fixtureKeys, "--signature-only", "--tenant", "a", token}, want: "signature-only"},
		"address without a key":  {args: []string{"verify", "--jwks", fixtureKeys, "--base-url", "https://example.com", token}, want: "project key"},
		"address in plain http":  {args: []string{"verify", "--base-url", "http://example.com", token}, env: key, want: "https"},
		"key with a line break":  {args: []string{"verify", token}, env: []string{"PERS_PROJECT_KEY", secretKey + "\n"}, want: "white space"},
		"explain: unknown flag":  {args: []string{"explain", "--ndjson"}, want: "--ndjson"},
		"explain: no keys":       {args: []string{"explain", token}, want: "there are no keys"},
		"inspect: two tokens":    {args: []string{"inspect", token, token}, want: "one token"},
		"jwks: no command":       {args: []string{"jwks"}, want: "a command is missing"},
		"jwks: unknown command":  {args: []string{"jwks", "lnt"}, want: "did you mean lint?"},
		"jwks show: no file":     {args: []string{"jwks", "show"}, want: "one file"},
		"jwks show: no such":     {args: []string{"jwks", "show", "/no/such/file"}, want: "/no/such/file"},
		"jwks show: not a set":   {args: []string{"jwks", "show", notSet}, want: "key set"},
		"jwks lint: not a set":   {args: []string{"jwks", "lint", notSet}, want: "key set"},
		"jwks fetch: no key":     {args: []string{"jwks", "fetch"}, want: "a project key is needed"},
		"jwks fetch: key loose":  {args: []string{"jwks", "fetch", secretKey}, want: "no argument"},
		"jwks fetch: plain http": {args: []string{"jwks", "fetch", "--base-url", "http://example.com"}, env: key, want: "https"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, token, c.env, c.args...)
			assert.Equal(t, 2, got.status)
			assert.Contains(t, got.stderr, c.want)
			assert.Empty(t, got.out)
			assert.NotContains(t, got.stderr, token)
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"help"}, {"verify", "--help"}, {"explain", "-h"}, {"inspect", "-h"},
		{"jwks", "-h"}, {"jwks", "show", "-h"}, {"jwks", "lint", "-h"}, {"jwks", "fetch", "-h"}, {"mock", "-h"}, {"mint", "-h"}} {
		got := call(t, "", []string{"PERS_PROJECT_KEY", secretKey}, args...)
		assert.Equal(t, 0, got.status, args)
		assert.Contains(t, got.out, "Usage:", args)
		assert.Empty(t, got.stderr, args)
	}
}

// brokenWriter takes nothing.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// Answers that nobody can read are no answers. The input that goes on, and on
// which nobody writes, does not keep the command.
func TestOutputCannotBeWritten(t *testing.T) {
	for _, args := range [][]string{{"verify"}, {"verify", "--json"}, {"verify", "--ndjson"}, {"explain"}} {
		in, stdin := io.Pipe()
		go func() { _, _ = stdin.Write([]byte(valid(t) + "\n")) }()
		var stderr bytes.Buffer
		status := run(t.Context(), append(args, "--jwks", fixtureKeys), in, brokenWriter{}, &stderr, os.Getenv)
		assert.Equal(t, 2, status, args)
		assert.Contains(t, stderr.String(), "no space left", args)
	}
	for _, args := range [][]string{{"--help"}, {"jwks", "show", fixtureKeys}, {"jwks", "lint", fixtureKeys}} {
		assert.Equal(t, 2, run(t.Context(), args, strings.NewReader(""), brokenWriter{}, io.Discard, os.Getenv), args)
	}
}

// brokenReader gives a token, and then fails.
type brokenReader struct{ rest io.Reader }

func (b brokenReader) Read(p []byte) (int, error) {
	if n, err := b.rest.Read(p); err == nil {
		return n, nil
	}
	return 0, errors.New("disk on fire")
}

func TestInputCannotBeRead(t *testing.T) {
	for _, args := range [][]string{{"verify"}, {"verify", "--json"}, {"verify", "--ndjson"}, {"explain"}} {
		got := callWith(t, t.Context(), brokenReader{strings.NewReader(valid(t) + "\n")}, nil, append(args, "--jwks", fixtureKeys)...)
		assert.Equal(t, 2, got.status, args)
		assert.Contains(t, got.stderr, "disk on fire", args)
		assert.Contains(t, got.out, "valid", args) // what was asked before is answered
	}
}

// A command that waits for input ends when it is interrupted.
func TestInterrupted(t *testing.T) {
	for _, args := range [][]string{{"verify"}, {"verify", "--ndjson"}, {"explain"}} {
		ctx, cancel := context.WithCancel(t.Context())
		in, stdin := io.Pipe()
		go func() {
			_, _ = stdin.Write([]byte(valid(t) + "\n"))
			cancel()
		}()
		got := callWith(t, ctx, in, nil, append(args, "--jwks", fixtureKeys)...)
		assert.Equal(t, 130, got.status, args)
		assert.Empty(t, got.stderr, args)
	}
}

// The binary, as a shell sees it.
func TestBinary(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs the signals of Unix")
	}
	binary := filepath.Join(t.TempDir(), "persauth")
	build, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", build)
	start := func(stdin string, args ...string) *exec.Cmd {
		cmd := exec.Command(binary, args...)
		cmd.Env = []string{"PERS_PROJECT_KEY=" + secretKey, "PERS_BASE_URL=http://127.0.0.1:1/v2"}
		cmd.Stdin = strings.NewReader(stdin)
		return cmd
	}
	token := valid(t)
	for _, c := range []struct {
		want  int
		stdin string
		args  []string
	}{
		{0, token, []string{"verify", "--jwks", fixtureKeys, "--offline"}},
		{0, token, []string{"verify", "--jwks", fixtureKeys, "--offline", "--ndjson"}},
		{1, token + "x", []string{"verify", "--jwks", fixtureKeys, "--offline"}},
		{2, token, []string{"verify", "--offline"}},
		{3, token, []string{"verify"}},
		{3, token, []string{"verify", "--ndjson"}},
		{3, "", []string{"jwks", "fetch"}},
	} {
		cmd := start(c.stdin, c.args...)
		_, _ = cmd.Output()
		assert.Equal(t, c.want, cmd.ProcessState.ExitCode(), c.args)
	}

	// SIGINT, while it waits for more input.
	cmd := start("", "verify", "--jwks", fixtureKeys, "--offline", "--ndjson")
	cmd.Stdin = nil
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = io.WriteString(stdin, token+"\n")
	require.NoError(t, err)
	answer, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(answer, `{"valid":true`))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	_ = cmd.Wait()
	assert.Equal(t, 130, cmd.ProcessState.ExitCode())

	// SIGPIPE: nobody reads on, and it ends without a word.
	cmd = start(strings.Repeat(token+"\n", 10_000), "verify", "--jwks", fixtureKeys, "--offline", "--ndjson")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = writer
	require.NoError(t, cmd.Start())
	require.NoError(t, writer.Close())
	require.NoError(t, reader.Close())
	_ = cmd.Wait()
	assert.Equal(t, syscall.SIGPIPE, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	assert.Empty(t, stderr.String())
}
