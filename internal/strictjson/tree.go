package strictjson

// Members that a reader asks for, wherever in an object they stand: the tree of their
// names, and the one call that reads a text beside it.

import (
	"bytes"

	"github.com/go-json-experiment/json/jsontext"
)

// Member is one name in the tree of members that are asked for: a field, or an
// object with more of them inside.
type Member struct {
	Name  string
	Field int // the reader's own number; 0: an object with members inside
	Inner []Member
	place int // among those beside it
}

// Plant adds a path to a tree. It reports false when the path has an empty part, or
// ends or runs through where another one ends.
func Plant(tree []Member, path []string, field int) ([]Member, bool) {
	if path[0] == "" {
		return tree, false
	}
	m := findMember(tree, []byte(path[0]))
	if m == nil {
		tree = append(tree, Member{Name: path[0], place: len(tree)})
		m = &tree[len(tree)-1]
	} else if m.Field != 0 || len(path) == 1 {
		return tree, false
	}
	if len(path) == 1 {
		m.Field = field
		return tree, true
	}
	var ok bool
	m.Inner, ok = Plant(m.Inner, path[1:], field)
	return tree, ok
}

func findMember(tree []Member, name []byte) *Member {
	for i := range tree {
		if m := &tree[i]; len(m.Name) == len(name) && m.Name == string(name) {
			return m
		}
	}
	return nil
}

// Receiver is told what stands in a text where the tree has a member.
type Receiver interface {
	// Text is told a field that is a string: what it says, as a part of the text
	// where that is possible.
	Text(field int, s []byte)
	// Value is told a member of any other kind, which is a part of the text, and
	// not an object where the tree has one.
	Value(m *Member, v []byte)
	// Object is told the end of an object where the tree has one.
	Object(m *Member)
}

// ReadTree reads a strict object beside a tree, as Members would. What it tells
// to counts only where there is no error.
func ReadTree(text []byte, tree []Member, to Receiver) error {
	if err := shallowObject(text); err != nil {
		return err
	}
	w := treeWalk{text, to}
	return Error(Read(text, func(dec *jsontext.Decoder) error { return w.object(dec, tree) }))
}

type treeWalk struct {
	text []byte
	to   Receiver
}

func (w treeWalk) object(dec *jsontext.Decoder, tree []Member) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		name, err := dec.ReadValue()
		if err != nil {
			return err
		}
		m := findRaw(tree, name)
		switch {
		case m == nil:
			err = dec.SkipValue()
		case m.Inner != nil && dec.PeekKind() == '{':
			if err = w.object(dec, m.Inner); err == nil {
				w.to.Object(m)
			}
		default:
			var v jsontext.Value
			if v, err = nextValue(dec, w.text); err == nil {
				w.tell(m, v)
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := dec.ReadToken()
	return err
}

// tell hands a value to the receiver that is not an object with members inside.
func (w treeWalk) tell(m *Member, v []byte) {
	if m.Inner == nil {
		if s, ok := String(v); ok {
			w.to.Text(m.Field, s)
			return
		}
	}
	w.to.Value(m, v)
}

// findRaw finds a member by its name as it stands in the JSON text.
func findRaw(tree []Member, name jsontext.Value) *Member {
	bare, ok := String(name)
	if !ok {
		return nil
	}
	return findMember(tree, bare)
}

// String returns what a JSON string says: as a part of it where that is possible.
func String(v []byte) ([]byte, bool) {
	if v[0] != '"' {
		return nil, false
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1], true
	}
	unquoted, err := jsontext.AppendUnquote(nil, v)
	return unquoted, err == nil
}
