package main

// What is in the image: the program, the certificates that it checks PERS
// with, and nothing else. There is no shell, no package manager and no root.

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is that of the process: nobody, with a number that Kubernetes can hold
// against runAsNonRoot.
const user = 65532

// built is a program for one platform.
type built struct {
	os, arch string
	program  []byte
}

// index makes an image for each program, under one name. The same programs make
// the same bytes: nothing of the machine or of the time is in them.
func index(programs []built, version, revision string) (v1.ImageIndex, error) {
	all := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range programs {
		image, err := image(p, version, revision)
		if err != nil {
			return nil, fmt.Errorf("%s/%s: %w", p.os, p.arch, err)
		}
		all = mutate.AppendManifests(all, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
			Platform: &v1.Platform{OS: p.os, Architecture: p.arch}}})
	}
	return all, nil
}

func image(p built, version, revision string) (v1.Image, error) {
	content, err := layer(p.program)
	if err != nil {
		return nil, err
	}
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
	l, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	with, err := mutate.Append(base, mutate.Addendum{Layer: l, History: v1.History{CreatedBy: "persauth deploy/image"}})
	if err != nil {
		return nil, err
	}
	file, err := with.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = p.os, p.arch
	file.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{
		Entrypoint:   []string{"/persauth"},
		Cmd:          []string{"serve", "--config", "/etc/persauth/sidecar.yaml"},
		User:         fmt.Sprintf("%d:%d", user, user),
		WorkingDir:   "/",
		Env:          []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		ExposedPorts: map[string]struct{}{"9180/tcp": {}, "9181/tcp": {}},
		StopSignal:   "SIGTERM",
		Labels: map[string]string{
			"org.opencontainers.image.title":       "persauth",
			"org.opencontainers.image.description": "Verifies PERS tokens for nginx, Traefik, Caddy and Envoy",
			"org.opencontainers.image.source":      "https://github.com/persauth/persauth",
			"org.opencontainers.image.licenses":    "MIT",
			"org.opencontainers.image.version":     version,
			"org.opencontainers.image.revision":    revision,
		},
	}
	return mutate.ConfigFile(with, file)
}

// layer is the file system as a tar archive.
func layer(program []byte) ([]byte, error) {
	var certificates bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file cannot say it
		}
		if err := pem.Encode(&certificates, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	account := fmt.Sprintf("persauth:x:%d:%d:persauth:/:/nonexistent\n", user, user)
	group := fmt.Sprintf("persauth:x:%d:\n", user)
	files := map[string]struct {
		content []byte
		mode    int64
	}{
		"persauth":                          {program, 0o555},
		"etc/passwd":                        {[]byte(account), 0o444},
		"etc/group":                         {[]byte(group), 0o444},
		"etc/persauth/":                     {nil, 0o555},
		"etc/ssl/certs/ca-certificates.crt": {certificates.Bytes(), 0o444},
		// For a snapshot of the keys: a volume, where the root is read-only.
		"var/cache/persauth/": {nil, 0o700},
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	folders := make(map[string]bool)
	add := func(h *tar.Header, content []byte) error {
		h.ModTime, h.Format = time.Unix(0, 0), tar.FormatUSTAR
		if h.Name == "var/cache/persauth/" {
			h.Uid, h.Gid = user, user
		}
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	for _, name := range names {
		for i, r := range name {
			folder := name[:i+1]
			if r != '/' || folders[folder] {
				continue
			}
			folders[folder] = true
			mode := int64(0o755)
			if folder == name {
				mode = files[name].mode
			}
			if err := add(&tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: mode}, nil); err != nil {
				return nil, err
			}
		}
		if strings.HasSuffix(name, "/") {
			continue
		}
		if err := add(&tar.Header{Typeflag: tar.TypeReg, Name: path.Clean(name), Mode: files[name].mode}, files[name].content); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// archive writes a folder as a tar archive that is the same each time.
func archive(folder string, out io.Writer) error {
	w := tar.NewWriter(out)
	if err := w.AddFS(timeless{os.DirFS(folder)}); err != nil {
		return err
	}
	return w.Close()
}
