// Package foreign helps tests to run programs that others wrote: persauth is held
// against clients and servers that share no code with it.
package foreign

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limit is how long a program may run.
const limit = 5 * time.Minute

// Missing skips a test that lacks a program of others. In CI, where it is there on
// purpose, it fails it.
func Missing(t testing.TB, what string, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s: %v", what, err)
	}
	t.Skipf("SKIPPED, no word on other programs: %s: %v", what, err)
}

// Node puts the files of a folder, with a package.json and its lock file, into a
// folder of their own, and the npm packages beside them.
func Node(t testing.TB, from string) (folder, node string) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this installs npm packages")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		Missing(t, "node, version 20 or later, is needed", err)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		Missing(t, "npm is needed", err)
	}
	folder = t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	if out, err := Run(t, folder, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"); err != nil {
		t.Log(out)
		Missing(t, "npm ci", err)
	}
	return folder, node
}

// GoProgram builds a program of the Go module proxy, as in
// "example.com/cmd/x@v1.2.3", and returns its path.
func GoProgram(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this builds a program")
	}
	folder := t.TempDir()
	command := exec.CommandContext(t.Context(), "go", "install", name)
	command.Dir = folder // outside of every module and workspace
	command.Env = append(os.Environ(), "GOBIN="+folder, "GOWORK=off", "GOFLAGS=")
	if out, err := command.CombinedOutput(); err != nil {
		t.Logf("%s", out)
		Missing(t, "go install "+name, err)
	}
	program, _, _ := strings.Cut(name, "@")
	return filepath.Join(folder, filepath.Base(program))
}

// Run runs a program in a folder, and returns what it wrote: all of it after an
// error, and its standard output otherwise.
func Run(t testing.TB, folder, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	command.Dir = folder
	var stdout, stderr strings.Builder
	command.Stdout, command.Stderr = &stdout, &stderr
	err := command.Run()
	if err != nil {
		return stdout.String() + stderr.String(), err
	}
	return stdout.String(), nil
}

// ModuleDir returns the folder of a module that the one under test needs.
func ModuleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}
