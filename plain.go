package persauth

// The short way through claims. Nearly every payload is compact JSON in ASCII
// without an escape or a fraction; such JSON needs no more than one look at each
// byte. Whatever is not as plain as that is left to the JSON library, so this
// file may give up at any byte, and must never take what the library would not.

const (
	// plainNames is how many members that nobody asks for an object may have
	// here: each name is compared to all before it.
	plainNames = 32
	plainDepth = 4
)

// plainText are the bytes that a string here may have.
var plainText = func() (is [256]bool) {
	for c := byte(' '); c < 0x80; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// plainReader is a place in a payload.
type plainReader struct {
	c    *candidate
	text []byte
	at   int
}

// readPlain reads the claims, or reports false and may leave some behind.
func (c *candidate) readPlain() bool {
	r := plainReader{c: c, text: c.payload}
	return r.object(c.tree, plainDepth) && r.at == len(r.text)
}

// take moves on if the next byte is b.
func (r *plainReader) take(b byte) bool {
	if r.at < len(r.text) && r.text[r.at] == b {
		r.at++
		return true
	}
	return false
}

// object walks an object beside the tree of names.
func (r *plainReader) object(tree []claimMember, depth int) bool {
	if depth == 0 || !r.take('{') {
		return false
	}
	if r.take('}') {
		return true
	}
	var names plainSet
	for {
		start := r.at
		if !r.string() {
			return false
		}
		name := r.text[start+1 : r.at-1]
		m := find(tree, string(name))
		if !names.add(name, m) || !r.take(':') || !r.member(m, depth) {
			return false
		}
		if r.take('}') {
			return true
		}
		if !r.take(',') {
			return false
		}
	}
}

// plainSet is the names of the members of an object so far.
type plainSet struct {
	asked  uint64 // those that somebody asks for, by their place
	others [plainNames][]byte
	n      int // of others
}

// add reports false where the name is in the set already, or has no room in it.
// m is nil for a name that nobody asks for.
func (s *plainSet) add(name []byte, m *claimMember) bool {
	if m != nil {
		before := s.asked
		s.asked |= 1 << m.place
		return s.asked != before
	}
	if s.n == plainNames {
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

// member reads the value of a member; m is nil for one that nobody asks for.
func (r *plainReader) member(m *claimMember, depth int) bool {
	start := r.at
	if m != nil && m.inner != nil && start < len(r.text) && r.text[start] == '{' {
		if !r.object(m.inner, depth-1) {
			return false
		}
		r.c.wholeObject(m)
		return true
	}
	if !r.value(depth) {
		return false
	}
	if m != nil {
		r.c.member(m, r.text[start:r.at])
	}
	return true
}

// value moves behind the next value.
func (r *plainReader) value(depth int) bool {
	if r.at >= len(r.text) {
		return false
	}
	switch c := r.text[r.at]; {
	case c == '"':
		return r.string()
	case c == '{':
		return r.object(nil, depth-1)
	case c == '[':
		return r.array(depth - 1)
	case c == '-' || c >= '0' && c <= '9':
		return r.integer()
	}
	for _, word := range []string{"true", "false", "null"} {
		if rest := r.text[r.at:]; len(rest) >= len(word) && string(rest[:len(word)]) == word {
			r.at += len(word)
			return true
		}
	}
	return false
}

func (r *plainReader) array(depth int) bool {
	if depth == 0 || !r.take('[') {
		return false
	}
	if r.take(']') {
		return true
	}
	for r.value(depth) {
		if r.take(']') {
			return true
		}
		if !r.take(',') {
			return false
		}
	}
	return false
}

// string moves behind a string of printable ASCII without escapes.
func (r *plainReader) string() bool {
	if !r.take('"') {
		return false
	}
	i := r.at
	for i < len(r.text) && plainText[r.text[i]] {
		i++
	}
	if i < len(r.text) && r.text[i] == '"' {
		r.at = i + 1
		return true
	}
	return false
}

// integer moves behind an integer without leading zeros. A fraction or an
// exponent after it is found by whoever looks for what must follow a value.
func (r *plainReader) integer() bool {
	r.take('-')
	start := r.at
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		r.at++
	}
	digits := r.text[start:r.at]
	return len(digits) > 0 && (digits[0] != '0' || len(digits) == 1)
}

// appendPlainTexts adds an array of strings to a list, or reports false.
func appendPlainTexts(list, v []byte) ([]byte, bool) {
	r := plainReader{text: v}
	if !r.take('[') {
		return nil, false
	}
	for {
		start := r.at
		if !r.string() {
			return nil, false
		}
		list = appendElement(list, v[start+1:r.at-1])
		if r.take(']') {
			return list, r.at == len(v)
		}
		if !r.take(',') {
			return nil, false
		}
	}
}
