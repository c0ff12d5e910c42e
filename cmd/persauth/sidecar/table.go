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
	root node
	// other is for paths that no entry is for; nil: refused.
	other *route
}

// entry is what a pattern leads to.
type entry struct {
	methods map[string]*route
	// literals are the parts of the pattern as they are written, "" for a wildcard.
	literals []string
	at       string // where in the configuration
}

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

// find returns the route for a path, or nil where there is none. It reports false
// where a service could take the path for another one, under another rule.
func (t *table) find(l *lookup, method string) (*route, bool) {
	loose := t.root.find(l.folded, nil)
	exact := loose
	if loose != nil && loose.ifFits(l.parts) == nil {
		// It fits but for case: another one may fit as it is written.
		exact = t.root.find(l.folded, l.parts)
	}
	found := t.routeOf(exact, method)
	if exact != loose && !t.agrees(found, loose, method) || !t.agrees(found, t.root.find(l.like(), nil), method) {
		return nil, false
	}
	return found, true
}

// agrees reports whether what an entry says of a method is what was found. Where
// there is no entry and no rule for all else, nothing else can be meant.
func (t *table) agrees(found *route, e *entry, method string) bool {
	if e == nil && t.other == nil {
		return true
	}
	other := t.routeOf(e, method)
	if found == nil || other == nil {
		return found == other
	}
	return found == other || found.rule.key == other.rule.key
}

// routeOf is the route for a method, nil for one that refuses everybody.
func (t *table) routeOf(e *entry, method string) *route {
	if e != nil {
		return e.route(method)
	}
	return t.other
}

// newTable checks the routes, and reports all that is wrong with them. more are
// auth types beside those of PERS.
func newTable(f *faults, routes []routeConfig, other *ruleConfig, more []string) *table {
	before := len(f.all)
	t := new(table)
	if other != nil {
		t.other = &route{"default", other.rule(f, "default", "", more)}
	}
	if len(routes) == 0 {
		f.add("routes", "routes: there are none, so that every request would be refused")
	}
	p := patterns{exact: http.NewServeMux(), loose: http.NewServeMux(), entries: make(map[string]*entry)}
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
			t.root.add(path, p.entries[path])
		}
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
