package inspector

import (
	"context"
	"net"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"
)

// policy allows the page its own files, and nothing else. It stands in the page
// as well, for those who serve the files themselves.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8", ".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".json": "application/json", ".svg": "image/svg+xml", ".gz": "application/gzip",
}

// keysPause is how long one answer of the keys' source is given to all.
const keysPause = 2 * time.Second

// KeySource returns the key set that the page offers, as it is now. Its error is
// shown in the page.
type KeySource func(context.Context) ([]byte, error)

// Handler serves the page at "/". keys is nil where the page offers none. It
// answers nobody who came by another name than one of this machine, so that no
// other site can become this one's (DNS rebinding).
func (p *Page) Handler(keys KeySource) http.Handler {
	var held heldKeys
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		switch {
		case !local(r.Host):
			http.Error(w, "this page is for this machine alone", http.StatusMisdirectedRequest)
			return
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "GET only", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		content, ok := p.files[name]
		if name == keysFile && keys != nil {
			// No other site may have this one ask for keys.
			if from := r.Header.Get("Sec-Fetch-Site"); from != "" && from != "same-origin" {
				http.Error(w, "only the page itself may ask for keys", http.StatusForbidden)
				return
			}
			var err error
			if content, err = held.get(r.Context(), keys); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			ok = true
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", contentTypes[path.Ext(name)])
		h.Set("Content-Length", strconv.Itoa(len(content)))
		if r.Method == http.MethodGet {
			_, _ = w.Write(content) // a browser that has gone needs no answer
		}
	})
}

// heldKeys asks the source of the keys once in a while, however often it is
// asked itself.
type heldKeys struct {
	mu    sync.Mutex
	until time.Time
	body  []byte
	err   error
}

func (k *heldKeys) get(ctx context.Context, keys KeySource) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Now().Before(k.until) {
		return k.body, k.err
	}
	k.body, k.err = keys(ctx)
	if ctx.Err() == nil { // otherwise the error is this caller's own
		k.until = time.Now().Add(keysPause)
	}
	return k.body, k.err
}

// local reports whether a Host header names this machine as itself.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
