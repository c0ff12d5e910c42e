package sidecar

// From a method and a path to the rule. The path decides first, and then the
// method: a method that is not named does not fall through to a wider path,
// whose rule may be weaker.

import (
	"fmt"
	"net/http"
	"net/url"
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
	at      string // where in the configuration
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

// newTable checks the routes, and reports all that is wrong with them. more are
// auth types beside those of PERS.
func newTable(f *faults, routes []routeConfig, other *ruleConfig, more []string) *table {
	before := len(f.all)
	t := &table{exact: http.NewServeMux(), loose: http.NewServeMux()}
	if other != nil {
		t.other = &route{"default", other.rule(f, "default", "", more)}
	}
	if len(routes) == 0 {
		f.add("routes", "routes: there are none, so that every request would be refused")
	}
	p := patterns{table: t, entries: make(map[string]*entry)}
	names := make(map[string]int)
	for i, c := range routes {
		at := fmt.Sprintf("routes[%d]", i)
		plain, made := c.plain(f, at), c.rule(f, at, c.Path, more)
		if !plain {
			continue
		}
		name := c.Name
		if name == "" {
			name = strings.Join(c.Methods, ",") + " " + c.Path
		}
		if names[name]++; names[name] > 1 || name == noRoute || name == "default" {
			f.add(at+".name", "name %s is taken", printable(name))
		}
		p.add(f, at, c.Path, c.Methods, &route{name, made})
	}
	if len(f.all) == before {
		for _, path := range p.order {
			t.slashes(f, path, p.entries[path])
		}
	}
	return t
}

// plain reports what is wrong with the methods, the path and the name.
func (c routeConfig) plain(f *faults, at string) bool {
	before := len(f.all)
	if len(c.Methods) == 0 {
		f.add(at, `methods are missing: name them, or say ["*"]`)
	}
	for i, method := range c.Methods {
		if !slices.Contains(methods, method) {
			f.add(fmt.Sprintf("%s.methods[%d]", at, i), `method %s is not known: want one of HTTP in capitals, or "*"%s`, printable(method), didYouMean(method, methods))
		}
	}
	if len(c.Name) > 100 || printable(c.Name) != c.Name {
		f.add(at+".name", "name must be short and printable")
	}
	if problem := pathProblem(c.Path); problem != "" {
		f.add(at+".path", "path %s: %s", printable(c.Path), problem)
	}
	return len(f.all) == before
}

// pathProblem is what is wrong with a pattern. It is compared with decoded paths,
// and has to be one of those that are let through.
func pathProblem(pattern string) string {
	plain := strings.NewReplacer("{", "", "...}", "", "}", "").Replace(pattern)
	switch {
	case !strings.HasPrefix(pattern, "/"):
		return "it must begin with a slash"
	case strings.Contains(plain, "%"):
		return "it is written without escapes"
	}
	if _, _, problem := plainPath((&url.URL{Path: plain}).EscapedPath()); problem != "" {
		return problem + ": no request with it is let through"
	}
	return ""
}
