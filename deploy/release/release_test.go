//go:build !race

package main

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const version = "v0.9.0"

// repository is a clone of this one with its tree as it stands, committed.
func repository(t *testing.T) string {
	t.Helper()
	for _, setting := range []string{"GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"} {
		t.Setenv(setting, "Test")
	}
	for _, setting := range []string{"GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(setting, "test@example.com")
	}
	for _, setting := range []string{"GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"} {
		t.Setenv(setting, "2026-01-02T15:04:05Z")
	}
	ctx := t.Context()
	root, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	require.NoError(t, err)
	folder := filepath.Join(t.TempDir(), "clone")
	names, err := git(ctx, root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	require.NoError(t, err)
	for name := range strings.SplitSeq(strings.TrimSuffix(names, "\x00"), "\x00") {
		info, err := os.Lstat(filepath.Join(root, name))
		if err != nil || !info.Mode().IsRegular() {
			continue // deleted, and not yet committed
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		to := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, content, info.Mode().Perm()))
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"commit", "-q", "-m", "The tree as it stands"}} {
		_, err := git(ctx, folder, args...)
		require.NoError(t, err)
	}
	return folder
}

func released(t *testing.T, repo string, platforms []string, tag bool) string {
	t.Helper()
	o := options{repo: repo, version: version, out: filepath.Join(t.TempDir(), "dist"), platforms: platforms, tag: tag}
	require.NoError(t, o.release(t.Context()))
	return o.out
}

// TestRelease makes a release as one would, and installs it as one would: every
// module out of a proxy on disk, the command from its version alone.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this builds a release")
	}
	// The gate builds the others: the release builds them the same way.
	host := runtime.GOOS + "/" + runtime.GOARCH
	platforms := []string{host}
	repo := repository(t)
	dist := released(t, repo, platforms, true)
	modules, err := ownModules(t.Context(), repo)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(modules), 4)
	env, err := proxied(t.Context(), filepath.Join(dist, "proxy"))
	require.NoError(t, err)

	t.Run("modules", func(t *testing.T) {
		// For all of them together, so that what they share is fetched once.
		cache, err := output(t.Context(), "", nil, "go", "env", "GOMODCACHE")
		require.NoError(t, err)
		path := t.TempDir()
		env := append(slices.Clone(env), "GOFLAGS=-mod=mod -modcacherw -trimpath", "GOMODCACHE="+path)
		for i, setting := range env {
			env[i] = strings.Replace(setting, ",", ",file://"+cache+"/cache/download,", 1)
		}
		for _, m := range modules {
			t.Run(m.path, func(t *testing.T) {
				folder := filepath.Join(dist, "proxy", filepath.FromSlash(m.path), "@v")
				mod, err := os.ReadFile(filepath.Join(folder, version+".mod"))
				require.NoError(t, err)
				assert.NotContains(t, string(mod), "replace")
				assert.NotContains(t, string(mod), "v0.0.0-00010101000000-000000000000")
				names := zipped(t, filepath.Join(folder, version+".zip"))
				for _, other := range modules {
					if other.folder != "" && other != m && m.folder == "" {
						assert.NotContains(t, names, m.path+"@"+version+"/"+other.folder+"/go.mod", "one module in another")
					}
				}
				for _, name := range names {
					assert.NotContains(t, name, "node_modules")
					assert.False(t, strings.HasSuffix(name, "/.git"), name)
				}
				if m.path == commandPath {
					assert.Contains(t, names, m.path+"@"+version+"/inspector/built/persauth.wasm.gz")
					return // installed below
				}
				user := t.TempDir()
				_, err = output(t.Context(), user, env, "go", "mod", "init", "example.com/user")
				require.NoError(t, err)
				program := fmt.Sprintf("package main\n\nimport _ %q\n\nfunc main() {}\n", m.path)
				require.NoError(t, os.WriteFile(filepath.Join(user, "main.go"), []byte(program), 0o600))
				_, err = output(t.Context(), user, env, "go", "get", m.path+"@"+version)
				require.NoError(t, err)
				_, err = output(t.Context(), user, env, "go", "build", "-o", filepath.Join(user, "program"), ".")
				require.NoError(t, err)
			})
		}
	})

	t.Run("the command", func(t *testing.T) {
		program := filepath.Join(dist, strings.Join([]string{"persauth", version, runtime.GOOS, runtime.GOARCH}, "_"))
		run := func(args ...string) string {
			c := exec.CommandContext(t.Context(), program, args...)
			c.Env = []string{"PATH=/nonexistent", "HOME=" + t.TempDir()} // no Go, and no sources
			out, err := c.CombinedOutput()
			require.NoError(t, err, "%s", out)
			return string(out)
		}
		assert.Contains(t, run("version"), "persauth "+version+"\n")
		page := t.TempDir()
		run("inspect", "--web", "--out", page)
		config, err := os.ReadFile(filepath.Join(page, "config.json"))
		require.NoError(t, err)
		assert.Contains(t, string(config), version)
		raw, err := os.ReadFile(program)
		require.NoError(t, err)
		for _, path := range []string{repo, dist, os.Getenv("HOME")} {
			assert.False(t, bytes.Contains(raw, []byte(path+"/")), "a path of this machine is in the program")
		}
	})

	t.Run("the bill of materials", func(t *testing.T) {
		file, err := os.Open(filepath.Join(dist, "persauth_"+version+".cdx.json"))
		require.NoError(t, err)
		defer file.Close()
		var bom cyclonedx.BOM
		require.NoError(t, cyclonedx.NewBOMDecoder(file, cyclonedx.BOMFileFormatJSON).Decode(&bom))
		assert.Equal(t, version, bom.Metadata.Component.Version)
		var names []string
		for _, c := range *bom.Components {
			names = append(names, c.Name)
			assert.NotEmpty(t, c.Version, c.Name)
		}
		for _, name := range []string{"github.com/persauth/persauth", "github.com/go-json-experiment/json", "github.com/spf13/cobra", "std"} {
			assert.Contains(t, names, name)
		}
	})

	t.Run("the checksums", func(t *testing.T) {
		check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
		check.Dir = dist
		out, err := check.CombinedOutput()
		require.NoError(t, err, "%s", out)
		sums, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		require.NoError(t, err)
		for _, platform := range platforms {
			assert.Contains(t, string(sums), "persauth_"+version+"_"+strings.ReplaceAll(platform, "/", "_"))
		}
	})

	t.Run("the tags", func(t *testing.T) {
		for _, m := range modules {
			mod, err := git(t.Context(), repo, "show", m.tag(version)+":"+strings.TrimPrefix(m.folder+"/go.mod", "/"))
			require.NoError(t, err)
			want, err := os.ReadFile(filepath.Join(dist, "proxy", filepath.FromSlash(m.path), "@v", version+".mod"))
			require.NoError(t, err)
			assert.Equal(t, strings.TrimSpace(string(want)), mod)
		}
		// The tree of the tag builds by itself, before anything is published.
		tagged, drop, err := worktree(t.Context(), repo, version)
		require.NoError(t, err)
		defer drop()
		_, err = output(t.Context(), tagged, []string{"GOPROXY=off", "GOFLAGS=-buildvcs=false"}, "go", "vet", "./persauthtest")
		require.NoError(t, err)
		log, err := git(t.Context(), repo, "show", version+":CHANGELOG.md")
		require.NoError(t, err)
		assert.Contains(t, log, "## Unreleased\n\n## "+version+" - 2026-01-02\n")
		status, err := git(t.Context(), repo, "status", "--porcelain")
		require.NoError(t, err)
		assert.Empty(t, status, "the tree itself stays as it was")
	})

	t.Run("the same twice", func(t *testing.T) {
		if os.Getenv("CI") == "true" {
			t.Setenv("GOCACHE", t.TempDir()) // nothing of the first is used again
		}
		first, err := os.ReadFile(filepath.Join(dist, "SHA256SUMS"))
		require.NoError(t, err)
		elsewhere := filepath.Join(t.TempDir(), "another", "clone")
		_, err = git(t.Context(), "", "clone", "-q", repo, elsewhere)
		require.NoError(t, err)
		again, err := os.ReadFile(filepath.Join(released(t, elsewhere, []string{host}, false), "SHA256SUMS"))
		require.NoError(t, err)
		assert.Equal(t, string(first), string(again))
	})

	t.Run("the API", func(t *testing.T) {
		o := options{repo: repo}
		said := func(base string) (string, error) {
			var out strings.Builder
			err := o.compare(t.Context(), base, &out)
			return out.String(), err
		}
		out, err := said("")
		require.NoError(t, err)
		assert.Equal(t, "Changes of the API since "+version+"\n", out)
		write := func(text string) {
			require.NoError(t, os.WriteFile(filepath.Join(repo, "more.go"), []byte("package persauth\n\n"+text), 0o600))
		}
		write("// NewThing is new.\nfunc NewThing() {}\n")
		out, err = said("")
		require.NoError(t, err)
		assert.Contains(t, out, "NewThing: added")
		for _, args := range [][]string{{"add", "-A"}, {"commit", "-q", "-m", "More"}, {"tag", "v1.0.0"}} {
			_, err := git(t.Context(), repo, args...)
			require.NoError(t, err)
		}
		write("// NewThing is another.\nfunc NewThing(int) {}\n")
		out, err = said("")
		require.ErrorIs(t, err, errIncompatible)
		assert.Contains(t, out, "NewThing: changed from func() to func(int)")
	})
}

func zipped(t *testing.T, path string) (names []string) {
	t.Helper()
	r, err := zip.OpenReader(path)
	require.NoError(t, err)
	defer r.Close()
	for _, f := range r.File {
		names = append(names, f.Name)
	}
	return names
}

// What cannot be released says why, and nothing is left behind.
func TestRefused(t *testing.T) {
	folder := t.TempDir()
	for _, args := range [][]string{{"init", "-q"}, {"-c", "user.name=T", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "x"}} {
		_, err := git(t.Context(), folder, args...)
		require.NoError(t, err)
	}
	out := filepath.Join(t.TempDir(), "dist")
	for name, o := range map[string]options{
		"want one as in v1.2.3":  {version: "1.2.3"},
		"other module paths":     {version: "v2.0.0"},
		"is there already":       {version: "v1.0.0", out: folder},
		"go.work: no such file":  {version: "v1.0.0"},
		"want one as in v1.2.3 ": {version: "v1.2"},
	} {
		o.repo = folder
		if o.out == "" {
			o.out = out
		}
		assert.ErrorContains(t, o.release(t.Context()), strings.TrimSpace(name))
	}
	require.NoError(t, os.WriteFile(filepath.Join(folder, "new"), nil, 0o600))
	o := options{repo: folder, version: "v1.0.0", out: out}
	assert.ErrorContains(t, o.release(t.Context()), "not committed")
	trees, err := git(t.Context(), folder, "worktree", "list")
	require.NoError(t, err)
	assert.Len(t, strings.Split(trees, "\n"), 1)
}

func TestChangelog(t *testing.T) {
	for name, text := range map[string]string{"no heading": "# Changelog\n", "nothing new": "# Changelog\n\n## Unreleased\n\n## v0.1.0 - 2026-01-01\n- x\n"} {
		path := filepath.Join(t.TempDir(), "CHANGELOG.md")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		assert.Error(t, changelog(path, "v0.2.0", time.Unix(0, 0)), name)
	}
}
