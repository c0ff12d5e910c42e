package main

// The modules of the repository: which there are, in what order they build on
// each other, and what a release makes of each.

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

// tools are modules that nobody but this repository uses, examples among them: they
// get no tag.
var tools = []string{"bench", "deploy", "examples/frameworks"}

// ownModule is a module of the repository.
type ownModule struct {
	folder string // in the repository, with slashes; "" for the root
	dir    string // on disk
	path   string
	file   *modfile.File

	zipHash, modHash string // once it is released
}

// tag is the name of the tag that makes it a version (go.dev/ref/mod#vcs-version).
func (m *ownModule) tag(version string) string {
	if m.folder == "" {
		return version
	}
	return m.folder + "/" + version
}

// ownModules are those of the workspace, each after those that it requires.
func ownModules(_ context.Context, tree string) ([]*ownModule, error) {
	body, err := os.ReadFile(filepath.Join(tree, "go.work"))
	if err != nil {
		return nil, err
	}
	work, err := modfile.ParseWork("go.work", body, nil)
	if err != nil {
		return nil, err
	}
	var found []*ownModule
	for _, use := range work.Use {
		folder := strings.TrimPrefix(filepath.ToSlash(filepath.Clean(use.Path)), "./")
		if folder == "." {
			folder = ""
		}
		if slices.Contains(tools, folder) {
			continue
		}
		m := &ownModule{folder: folder, dir: filepath.Join(tree, filepath.FromSlash(folder))}
		body, err := os.ReadFile(filepath.Join(m.dir, "go.mod"))
		if err != nil {
			return nil, err
		}
		if m.file, err = modfile.Parse("go.mod", body, nil); err != nil {
			return nil, err
		}
		m.path = m.file.Module.Mod.Path
		found = append(found, m)
	}
	slices.SortFunc(found, func(a, b *ownModule) int { return cmp.Compare(a.path, b.path) })
	var ordered []*ownModule
	for len(ordered) < len(found) {
		before := len(ordered)
		for _, m := range found {
			if !slices.Contains(ordered, m) && !slices.ContainsFunc(m.file.Require, func(r *modfile.Require) bool {
				own := byPath(found, r.Mod.Path)
				return own != nil && !slices.Contains(ordered, own)
			}) {
				ordered = append(ordered, m)
			}
		}
		if len(ordered) == before {
			return nil, fmt.Errorf("the modules require each other in a circle, or one that gets no tag")
		}
	}
	return ordered, nil
}

// workspace lets the workspace of the release find its own modules at their new
// version before they are published. It is not part of a module.
func workspace(tree, version string, all []*ownModule) error {
	path := filepath.Join(tree, "go.work")
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	work, err := modfile.ParseWork("go.work", body, nil)
	if err != nil {
		return err
	}
	for _, m := range all {
		if err := work.AddReplace(m.path, version, "./"+m.folder, ""); err != nil {
			return err
		}
	}
	work.SortBlocks()
	work.Cleanup()
	return os.WriteFile(path, modfile.Format(work.Syntax), 0o644)
}

func byPath(all []*ownModule, path string) *ownModule {
	for _, m := range all {
		if m.path == path {
			return m
		}
	}
	return nil
}

// release makes the module one that can be installed: it requires the others at
// the version, replaces nothing, and lies in the proxy.
func (m *ownModule) release(proxy, version string, when time.Time, all []*ownModule) error {
	for _, replace := range slices.Clone(m.file.Replace) {
		if byPath(all, replace.Old.Path) == nil {
			return fmt.Errorf("go.mod replaces %s: no module that does can be installed", replace.Old.Path)
		}
		if err := m.file.DropReplace(replace.Old.Path, replace.Old.Version); err != nil {
			return err
		}
	}
	var sums []string
	for _, require := range slices.Clone(m.file.Require) {
		own := byPath(all, require.Mod.Path)
		if own == nil {
			continue
		}
		if err := m.file.AddRequire(own.path, version); err != nil {
			return err
		}
		sums = append(sums, fmt.Sprintf("%s %s %s", own.path, version, own.zipHash), fmt.Sprintf("%s %s/go.mod %s", own.path, version, own.modHash))
	}
	m.file.Cleanup()
	body, err := m.file.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(m.dir, "go.mod"), body, 0o644); err != nil {
		return err
	}
	if err := addSums(filepath.Join(m.dir, "go.sum"), sums); err != nil {
		return err
	}
	return m.publish(proxy, version, when, body)
}

// addSums adds lines to a go.sum, which is sorted.
func addSums(path string, sums []string) error {
	if len(sums) == 0 {
		return nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	lines := append(strings.Split(strings.TrimSpace(string(body)), "\n"), sums...)
	slices.Sort(lines)
	return os.WriteFile(path, []byte(strings.Join(slices.Compact(lines), "\n")+"\n"), 0o644)
}

// publish writes the files of the module proxy protocol (go.dev/ref/mod#goproxy-protocol).
func (m *ownModule) publish(proxy, version string, when time.Time, mod []byte) error {
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	folder := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	info, err := json.Marshal(map[string]string{"Version": version, "Time": when.Format(time.RFC3339)})
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"list": []byte(version + "\n"), version + ".info": info, version + ".mod": mod} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	packed := filepath.Join(folder, version+".zip")
	out, err := os.Create(packed)
	if err != nil {
		return err
	}
	if err := modzip.CreateFromDir(out, module.Version{Path: m.path, Version: version}, m.dir); err != nil {
		out.Close()
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	if m.zipHash, err = dirhash.HashZip(packed, dirhash.Hash1); err != nil {
		return err
	}
	m.modHash, err = dirhash.Hash1([]string{"go.mod"}, func(string) (readCloser, error) { return newReader(mod), nil })
	return err
}

// changelog makes a version of what is unreleased.
func changelog(path, version string, when time.Time) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	const heading = "## Unreleased\n"
	before, after, ok := strings.Cut(string(body), heading)
	if !ok {
		return fmt.Errorf("%s has no %q", filepath.Base(path), strings.TrimSpace(heading))
	}
	if section, _, _ := strings.Cut(after, "\n## "); strings.TrimSpace(section) == "" {
		return fmt.Errorf("%s tells nothing of what is new", filepath.Base(path))
	}
	text := before + heading + "\n## " + version + " - " + when.Format(time.DateOnly) + "\n" + after
	return os.WriteFile(path, []byte(text), 0o644)
}

// commitTime is when the commit was made: nothing of a release depends on when
// it is built.
func commitTime(ctx context.Context, tree string) (time.Time, error) {
	seconds, err := git(ctx, tree, "log", "-1", "--format=%ct")
	if err != nil {
		return time.Time{}, err
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	return time.Unix(n, 0).UTC(), err
}

// commit records the release, off every branch.
func commit(ctx context.Context, tree, version string, when time.Time) (string, error) {
	if _, err := git(ctx, tree, "add", "-A"); err != nil {
		return "", err
	}
	// What is built is ignored everywhere else.
	if _, err := git(ctx, tree, "add", "-f", "cmd/persauth/inspector/built"); err != nil {
		return "", err
	}
	date := "GIT_COMMITTER_DATE=" + when.Format(time.RFC3339)
	if _, err := output(ctx, tree, []string{date}, "git", "commit", "-q", "--date", when.Format(time.RFC3339), "-m", "Release "+version); err != nil {
		return "", err
	}
	return git(ctx, tree, "rev-parse", "HEAD")
}
