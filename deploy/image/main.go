// Command image builds the container image of persauth, without Docker and
// without a daemon: an OCI image layout (as a tar archive) with an image for each
// platform.
//
//	go run ./deploy/image --out persauth.oci.tar
//	podman load -i persauth.oci.tar
//	skopeo copy --all oci-archive:persauth.oci.tar docker://registry.example.com/persauth:v1
//
// The same sources, Go and version make the same bytes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("image: ")
	out := flag.String("out", "persauth.oci.tar", "write the image to `FILE`")
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "build for each platform of `LIST`")
	source := flag.String("source", "./cmd/persauth", "the package of the command")
	version := flag.String("version", "devel", "what the label says of the version")
	revision := flag.String("revision", "", "what the label says of the commit")
	flag.Parse()
	if err := run(*out, *platforms, *source, *version, *revision); err != nil {
		log.Fatal(err)
	}
}

func run(out, platforms, source, version, revision string) error {
	work, err := os.MkdirTemp("", "persauth-image-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var programs []built
	for _, platform := range strings.Split(platforms, ",") {
		goos, goarch, ok := strings.Cut(platform, "/")
		if !ok {
			return fmt.Errorf("%q is no platform, as in linux/amd64", platform)
		}
		p, err := compile(filepath.Join(work, "persauth"), source, goos, goarch)
		if err != nil {
			return err
		}
		programs = append(programs, p)
	}
	all, err := index(programs, version, revision)
	if err != nil {
		return err
	}
	folder := filepath.Join(work, "layout")
	// One entry under one name: what is copied is the index, with all platforms.
	named := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{Add: all,
		Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": version}}})
	if _, err := layout.Write(folder, named); err != nil {
		return err
	}
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	if err := errors.Join(archive(folder, file), file.Close()); err != nil {
		return err
	}
	digest, err := all.Digest()
	if err != nil {
		return err
	}
	fmt.Printf("%s  %s\n", digest, out)
	return nil
}

// compile builds the program without anything of this machine in it.
func compile(to, source, goos, goarch string) (built, error) {
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch, "GOFLAGS=")
	if message, err := build.CombinedOutput(); err != nil {
		return built{}, fmt.Errorf("%s/%s: %w\n%s", goos, goarch, err, message)
	}
	program, err := os.ReadFile(to)
	return built{goos, goarch, program}, err
}

// timeless is a file system whose files have no time and no owner.
type timeless struct{ fs.FS }

func (t timeless) Open(name string) (fs.File, error) {
	f, err := t.FS.Open(name)
	if err != nil {
		return nil, err
	}
	return timelessFile{f}, nil
}

func (t timeless) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(t.FS, name)
	for i, e := range entries {
		entries[i] = timelessEntry{e}
	}
	return entries, err
}

type timelessFile struct{ fs.File }

func (f timelessFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return timelessInfo{info}, err
}

type timelessEntry struct{ fs.DirEntry }

func (e timelessEntry) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	return timelessInfo{info}, err
}

type timelessInfo struct{ fs.FileInfo }

func (timelessInfo) ModTime() time.Time { return time.Unix(0, 0) }
func (timelessInfo) Sys() any           { return nil }

func (i timelessInfo) Mode() fs.FileMode {
	if i.IsDir() {
		return fs.ModeDir | 0o755
	}
	return 0o644
}
