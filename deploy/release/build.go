package main

// What is built: the inspector page, the command for each platform, and what is
// in it.

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

const commandPath = "github.com/persauth/persauth/cmd/persauth"

type readCloser = io.ReadCloser

func newReader(content []byte) readCloser { return io.NopCloser(bytes.NewReader(content)) }

// page puts the inspector's two built files where the command embeds them. They
// are made with the versions of the command's own go.mod, not the workspace's.
func page(ctx context.Context, tree string) error {
	module := filepath.Join(tree, filepath.FromSlash("cmd/persauth"))
	out, err := os.MkdirTemp("", "persauth-page-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	_, err = output(ctx, module, []string{"GOWORK=off", "GOFLAGS=-buildvcs=false", "PERS_PROJECT_KEY="}, "go", "run", ".", "inspect", "--web", "--out", out)
	if err != nil {
		return err
	}
	for _, name := range []string{"persauth.wasm.gz", "wasm_exec.js"} {
		content, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(module, "inspector", "built", name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// commands builds the command for all platforms as "go install …@version" does: out
// of the module proxy, and out of nothing else of this repository.
func (o *options) commands(ctx context.Context, proxy string) error {
	work, err := os.MkdirTemp("", "persauth-build-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	env, err := proxied(ctx, proxy)
	if err != nil {
		return err
	}
	var all []built
	for _, platform := range o.platforms {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("%q is no platform, as in linux/amd64", platform)
		}
		b, err := install(ctx, filepath.Join(work, goos+"-"+goarch), env, o.version, goos, goarch)
		if err != nil {
			return err
		}
		name := strings.Join([]string{"persauth", o.version, goos, goarch}, "_")
		if goos == "windows" {
			name += ".exe"
		}
		if err := os.WriteFile(filepath.Join(o.out, name), b.program, 0o755); err != nil {
			return err
		}
		b.name = name
		all = append(all, b)
	}
	return materials(filepath.Join(o.out, "persauth_"+o.version+".cdx.json"), o.version, all)
}

// proxied is the environment in which our modules come from the folder, and others
// from where they always do.
func proxied(ctx context.Context, proxy string) ([]string, error) {
	usual, err := output(ctx, "", nil, "go", "env", "GOPROXY")
	if err != nil {
		return nil, err
	}
	path := filepath.ToSlash(proxy)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive
	}
	return []string{"GOWORK=off", "GOFLAGS=-trimpath", "GOPROXY=file://" + path + "," + usual, "GONOSUMDB=github.com/persauth/*"}, nil
}

// built is the command for a platform.
type built struct {
	name    string
	program []byte
}

// install is "go install" for a platform, into a module cache and a folder of its
// own: what an earlier release left in the usual cache must not be taken for this.
func install(ctx context.Context, folder string, env []string, version, goos, goarch string) (built, error) {
	cache, err := output(ctx, "", nil, "go", "env", "GOMODCACHE")
	if err != nil {
		return built{}, err
	}
	env = slices.Clone(env)
	for i, setting := range env {
		// What others wrote need not be fetched again.
		if proxy, ok := strings.CutPrefix(setting, "GOPROXY="); ok {
			first, rest, _ := strings.Cut(proxy, ",")
			env[i] = "GOPROXY=" + first + ",file://" + filepath.ToSlash(filepath.Join(cache, "cache", "download")) + "," + rest
		}
	}
	env = append(env, "GOPATH="+folder, "GOMODCACHE="+filepath.Join(folder, "modules"), "GOBIN=", "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	_, err = output(ctx, os.TempDir(), env, "go", "install", "-ldflags=-s -w", commandPath+"@"+version)
	defer func() { _, _ = output(context.WithoutCancel(ctx), "", env, "go", "clean", "-modcache") }()
	if err != nil {
		return built{}, err
	}
	var b built
	err = filepath.WalkDir(filepath.Join(folder, "bin"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			b.program, err = os.ReadFile(path)
		}
		return err
	})
	if err == nil && b.program == nil {
		err = errors.New("go install made nothing")
	}
	return b, err
}

// materials writes a bill of materials: every module that is linked into the
// command, as its own build information says it.
func materials(path, version string, all []built) error {
	root := cyclonedx.Component{BOMRef: "persauth", Type: cyclonedx.ComponentTypeApplication, Name: "persauth", Version: version,
		PackageURL: "pkg:golang/" + commandPath + "@" + version,
		Licenses:   &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "MIT"}}}}
	linked := make(map[string]cyclonedx.Component)
	for _, b := range all {
		info, err := buildinfo.Read(bytes.NewReader(b.program))
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		for _, dep := range info.Deps {
			url := "pkg:golang/" + dep.Path + "@" + dep.Version
			linked[url] = cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: dep.Path, Version: dep.Version, PackageURL: url,
				Properties: &[]cyclonedx.Property{{Name: "go.sum", Value: dep.Sum}}}
		}
		url := "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go")
		linked[url] = cyclonedx.Component{BOMRef: url, Type: cyclonedx.ComponentTypeLibrary, Name: "std", Version: info.GoVersion, PackageURL: url}
	}
	components := make([]cyclonedx.Component, 0, len(linked))
	refs := make([]string, 0, len(linked))
	for _, c := range linked {
		components = append(components, c)
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return cmp.Compare(a.BOMRef, b.BOMRef) })
	for _, c := range components {
		refs = append(refs, c.BOMRef)
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &root}
	bom.Components = &components
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: root.BOMRef, Dependencies: &refs}}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(cyclonedx.NewBOMEncoder(out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(bom), out.Close())
}

// checksums writes SHA256SUMS for all that lies in the folder, in the form of
// sha256sum.
func checksums(folder string) error {
	var lines strings.Builder
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(content), filepath.ToSlash(name))
		return err
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "SHA256SUMS"), []byte(lines.String()), 0o644)
}
