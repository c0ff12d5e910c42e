package sidecar

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// muxes find routes as net/http.ServeMux does: one with the patterns as they are
// written, and one with and for folded paths.
type muxes struct {
	exact, loose *http.ServeMux
	other        *route
}

// ServeHTTP makes an entry a handler, for a ServeMux to find.
func (e *entry) ServeHTTP(http.ResponseWriter, *http.Request) {}

// shelf are patterns, their methods, and what they require.
var shelf = []struct{ name, methods, path, key string }{
	{"a", "GET", "/shop/{id}", "1"},
	{"b", "GET POST", "/Shop/new", "2"},
	{"c", "*", "/shop/{id}/items/{rest...}", "1"},
	{"d", "GET", "/shop/{id}/items/x/{$}", "1"},
	{"e", "GET", "/{page}", "3"},
	{"f", "GET", "/sub/", "3"},
	{"g", "DELETE", "/sub/{x}", "4"},
	{"h", "*", "/café/{x}/{y}", "3"},
	{"i", "GET", "/{$}", "2"},
	{"j", "GET", "/sub/{x}/{y}/z", "3"},
	{"k", "GET", "/SHOP/{id}/Items", "5"},
}

// shelves make both ways to find a route, for the same patterns.
func shelves(other *route) (*muxes, *table) {
	m, t := &muxes{http.NewServeMux(), http.NewServeMux(), other}, &table{other: other}
	for _, row := range shelf {
		e := &entry{methods: make(map[string]*route)}
		for method := range strings.FieldsSeq(row.methods) {
			e.methods[method] = &route{row.name, rule{key: row.key}}
		}
		m.exact.Handle(row.path, e)
		m.loose.Handle(foldPattern(row.path), e)
		t.root.add(row.path, e)
	}
	return m, t
}

// in returns what a mux finds. It reports false where the mux would redirect to the
// path with a slash at its end: it does so also where a wider pattern fits.
func in(mux *http.ServeMux, path string) (*entry, bool) {
	handler, pattern := mux.Handler(&http.Request{Method: http.MethodGet, URL: &url.URL{Path: path}})
	e, _ := handler.(*entry)
	return e, e != nil || pattern == ""
}

// find is the route's name, or what is done without one. It is "redirect" where
// that cannot be told.
func (m *muxes) find(method, decoded string) string {
	redirects := false
	entryIn := func(mux *http.ServeMux, path string) *entry {
		e, ok := in(mux, path)
		redirects = redirects || !ok
		return e
	}
	key := func(e *entry) (name, key string) {
		r := m.other
		if e != nil {
			r = e.route(method)
		}
		if r == nil {
			return "refused", ""
		}
		return r.name, r.rule.key
	}
	name, want := key(entryIn(m.exact, decoded))
	toggled := decoded + "/"
	if before, found := strings.CutSuffix(decoded, "/"); found && before != "" {
		toggled = before
	} else if found {
		toggled = decoded
	}
	ambiguous := false
	for _, like := range []string{fold(decoded), fold(toggled)} {
		e := entryIn(m.loose, like)
		if e == nil && m.other == nil {
			continue
		}
		_, got := key(e)
		ambiguous = ambiguous || got != want
	}
	switch {
	case redirects:
		return "redirect"
	case ambiguous:
		return "ambiguous"
	}
	return name
}

// FuzzTrie compares the trie with net/http.ServeMux, whose patterns these are.
func FuzzTrie(f *testing.F) {
	for _, path := range []string{"/", "/shop/1", "/shop/new", "/Shop/new", "/SHOP/NEW", "/shop/1/", "/shop/1/items/", "/shop/1/items", "/shop/1/items/x/", "/shop/1/items/x",
		"/shop/1/items/a/b", "/about", "/about/", "/sub", "/sub/", "/sub/x", "/Sub/x/y/z", "/sub/x/y/z/", "/café/1/2", "/cafe/1/2", "/CAFÉ/1/2", "/sub/x/y", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r"} {
		for _, method := range []string{"GET", "DELETE", "HEAD", "PUT"} {
			f.Add(path, method)
		}
	}
	alone, trie := shelves(nil)
	other, trieOther := shelves(&route{"default", rule{key: "3"}})
	f.Fuzz(func(t *testing.T, path, method string) {
		_, decoded, problem := plainPath((&url.URL{Path: path}).EscapedPath())
		if problem != "" || !plainMethod(method) {
			return
		}
		var l lookup
		l.set(decoded)
		for _, two := range []struct {
			muxes *muxes
			table *table
		}{{alone, trie}, {other, trieOther}} {
			route, ok := two.table.find(&l, method)
			got := "ambiguous"
			if ok {
				got = "refused"
			}
			if route != nil {
				got = route.name
			}
			want := two.muxes.find(method, decoded)
			if want == "redirect" {
				continue
			}
			require.Equal(t, want, got, "%s %q", method, decoded)
		}
	})
}
