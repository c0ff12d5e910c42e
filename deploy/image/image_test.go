package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unpacked is the image of a platform, read from the archive as a runtime would.
func unpacked(t *testing.T, archive, platform string) (v1.Image, map[string]file) {
	t.Helper()
	folder := t.TempDir()
	in, err := os.Open(archive)
	require.NoError(t, err)
	defer in.Close()
	for name, f := range files(t, in) {
		to := filepath.Join(folder, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o700))
		if !f.Mode.IsDir() {
			require.NoError(t, os.WriteFile(to, f.content, 0o600))
		}
	}
	all, err := layout.ImageIndexFromPath(folder)
	require.NoError(t, err)
	require.NoError(t, validate.Index(all), "digests and sizes")
	manifest, err := all.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	inner, err := all.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	list, err := inner.IndexManifest()
	require.NoError(t, err)
	for _, m := range list.Manifests {
		if m.Platform.String() == platform {
			image, err := inner.Image(m.Digest)
			require.NoError(t, err)
			flat := mutate.Extract(image)
			defer flat.Close()
			return image, files(t, flat)
		}
	}
	require.FailNow(t, "there is no image", platform)
	return nil, nil
}

type file struct {
	content  []byte
	uid, gid int
	Mode     fs.FileMode
}

func files(t *testing.T, r io.Reader) map[string]file {
	t.Helper()
	all := make(map[string]file)
	for in := tar.NewReader(r); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		assert.Zero(t, h.ModTime.Unix(), "%s has a time", h.Name)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		all[strings.TrimSuffix(h.Name, "/")] = file{content, h.Uid, h.Gid, h.FileInfo().Mode()}
	}
}

// The image holds one static program, runs as nobody, and comes out the same
// twice.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this builds the command for two platforms")
	}
	folder := t.TempDir()
	first, second := filepath.Join(folder, "1.tar"), filepath.Join(folder, "2.tar")
	for _, out := range []string{first, second} {
		require.NoError(t, run(out, "linux/amd64,linux/arm64", "../../cmd/persauth", "v1.2.3", "abc"))
	}
	a, err := os.ReadFile(first)
	require.NoError(t, err)
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(a, b), "the same sources make other bytes")

	for _, arch := range []string{"amd64", "arm64"} {
		t.Run(arch, func(t *testing.T) {
			image, root := unpacked(t, first, "linux/"+arch)
			config, err := image.ConfigFile()
			require.NoError(t, err)
			assert.Equal(t, "65532:65532", config.Config.User)
			assert.Equal(t, []string{"/persauth"}, config.Config.Entrypoint)
			assert.Equal(t, arch, config.Architecture)
			assert.Equal(t, "v1.2.3", config.Config.Labels["org.opencontainers.image.version"])
			names := make([]string, 0, len(root))
			for name, f := range root {
				names = append(names, name)
				assert.Zero(t, f.Mode&(fs.ModeSetuid|fs.ModeSetgid), name)
				assert.Zero(t, f.Mode.Perm()&0o022, "%s can be written by others", name)
				if name != "var/cache/persauth" {
					assert.Zero(t, f.uid, name)
				}
			}
			assert.ElementsMatch(t, []string{"persauth", "etc", "etc/passwd", "etc/group", "etc/persauth", "etc/ssl", "etc/ssl/certs",
				"etc/ssl/certs/ca-certificates.crt", "var", "var/cache", "var/cache/persauth"}, names, "nothing else is in it")
			assert.Equal(t, 65532, root["var/cache/persauth"].uid)
			pool := x509.NewCertPool()
			assert.True(t, pool.AppendCertsFromPEM(root["etc/ssl/certs/ca-certificates.crt"].content))

			program, err := elf.NewFile(bytes.NewReader(root["persauth"].content))
			require.NoError(t, err)
			libraries, err := program.ImportedLibraries()
			require.NoError(t, err)
			assert.Empty(t, libraries, "it is not static")
			for _, p := range program.Progs {
				assert.NotEqual(t, elf.PT_INTERP, p.Type, "it is not static")
			}
			if arch != runtime.GOARCH {
				return
			}
			// The program of the image does what the image calls it for, from an
			// empty root.
			jail := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(jail, "persauth"), root["persauth"].content, 0o700))
			out, err := exec.CommandContext(t.Context(), filepath.Join(jail, "persauth"), append(config.Config.Cmd[:1:1], "--help")...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Contains(t, string(out), "--config")
		})
	}
}

// A certificate store that Go reads, and a manifest that JSON can show: what the
// registry gets.
func TestIndexOfNothing(t *testing.T) {
	all, err := index([]built{{"linux", "amd64", []byte("program")}}, "v1", "")
	require.NoError(t, err)
	raw, err := all.RawManifest()
	require.NoError(t, err)
	var manifest v1.IndexManifest
	require.NoError(t, json.Unmarshal(raw, &manifest))
	require.Len(t, manifest.Manifests, 1)
	assert.Equal(t, "linux/amd64", manifest.Manifests[0].Platform.String())
	assert.Error(t, run(filepath.Join(t.TempDir(), "x"), "linux", "../../cmd/persauth", "", ""))
	assert.Error(t, run(filepath.Join(t.TempDir(), "x"), "linux/vax", "../../cmd/persauth", "", ""))
}
