// Package pages keeps the code in documentation true: what a page shows stands in a
// file that is compiled, and run by a test.
package pages

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// CheckCode fails the test for each block of Go code on a page whose lines do not
// stand, one after the other, in one of the sources. Indentation does not count.
func CheckCode(t testing.TB, page string, sources ...string) {
	t.Helper()
	var compiled []string
	for _, source := range sources {
		compiled = append(compiled, trimmed(read(t, source)))
	}
	blocks := goBlock.FindAllStringSubmatch(read(t, page), -1)
	if len(blocks) == 0 {
		t.Errorf("%s shows no code", page)
	}
next:
	for _, block := range blocks {
		want := trimmed(block[1])
		for _, source := range compiled {
			if strings.Contains(source, want) {
				continue next
			}
		}
		t.Errorf("%s shows code that is in none of %v:\n%s", page, sources, block[1])
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// trimmed returns the lines of a text without indentation, and without those that
// are empty.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
