package persauth

// Lists of texts as one text, so that a list costs no memory but its elements':
// before each element stands its length, in two bytes.

import (
	"iter"
	"slices"
	"strings"
)

// appendElement adds an element to a list. It must be shorter than 64 KiB, as
// all that is in a token is.
func appendElement(list, element []byte) []byte {
	return append(append(list, byte(len(element)>>8), byte(len(element))), element...)
}

// elements gives the elements of a list.
func elements[T string | []byte](list T) iter.Seq[T] {
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

// joined is a list for people.
func joined(list string) string { return strings.Join(slices.Collect(elements(list)), ", ") }
