package strictjson

// The short way through an object beside a tree. Nearly every payload is compact JSON in ASCII
// without an escape or a fraction; such JSON needs no more than one look at each
// byte. Whatever is not as plain as that is left to the JSON library, so this
// file may give up at any byte, and must never take what the library would not.

const (
	// fastNames is how many members that nobody asks for an object may have
	// here: each name is compared to all before it.
	fastNames = 32
	fastDepth = 4
)

// fastText are the bytes that a string here may have.
var fastText = func() (plain [256]bool) {
	for c := byte(' '); c < 0x80; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// The functions below are given a text and the place where something should begin.
// They return the place behind it; or false, and then the place means nothing.

// ReadFast is ReadTree by the short way. It reports false where it gave up, and may
// have told something by then.
func ReadFast(text []byte, tree []Member, to Receiver) bool {
	c := fastWalk{to}
	end, ok := c.fastObject(text, 0, tree, fastDepth)
	return ok && end == len(text)
}

type fastWalk struct{ to Receiver }

// byteIs reports whether the byte at i is b.
func byteIs(text []byte, i int, b byte) bool { return i < len(text) && text[i] == b }

// fastObject walks an object beside the tree of names.
func (c fastWalk) fastObject(text []byte, i int, tree []Member, depth int) (end int, ok bool) {
	if depth == 0 || !byteIs(text, i, '{') {
		return i, false
	}
	if byteIs(text, i+1, '}') {
		return i + 2, true
	}
	var names fastNameSet
	for {
		start := i + 1 // behind the brace, or the comma
		if i, ok = fastString(text, start); !ok {
			return i, false
		}
		name := text[start+1 : i-1]
		m := findMember(tree, name)
		if !names.add(name, m) || !byteIs(text, i, ':') {
			return i, false
		}
		if i, ok = c.fastMember(text, i+1, m, depth); !ok {
			return i, false
		}
		if byteIs(text, i, '}') {
			return i + 1, true
		}
		if !byteIs(text, i, ',') {
			return i, false
		}
	}
}

// fastNameSet is the names of the members of an object so far.
type fastNameSet struct {
	asked  uint64 // those that somebody asks for, by their place
	others [fastNames][]byte
	n      int // of others
}

// add reports false where the name is in the set already, or has no room in it.
// m is nil for a name that nobody asks for.
func (s *fastNameSet) add(name []byte, m *Member) bool {
	if m != nil {
		before := s.asked
		s.asked |= 1 << m.place
		return s.asked != before
	}
	if s.n == fastNames {
		return false
	}
	for _, before := range s.others[:s.n] {
		if string(name) == string(before) {
			return false
		}
	}
	s.others[s.n] = name
	s.n++
	return true
}

// fastMember reads the value of a member; m is nil for one that nobody asks for.
func (c fastWalk) fastMember(text []byte, i int, m *Member, depth int) (end int, ok bool) {
	if m != nil && m.Inner != nil && byteIs(text, i, '{') {
		if end, ok = c.fastObject(text, i, m.Inner, depth-1); ok {
			c.to.Object(m)
		}
		return end, ok
	}
	switch end, ok = c.fastValue(text, i, depth); {
	case !ok || m == nil:
	case text[i] == '"' && m.Inner == nil:
		c.to.Text(m.Field, text[i+1:end-1])
	default:
		c.to.Value(m, text[i:end])
	}
	return end, ok
}

// fastValue finds the end of a value.
func (c fastWalk) fastValue(text []byte, i int, depth int) (end int, ok bool) {
	if i >= len(text) {
		return i, false
	}
	switch b := text[i]; {
	case b == '"':
		return fastString(text, i)
	case b == '{':
		return c.fastObject(text, i, nil, depth-1)
	case b == '[':
		return c.fastArray(text, i, depth-1)
	case b == '-' || b >= '0' && b <= '9':
		return fastInteger(text, i)
	}
	for _, word := range []string{"true", "false", "null"} {
		if end := i + len(word); end <= len(text) && string(text[i:end]) == word {
			return end, true
		}
	}
	return i, false
}

func (c fastWalk) fastArray(text []byte, i int, depth int) (end int, ok bool) {
	if depth == 0 {
		return i, false
	}
	if byteIs(text, i+1, ']') {
		return i + 2, true
	}
	for {
		if i, ok = c.fastValue(text, i+1, depth); !ok {
			return i, false
		}
		if byteIs(text, i, ']') {
			return i + 1, true
		}
		if !byteIs(text, i, ',') {
			return i, false
		}
	}
}

// fastString finds the end of a string of printable ASCII without escapes.
func fastString(text []byte, i int) (end int, ok bool) {
	if !byteIs(text, i, '"') {
		return i, false
	}
	for i++; i < len(text) && fastText[text[i]]; i++ {
	}
	return i + 1, byteIs(text, i, '"')
}

// fastInteger finds the end of an integer without leading zeros. A fraction or an
// exponent after it is found where the next token must stand.
func fastInteger(text []byte, i int) (end int, ok bool) {
	if text[i] == '-' {
		i++
	}
	for end = i; end < len(text) && text[end] >= '0' && text[end] <= '9'; end++ {
	}
	return end, end == i+1 || end > i && text[i] != '0'
}

// appendFastStrings adds an array of strings to a list, or reports false.
func appendFastStrings(list, text []byte) ([]byte, bool) {
	for i := 0; ; {
		start := i + 1 // behind the bracket, or the comma
		end, ok := fastString(text, start)
		if !ok {
			return nil, false
		}
		list = AppendToList(list, text[start+1:end-1])
		if byteIs(text, end, ']') {
			return list, end+1 == len(text)
		}
		if i = end; !byteIs(text, i, ',') {
			return nil, false
		}
	}
}
