package main

// Text that is fit for a terminal. What a token says, a stranger may have
// written: no control character of it may reach the terminal, and none of it
// may look like words of ours.

import (
	"fmt"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/persauth/persauth/cmd/persauth/internal/plaintext"
	"golang.org/x/term"
)

// isTerminal reports whether a stream, a reader or a writer, is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func shown(s string) string            { return plaintext.Shown(s) }
func shownAll(all []string) string     { return plaintext.ShownAll(all) }
func printable(s string) string        { return plaintext.Printable(s) }
func printableJSON(text []byte) []byte { return plaintext.PrintableJSON(text) }
func when(t, now time.Time) string     { return plaintext.When(t, now) }
func relative(d time.Duration) string  { return plaintext.Relative(d) }

// table writes rows of a name and a value under each other. A row without a
// value is left out.
func table(b *strings.Builder, rows [][2]string) {
	width := 0
	for _, row := range rows {
		if row[1] != "" {
			width = max(width, utf8.RuneCountInString(row[0]))
		}
	}
	for _, row := range rows {
		if row[1] != "" {
			fmt.Fprintf(b, "  %-*s  %s\n", width, row[0], row[1])
		}
	}
}
