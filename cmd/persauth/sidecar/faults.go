package sidecar

// What is wrong with a configuration: all of it at once, each with its place in
// the file, and with the word that was meant.

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/persauth/persauth/cmd/persauth/internal/spelling"
)

// faults collects what is wrong. The zero value knows no lines.
type faults struct {
	// lines are where values stand in the file, by path: "routes[2].methods[0]".
	lines map[string]int
	all   []fault
}

type fault struct {
	line int // 0: of the file as a whole
	text string
}

// add reports something about the value at a path.
func (f *faults) add(path, format string, args ...any) {
	f.onLine(f.line(path), format, args...)
}

// onLine does the same for one whose line is known.
func (f *faults) onLine(line int, format string, args ...any) {
	f.all = append(f.all, fault{line, fmt.Sprintf(format, args...)})
}

// line is where a value stands, or what it is in: "routes[2]" for what is missing
// there.
func (f *faults) line(path string) int {
	for path != "" {
		if line, known := f.lines[path]; known {
			return line
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return 0
}

// word reports a word that is none of those known.
func (f *faults) word(path, name, got string, known ...string) {
	f.wordOr(path, name, got, "", known...)
}

// wordOr is for words beside which something else is taken, too.
func (f *faults) wordOr(path, name, got, other string, known ...string) {
	if slices.Contains(known, got) {
		return
	}
	f.add(path, "%s is %s: want %s%s", name, printable(cmp.Or(got, "missing")), orList(known, other), didYouMean(got, known))
}

// notNearly reports words that are not quite one of those known.
func (f *faults) notNearly(path, name string, got, known []string) {
	for i, word := range got {
		if meant := didYouMean(word, known); meant != "" && !slices.Contains(known, word) {
			f.add(fmt.Sprintf("%s[%d]", path, i), "%s is %s, which PERS has not%s", name, printable(word), meant)
		}
	}
}

// orList is "a, b or c".
func orList(words []string, other string) string {
	if other != "" {
		words = append(slices.Clone(words), other)
	}
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// err is everything, in the order of the file; nil if nothing is wrong.
func (f *faults) err(file string) error {
	if len(f.all) == 0 {
		return nil
	}
	slices.SortStableFunc(f.all, func(a, b fault) int { return cmp.Compare(a.line, b.line) })
	lines := make([]string, len(f.all))
	for i, one := range f.all {
		place := file
		if one.line > 0 {
			place += ":" + strconv.Itoa(one.line)
		}
		lines[i] = place + ": " + one.text
	}
	return configError(strings.Join(lines, "\n"))
}

// configError is what is wrong, one line for each fault.
type configError string

func (e configError) Error() string { return string(e) }

// synonyms are what people write who think of what it does.
var synonyms = map[string]string{"admin": "tenant", "administrator": "tenant", "on": "always", "none": "off", "false": "off", "any": "*", "all": "*"}

// didYouMean is the known word that is nearest, as the end of a sentence; "" where
// none is near.
func didYouMean(got string, known []string) string {
	if meant := synonyms[strings.ToLower(got)]; slices.Contains(known, meant) {
		return "; did you mean " + meant + "?"
	}
	if best := spelling.Nearest(got, known); best != "" {
		return "; did you mean " + best + "?"
	}
	return ""
}

// printable makes a text fit for a log and an error.
func printable(s string) string {
	const most = 100
	for _, r := range s {
		if !unicode.IsPrint(r) || len(s) > most {
			return strconv.QuoteToASCII(s[:min(len(s), most)])
		}
	}
	return s
}
