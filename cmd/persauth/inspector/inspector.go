// Package inspector is a page to look at a token: the library itself, compiled to
// WebAssembly, explains it in the browser, and no token leaves that. It is served
// by [Handler], or written by [Write] as files that any web server can serve.
package inspector

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// The folder built is empty in a clone. A release has the two files in it that
// [Build] makes, so that nobody who installs one needs a compiler.
//
//go:embed site built
var files embed.FS

// The names of what is built.
const (
	verifierFile = "persauth.wasm.gz"
	runtimeFile  = "wasm_exec.js" // of the Go release that compiled the verifier
	configFile   = "config.json"
	keysFile     = "keys.json"
)

// Page is the page as files, without the keys that it may offer.
type Page struct{ files map[string][]byte }

// config is what config.json tells the page.
type config struct {
	Version string     `json:"version,omitempty"`
	Keys    *keysOffer `json:"keys,omitempty"`
}

// keysOffer is a key set that the page can take from its own site.
type keysOffer struct {
	From string `json:"from"`
	File string `json:"file"`
}

// Load puts the page together. keysFrom says where the keys come from that the
// page offers; empty: it offers none. Without a built verifier it is compiled,
// which needs Go and the sources that this program was made from.
func Load(ctx context.Context, keysFrom string) (*Page, error) {
	p := &Page{make(map[string][]byte)}
	site, err := fs.ReadDir(files, "site")
	if err != nil {
		return nil, err
	}
	for _, entry := range site {
		if p.files[entry.Name()], err = files.ReadFile("site/" + entry.Name()); err != nil {
			return nil, err
		}
	}
	built, err := assembled()
	if errors.Is(err, fs.ErrNotExist) {
		built, err = compiled.get(ctx)
	}
	if err != nil {
		return nil, err
	}
	for name, content := range built {
		p.files[name] = content
	}
	about := config{Version: version()}
	if keysFrom != "" {
		about.Keys = &keysOffer{keysFrom, keysFile}
	}
	p.files[configFile], err = json.Marshal(about)
	return p, err
}

// assembled returns what a release brings along.
func assembled() (map[string][]byte, error) {
	built := make(map[string][]byte)
	for _, name := range []string{verifierFile, runtimeFile} {
		content, err := files.ReadFile("built/" + name)
		if err != nil {
			return nil, err
		}
		built[name] = content
	}
	return built, nil
}

// compiled is what [Build] made, once for a process.
var compiled memo

type memo struct {
	mu    sync.Mutex
	built map[string][]byte
}

func (m *memo) get(ctx context.Context) (map[string][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.built != nil {
		return m.built, nil
	}
	built, err := Build(ctx)
	m.built = built
	return built, err
}

// Build compiles the verifier, and returns the files that a release has in the
// folder built. The same sources and the same Go make the same bytes.
func Build(ctx context.Context) (map[string][]byte, error) {
	_, here, _, _ := runtime.Caller(0)
	source := filepath.Dir(here)
	if _, err := os.Stat(filepath.Join(source, "wasm", "main.go")); err != nil {
		return nil, errors.New("this program came without the page, and its sources are not here to build it from: use a release, or a clone")
	}
	folder, err := os.MkdirTemp("", "persauth-inspector-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	module := filepath.Join(folder, "persauth.wasm")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", module, "./wasm")
	build.Dir = source
	build.Env = append(os.Environ(), "GOOS=js", "GOARCH=wasm", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("the page could not be built: %w\n%s", err, bytes.TrimSpace(out))
	}
	raw, err := os.ReadFile(module)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	root := exec.CommandContext(ctx, "go", "env", "GOROOT")
	root.Dir = source
	out, err := root.Output()
	if err != nil {
		return nil, err
	}
	script, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "lib", "wasm", runtimeFile))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{verifierFile: packed.Bytes(), runtimeFile: script}, nil
}

// version is that of this program, and empty for one built from a clone.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return ""
}

// Write writes the page into a folder, which is made where it is missing. keys
// is the key set that the page offers, and nil where it offers none.
func (p *Page) Write(folder string, keys []byte) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	all := p.files
	if keys != nil {
		all = map[string][]byte{keysFile: keys}
		for name, content := range p.files {
			all[name] = content
		}
	}
	for name, content := range all {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
