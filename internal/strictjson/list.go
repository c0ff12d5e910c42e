package strictjson

// Lists of texts as one text, so that a list costs no memory but its elements':
// before each element stands its length, in two bytes.

import (
	"iter"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// AppendToList adds an element to a list. It must be shorter than 64 KiB, as
// all that is in a token is.
func AppendToList(list, element []byte) []byte {
	return append(append(list, byte(len(element)>>8), byte(len(element))), element...)
}

// List gives the elements of a list.
func List[T string | []byte](list T) iter.Seq[T] {
	return func(yield func(T) bool) {
		for len(list) > 0 {
			end := 2 + int(list[0])<<8 + int(list[1])
			if !yield(list[2:end]) {
				return
			}
			list = list[end:]
		}
	}
}

// ListText is a list for people.
func ListText(list string) string { return strings.Join(slices.Collect(List(list)), ", ") }

// AppendStrings adds a JSON array of strings to a list.
func AppendStrings(list, v []byte) ([]byte, bool) {
	if v[0] != '[' {
		return list, false
	}
	if longer, ok := appendFastStrings(list, v); ok {
		return longer, true
	}
	var values []jsontext.Value
	if json.Unmarshal(v, &values) != nil {
		return list, false
	}
	for _, value := range values {
		one, ok := String(value)
		if !ok {
			return list, false
		}
		list = AppendToList(list, one)
	}
	return list, true
}
