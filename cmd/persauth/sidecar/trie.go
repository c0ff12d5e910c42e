package sidecar

// From a path to the pattern that it fits, as net/http.ServeMux finds it: of
// several patterns the narrowest, and without its redirects. One look-up serves for
// the path as it is and for what a service could take it for; it allocates nothing.

import "strings"

// lookup is a path in parts, to be looked up. It is used again and again.
type lookup struct {
	decoded string
	// parts are the path's, and folded what fold makes of each. The last one is
	// "/" where the path ends with a slash.
	parts, folded []string
	// space is what parts and folded begin with.
	space [2][16]string
}

// slash is the part of a path behind a slash at its end. No other part has one.
const slash = "/"

// set takes a path that plainPath let through.
func (l *lookup) set(decoded string) {
	l.decoded = decoded
	l.parts = split(l.space[0][:0], decoded)
	l.folded = l.parts
	if like := fold(decoded); like != decoded {
		l.folded = split(l.space[1][:0], like)
	}
}

// forget lets go of the path.
func (l *lookup) forget() { *l = lookup{} }

func split(into []string, path string) []string {
	for rest, more := path[1:], true; more; {
		var part string
		if part, rest, more = strings.Cut(rest, "/"); part == "" && !more {
			part = slash
		}
		into = append(into, part)
	}
	return into
}

// like are the parts of a path that many routers take for the same: with a slash
// at its end where it has none, and without where it has one.
func (l *lookup) like() []string {
	switch last := len(l.folded) - 1; {
	case l.folded[last] != slash:
		return append(l.folded, slash)
	case last > 0:
		return l.folded[:last]
	}
	return l.folded
}

// part is the text of a part of the path, or of all from there on.
func (l *lookup) part(index int, all bool) string {
	switch {
	case index < 0 || index >= len(l.parts):
		return ""
	case !all:
		return l.parts[index]
	}
	rest := l.decoded
	for range index + 1 {
		_, rest, _ = strings.Cut(rest, "/")
	}
	return rest
}

// node is where the folded parts so far lead to.
type node struct {
	literals map[string]*node
	wildcard *node
	// entry is for paths that end here, and rest for all that go on.
	entry, rest *entry
}

// add puts a pattern into the trie. ServeMux took it before.
func (n *node) add(pattern string, e *entry) {
	for _, part := range split(nil, pattern) {
		switch {
		case part == slash || strings.HasPrefix(part, "{") && strings.HasSuffix(part, "...}"):
			n.rest = e // a slash at the end of a pattern is for all below it
			return
		case strings.HasPrefix(part, "{") && part != "{$}":
			e.literals = append(e.literals, "")
			if n.wildcard == nil {
				n.wildcard = new(node)
			}
			n = n.wildcard
		default:
			if part == "{$}" {
				part = slash
			}
			e.literals = append(e.literals, part)
			part = fold(part)
			if n.literals == nil {
				n.literals = make(map[string]*node)
			}
			if n.literals[part] == nil {
				n.literals[part] = new(node)
			}
			n = n.literals[part]
		}
	}
	n.entry = e
}

// find returns the narrowest entry for the folded parts, or nil. With exact, only
// entries count whose patterns these parts fit as they are written.
func (n *node) find(folded, exact []string) *entry {
	if n == nil {
		return nil
	}
	if len(folded) == 0 {
		return n.entry.ifFits(exact)
	}
	if e := n.literals[folded[0]].find(folded[1:], exact); e != nil {
		return e
	}
	if folded[0] != slash {
		if e := n.wildcard.find(folded[1:], exact); e != nil {
			return e
		}
	}
	return n.rest.ifFits(exact)
}

// ifFits is the entry if its pattern fits the parts as it is written, else nil.
func (e *entry) ifFits(parts []string) *entry {
	if e == nil || parts == nil {
		return e
	}
	for i, literal := range e.literals {
		if literal != "" && literal != parts[i] {
			return nil
		}
	}
	return e
}
