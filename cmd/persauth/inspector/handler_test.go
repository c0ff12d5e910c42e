package inspector_test

// The page over HTTP and on disk, without a browser.

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth/cmd/persauth/inspector"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func load(t *testing.T, keysFrom string) *inspector.Page {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, and this compiles the library to WebAssembly")
	}
	page, err := inspector.Load(t.Context(), keysFrom)
	require.NoError(t, err)
	return page
}

func get(h http.Handler, path string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8788"+path, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	h := load(t, "").Handler(nil)
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		status int
		kind   string
	}{
		"the page":            {path: "/", status: 200, kind: "text/html; charset=utf-8"},
		"the script":          {path: "/app.js", status: 200, kind: "text/javascript; charset=utf-8"},
		"the runtime":         {path: "/wasm_exec.js", status: 200, kind: "text/javascript; charset=utf-8"},
		"the verifier":        {path: "/persauth.wasm.gz", status: 200, kind: "application/gzip"},
		"no keys":             {path: "/keys.json", status: 404},
		"something else":      {path: "/built/README", status: 404},
		"out of the folder":   {path: "/../inspector.go", status: 404},
		"sent to":             {path: "/", change: func(r *http.Request) { r.Method = "POST" }, status: 405},
		"by IPv6":             {path: "/", change: func(r *http.Request) { r.Host = "[::1]:80" }, status: 200, kind: "text/html; charset=utf-8"},
		"by localhost":        {path: "/", change: func(r *http.Request) { r.Host = "localhost" }, status: 200, kind: "text/html; charset=utf-8"},
		"by a rebound name":   {path: "/", change: func(r *http.Request) { r.Host = "evil.example:8788" }, status: 421},
		"by a name like ours": {path: "/", change: func(r *http.Request) { r.Host = "127.0.0.1.evil.example" }, status: 421},
		"by another address":  {path: "/", change: func(r *http.Request) { r.Host = "192.0.2.1" }, status: 421},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(h, c.path, c.change)
			assert.Equal(t, c.status, w.Code)
			policy := w.Header().Get("Content-Security-Policy")
			assert.Contains(t, policy, "default-src 'none'")
			assert.Contains(t, policy, "frame-ancestors 'none'")
			assert.NotContains(t, policy, "'unsafe-eval'")
			assert.NotContains(t, policy, "'unsafe-inline'")
			assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
			if c.status == 200 {
				assert.Equal(t, c.kind, w.Header().Get("Content-Type"))
				assert.NotZero(t, w.Body.Len())
			}
		})
	}
	// The page has the policy in itself, for servers that send none.
	html := get(h, "/", nil).Body.String()
	header, _, _ := strings.Cut(get(h, "/", nil).Header().Get("Content-Security-Policy"), " frame-ancestors")
	assert.Contains(t, html, header)
}

// Other sites cannot have the page ask PERS, and it is not asked again and again.
func TestKeysOfThePage(t *testing.T) {
	page := load(t, "PERS")
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		answer := errors.New("PERS does not answer")
		h := page.Handler(func(context.Context) ([]byte, error) {
			asked++
			return []byte(`{"keys":[]}`), answer
		})
		from := func(site string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", site) }
		}
		for _, site := range []string{"cross-site", "same-site", "none"} {
			assert.Equal(t, http.StatusForbidden, get(h, "/keys.json", from(site)).Code, site)
		}
		assert.Zero(t, asked)
		for range 10 {
			w := get(h, "/keys.json", from("same-origin"))
			assert.Equal(t, http.StatusBadGateway, w.Code)
			assert.Contains(t, w.Body.String(), answer.Error())
		}
		assert.Equal(t, 1, asked)
		answer = nil
		time.Sleep(2 * time.Second)
		assert.Equal(t, `{"keys":[]}`, get(h, "/keys.json", nil).Body.String())
		assert.Equal(t, 2, asked)
		// A browser that goes away leaves its error to nobody.
		time.Sleep(2 * time.Second)
		answer = context.Canceled
		get(h, "/keys.json", func(r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			*r = *r.WithContext(ctx)
		})
		answer = nil
		assert.Equal(t, http.StatusOK, get(h, "/keys.json", nil).Code)
	})
	assert.Contains(t, get(page.Handler(nil), "/config.json", nil).Body.String(), `"from":"PERS"`)
}

func TestWrite(t *testing.T) {
	page := load(t, "a file")
	folder := filepath.Join(t.TempDir(), "new", "folder")
	require.NoError(t, page.Write(folder, []byte(`{"keys":[]}`)))
	for _, name := range []string{"index.html", "app.js", "style.css", "icon.svg", "wasm_exec.js", "persauth.wasm.gz", "config.json", "keys.json"} {
		info, err := os.Stat(filepath.Join(folder, name))
		if assert.NoError(t, err) {
			assert.NotZero(t, info.Size(), name)
		}
	}
	assert.ErrorContains(t, page.Write(filepath.Join(folder, "index.html"), nil), "index.html")
}
