package main

// What a change does to the API: the exported names of each package, now and at
// an earlier revision.

import (
	"context"
	"errors"
	"fmt"
	"go/types"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"golang.org/x/exp/apidiff"
	"golang.org/x/tools/go/packages"
)

// errIncompatible is the answer to a change that breaks those who use a version
// that promised not to (semver.org §8).
var errIncompatible = errors.New("the API is no longer compatible")

// compare writes what changed since base. Changes that are not compatible are an
// error from v1.0.0 on.
func (o *options) compare(ctx context.Context, base string, out io.Writer) error {
	if base == "" {
		// The root's tags alone: those of the other modules are at the same commits.
		tags, err := git(ctx, o.repo, "tag", "--list", "v[0-9]*", "--sort=-v:refname")
		if err != nil {
			return err
		}
		if base, _, _ = strings.Cut(tags, "\n"); base == "" {
			fmt.Fprintln(out, "There is no release to compare with.")
			return nil
		}
	}
	before, drop, err := worktree(ctx, o.repo, base)
	if err != nil {
		return err
	}
	defer drop()
	old, err := exported(ctx, before)
	if err != nil {
		return fmt.Errorf("%s: %w", base, err)
	}
	now, err := exported(ctx, o.repo)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Changes of the API since %s\n", base)
	broken := false
	for _, path := range slices.Sorted(maps.Keys(union(old, now))) {
		switch {
		case old[path] == nil:
			fmt.Fprintf(out, "\n%s: new\n", path)
		case now[path] == nil:
			broken = true
			fmt.Fprintf(out, "\n%s: gone (not compatible)\n", path)
		default:
			report := apidiff.Changes(old[path], now[path])
			if len(report.Changes) > 0 {
				fmt.Fprintf(out, "\n%s\n%s", path, report)
			}
			for _, change := range report.Changes {
				broken = broken || !change.Compatible
			}
		}
	}
	if broken && !strings.HasPrefix(base, "v0.") {
		return errIncompatible
	}
	return nil
}

func union(a, b map[string]*types.Package) map[string]*types.Package {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}

// exported are the packages that others may import.
func exported(ctx context.Context, tree string) (map[string]*types.Package, error) {
	modules, err := ownModules(ctx, tree)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*types.Package)
	for _, m := range modules {
		found, err := packages.Load(&packages.Config{Context: ctx, Dir: m.dir,
			// So that what was compiled for one tree serves for the other.
			Env:  append(os.Environ(), "GOFLAGS=-trimpath -buildvcs=false"),
			Mode: packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedExportFile}, "./...")
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if p.Name == "main" || strings.Contains("/"+p.PkgPath+"/", "/internal/") {
				continue
			}
			if len(p.Errors) > 0 {
				return nil, fmt.Errorf("%s: %w", p.PkgPath, p.Errors[0])
			}
			all[p.PkgPath] = p.Types
		}
	}
	return all, nil
}
