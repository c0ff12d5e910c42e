package sidecar

// The patterns of a table as they are written, and what is wrong between two of
// them.

import (
	"fmt"
	"net/http"
	"strings"
)

// patterns are those of a table while it is made. ServeMux tells which are none,
// and which conflict.
type patterns struct {
	exact   *http.ServeMux
	loose   *http.ServeMux    // without case
	entries map[string]*entry // by the pattern
	order   []string
}

// add puts a route into the table.
func (p *patterns) add(f *faults, at, path string, methods []string, r *route) {
	e := p.entries[path]
	if e == nil {
		e = &entry{methods: make(map[string]*route), at: at}
		if err := register(p.exact, path); err != nil {
			p.conflict(f, at, path, err)
			return
		}
		if err := register(p.loose, foldPattern(path)); err != nil {
			p.likeness(f, at, path)
			return
		}
		p.entries[path] = e
		p.order = append(p.order, path)
	}
	for _, method := range methods {
		if e.methods[method] != nil {
			f.add(at+".methods", "path %s has a rule for %s already (line %d)", printable(path), method, f.line(e.at))
		}
		e.methods[method] = r
	}
}

// register puts a pattern into a mux. That panics for a pattern that it does not
// understand, and for two of which neither is the narrower one.
func register(mux *http.ServeMux, path string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	mux.Handle(path, http.NotFoundHandler())
	return nil
}

// conflict says with which pattern this one conflicts. Where it does with none, it
// is wrong itself.
func (p *patterns) conflict(f *faults, at, path string, err error) {
	for _, other := range p.order {
		mux := http.NewServeMux()
		if register(mux, other) == nil && register(mux, path) != nil && register(http.NewServeMux(), path) == nil {
			f.add(at+".path", "path %s conflicts with %s (line %d): some paths are for both, and neither is the narrower one",
				printable(path), printable(other), f.line(p.entries[other].at))
			return
		}
	}
	// "parsing "/{a}b": at offset 1: bad wildcard segment …"
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		text = text[i+2:]
	}
	f.add(at+".path", "path %s: %s", printable(path), text)
}

// likeness says which pattern is the same but for case, or could be.
func (p *patterns) likeness(f *faults, at, path string) {
	for _, other := range p.order {
		mux := http.NewServeMux()
		if register(mux, foldPattern(other)) == nil && register(mux, foldPattern(path)) != nil {
			f.add(at+".path", "path %s conflicts with %s (line %d): some services, which ignore case or accents, take the one for the other",
				printable(path), printable(other), f.line(p.entries[other].at))
			return
		}
	}
	f.add(at+".path", "path %s conflicts with another one for services that ignore case or accents", printable(path))
}

// foldPattern folds all of a pattern but its wildcards.
func foldPattern(path string) string {
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		if !strings.HasPrefix(segment, "{") {
			segments[i] = fold(segment)
		}
	}
	return strings.Join(segments, "/")
}

// slashes finds rules of which one is for a path with a slash at its end and the
// other one for the same path without: requests would be refused as ambiguous.
func (t *table) slashes(f *faults, path string, e *entry) {
	sample := strings.TrimSuffix(path, "{$}")
	if i := strings.LastIndex(sample, "/{"); strings.HasSuffix(sample, "...}") {
		sample = sample[:i+1]
	}
	parts := strings.Split(sample, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "~" // what no pattern is likely to name
		}
	}
	sample = strings.Join(parts, "/")
	var l lookup
	l.set(sample)
	for method := range e.methods {
		if method == "*" {
			continue
		}
		if _, ok := t.find(&l, method); !ok {
			other := strings.TrimSuffix(path, "/") + "/{$}"
			if strings.HasSuffix(sample, "/") {
				other = path[:strings.LastIndexByte(path, '/')]
			}
			f.add(e.at+".path", "%s %s: with and without a slash at its end it has different rules, and many services take the two for the same: name %s, too, with the same rule",
				method, printable(path), printable(other))
		}
	}
}
