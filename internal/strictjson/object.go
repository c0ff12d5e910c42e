package strictjson

// JSON, read strictly: whatever two readers could take for two things is refused.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/persauth/persauth/internal/redact"
)

// MaxDepth bounds how deep objects and arrays may nest.
const MaxDepth = 32

// Object decodes one JSON object: member names are case-sensitive and
// come once, text is valid UTF-8, nothing follows, and it is not nested deep.
func Object(raw []byte, into any) error {
	if err := shallowObject(raw); err != nil {
		return err
	}
	return Error(json.Unmarshal(raw, into))
}

// Members calls take for each member of what Object takes, in order.
// What the JSON library prepares when it first decodes a type is not needed then;
// it is a good part of what a function takes to start. A value is a part of raw.
func Members(raw []byte, take func(name string, value jsontext.Value)) error {
	if err := shallowObject(raw); err != nil {
		return err
	}
	return Error(Read(raw, func(dec *jsontext.Decoder) error { return EachMember(dec, raw, take) }))
}

func shallowObject(raw []byte) error {
	if jsontext.Value(raw).Kind() != '{' {
		return errors.New("not a JSON object")
	}
	if tooDeep(raw) {
		return fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	return nil
}

// decoders are JSON decoders with the memory that they grew.
var decoders = sync.Pool{New: func() any { return new(jsontext.Decoder) }}

// idleInput is what a decoder reads while it is not used, so that it keeps nothing
// else alive.
var idleInput = new(bytes.Buffer)

// Read lets read decode all of raw, which is one JSON value.
func Read(raw []byte, read func(*jsontext.Decoder) error, options ...jsontext.Options) error {
	dec := decoders.Get().(*jsontext.Decoder)
	defer decoders.Put(dec)
	dec.Reset(bytes.NewBuffer(raw), options...)
	defer dec.Reset(idleInput)
	if err := read(dec); err != nil {
		return err
	}
	switch _, err := dec.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return redact.Text("not one JSON value: something follows it")
	default:
		return err
	}
}

// EachMember calls take for each member of the object that comes next in what dec
// reads, which is raw.
func EachMember(dec *jsontext.Decoder, raw []byte, take func(name string, value jsontext.Value)) error {
	if _, err := dec.ReadToken(); err != nil {
		return err
	}
	for dec.PeekKind() != '}' {
		token, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := token.String()
		value, err := nextValue(dec, raw)
		if err != nil {
			return err
		}
		take(name, value)
	}
	_, err := dec.ReadToken()
	return err
}

// nextValue returns the value that comes next in what dec reads, as the part of it
// that it is: what dec returns is only good for a moment.
func nextValue(dec *jsontext.Decoder, raw []byte) (jsontext.Value, error) {
	value, err := dec.ReadValue()
	end := int(dec.InputOffset())
	return raw[end-len(value) : end : end], err
}

// Elements returns the elements of a valid JSON array, whose members may come
// twice. They are parts of it.
func Elements(array jsontext.Value) (elements []jsontext.Value) {
	_ = Read(array, func(dec *jsontext.Decoder) error {
		if _, err := dec.ReadToken(); err != nil {
			return err
		}
		for dec.PeekKind() != ']' {
			element, err := nextValue(dec, array)
			if err != nil {
				return err
			}
			elements = append(elements, element)
		}
		_, err := dec.ReadToken()
		return err
	}, jsontext.AllowDuplicateNames(true))
	return elements
}

// tooDeep reports whether raw nests deeper than allowed. Brackets inside
// strings count too, but only where there are so many that a scan is needed.
func tooDeep(raw []byte) bool {
	if bytes.Count(raw, []byte("{"))+bytes.Count(raw, []byte("[")) <= MaxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// Error keeps of a JSON error what helps to find the fault and drops
// what the text says: an error never carries parts of a token.
func Error(err error) error {
	if err == nil {
		return nil
	}
	var own redact.Text
	if errors.As(err, &own) {
		return own
	}
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return errors.New("not JSON of the expected form")
	}
	what := "not valid JSON"
	if errors.Is(err, jsontext.ErrDuplicateName) {
		what = "a member name comes twice"
	} else if errors.Is(err, jsontext.ErrNonStringName) {
		what = "a member name is not a string"
	}
	return fmt.Errorf("%s, at byte %d", what, syntax.ByteOffset)
}

// KindName names the type of a JSON value for an error.
func KindName(v jsontext.Value) string {
	switch v.Kind() {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "nothing"
}
