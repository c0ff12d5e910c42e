package sidecar

// From a method and a path to the rule. The path decides first, and then the
// method: a method that is not named does not fall through to a wider path,
// whose rule may be weaker.

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// noRoute is the name of the route where none is.
const noRoute = "none"

// route is a rule and its name.
type route struct {
	name string
	rule rule
}

// table has the rules. It is immutable.
type table struct {
	exact *http.ServeMux // to *entry
	// loose has the same without case. It finds what a service could take for
	// the same path that is not particular about case.
	loose *http.ServeMux
	// other is for paths that no entry is for; nil: refused.
	other *route
}

// entry is what a pattern leads to.
type entry struct {
	methods map[string]*route
}

// ServeHTTP makes an entry a handler, for ServeMux to find. It comes to it with
// a request that has its path values.
func (e *entry) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if f, ok := w.(*finding); ok {
		f.entry = e
	}
}

// finding takes the entry from a ServeMux. What the mux would answer by itself, a
// redirect for instance, goes nowhere.
type finding struct {
	header http.Header
	entry  *entry
}

func (f *finding) Header() http.Header {
	if f.header == nil {
		f.header = make(http.Header)
	}
	return f.header
}

func (f *finding) WriteHeader(int)             {}
func (f *finding) Write(p []byte) (int, error) { return len(p), nil }

// route is the rule for a method. HEAD is GET without a body (RFC 9110 §9.3.2).
func (e *entry) route(method string) *route {
	if r := e.methods[method]; r != nil {
		return r
	}
	if r := e.methods[http.MethodGet]; r != nil && method == http.MethodHead {
		return r
	}
	return e.methods["*"]
}

// find returns the route of a request, and gives the request its path values. It
// returns nil where there is none. It reports false where a service could take
// the path for another one, under another rule.
func (t *table) find(r *http.Request, decoded string) (*route, bool) {
	var f finding
	t.exact.ServeHTTP(&f, r)
	route, ok := t.routeOf(f.entry, r.Method)
	slash, probe := toggleTrailingSlash(decoded), pathRequest("")
	for _, like := range [...]string{fold(decoded), fold(slash)} {
		probe.URL.Path = like
		handler, _ := t.loose.Handler(probe)
		e, there := handler.(*entry)
		if !there && t.other == nil {
			continue
		}
		other, named := t.routeOf(e, r.Method)
		if named != ok || ok && other.rule.key != route.rule.key {
			return nil, false
		}
	}
	return route, true
}

// routeOf reports false for a route that refuses everybody.
func (t *table) routeOf(e *entry, method string) (*route, bool) {
	route := t.other
	if e != nil {
		route = e.route(method)
	}
	return route, route != nil
}

// toggleTrailingSlash is the path with a slash at its end where it has none, and without
// where it has one. Many routers take the two for the same.
func toggleTrailingSlash(path string) string {
	if path == "/" {
		return path
	}
	if trimmed, ok := strings.CutSuffix(path, "/"); ok {
		return trimmed
	}
	return path + "/"
}

// pathRequest asks a ServeMux about a path.
func pathRequest(decoded string) *http.Request {
	return &http.Request{Method: http.MethodGet, URL: &url.URL{Path: decoded}, Header: http.Header{}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
}

// newTable checks the routes, and reports all that is wrong with them.
func newTable(routes []routeConfig, other *ruleConfig) (*table, error) {
	t := &table{exact: http.NewServeMux(), loose: http.NewServeMux()}
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if other != nil {
		made, err := other.rule("")
		if err != nil {
			fail("default: %w", err)
		}
		t.other = &route{"default", made}
	}
	if len(routes) == 0 {
		fail("routes: there are none, so that every request would be refused")
	}
	entries := make(map[string]*entry)
	names := make(map[string]int)
	for i, c := range routes {
		where := fmt.Sprintf("route %d (%s)", i+1, printable(c.Path))
		if problem := c.problem(); problem != "" {
			fail("%s: %s", where, problem)
			continue
		}
		made, err := c.rule(c.Path)
		if err != nil {
			fail("%s: %w", where, err)
		}
		name := c.Name
		if name == "" {
			name = strings.Join(c.Methods, ",") + " " + c.Path
		}
		if names[name]++; names[name] > 1 || name == noRoute || name == "default" {
			fail("%s: name %s is taken", where, printable(name))
		}
		e := entries[c.Path]
		if e == nil {
			e = &entry{methods: make(map[string]*route)}
			entries[c.Path] = e
			if err := t.register(c.Path, e); err != nil {
				fail("%s: %w", where, err)
			}
		}
		for _, method := range c.Methods {
			if e.methods[method] != nil {
				fail("%s: there is a rule for %s already", where, method)
			}
			e.methods[method] = &route{name, made}
		}
	}
	if len(wrong) == 0 {
		for _, path := range slices.Sorted(maps.Keys(entries)) {
			wrong = append(wrong, t.slashes(path, entries[path])...)
		}
	}
	return t, errors.Join(wrong...)
}

// problem is what is wrong with an entry itself.
func (c routeConfig) problem() string {
	switch {
	case !strings.HasPrefix(c.Path, "/"):
		return "path must begin with a slash"
	case len(c.Methods) == 0:
		return `methods are missing: name them, or say ["*"]`
	case len(c.Name) > 100 || printable(c.Name) != c.Name:
		return "name must be short and printable"
	}
	for _, method := range c.Methods {
		if method != "*" && !plainMethod(method) {
			return fmt.Sprintf("method %s is not a word in capitals", printable(method))
		}
	}
	// The pattern is compared with decoded paths, and has to be one of those
	// that are let through.
	plain := strings.NewReplacer("{", "", "...}", "", "}", "").Replace(c.Path)
	if strings.Contains(plain, "%") {
		return "path is written without escapes"
	}
	if _, _, problem := plainPath((&url.URL{Path: plain}).EscapedPath()); problem != "" {
		return problem + ": no request with it is let through"
	}
	return ""
}

var registered = regexp.MustCompile(` \(registered at [^)]*\)`)

// register adds an entry to both muxes. They panic for a pattern that they do
// not understand, and for two of which neither is the narrower one.
func (t *table) register(path string, e *entry) (err error) {
	defer func() {
		if p := recover(); p != nil {
			// Where in this file it was registered helps nobody.
			text := registered.ReplaceAllString(fmt.Sprint(p), "")
			err = errors.New(strings.Join(strings.Fields(text), " "))
		}
	}()
	t.exact.Handle(path, e)
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if !strings.HasPrefix(segment, "{") {
			segments[i] = fold(segment)
		}
	}
	t.loose.Handle(strings.Join(segments, "/"), e)
	return nil
}

// slashes finds rules of which one is for a path with a slash at its end and the
// other one for the same path without: requests would be refused as ambiguous.
func (t *table) slashes(path string, e *entry) (wrong []error) {
	sample := strings.TrimSuffix(path, "{$}")
	if i := strings.LastIndex(sample, "/{"); strings.HasSuffix(sample, "...}") {
		sample = sample[:i+1]
	}
	segments := strings.Split(sample, "/")
	for i, segment := range segments {
		if strings.HasPrefix(segment, "{") {
			segments[i] = "~" // what no pattern is likely to name
		}
	}
	sample = strings.Join(segments, "/")
	for method := range e.methods {
		if method == "*" {
			continue
		}
		r := pathRequest(sample)
		r.Method = method
		if _, ok := t.find(r, sample); !ok {
			other := strings.TrimSuffix(path, "/") + "/{$}"
			if strings.HasSuffix(sample, "/") {
				other = path[:strings.LastIndexByte(path, '/')]
			}
			wrong = append(wrong, fmt.Errorf("%s %s: with and without a slash at its end it has different rules, and many services take the two for the same: name %s, too, with the same rule",
				method, path, other))
		}
	}
	return wrong
}
