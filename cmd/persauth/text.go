package main

// Text that is fit for a terminal. What a token says, a stranger may have
// written: no control character of it may reach the terminal, and none of it
// may look like words of ours.

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/term"
)

// isTerminal reports whether a stream, a reader or a writer, is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// shown returns a stranger's text as it is when it is one plain word, such as an
// id or an address, and quoted otherwise.
func shown(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@+|", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// shownAll is shown for several.
func shownAll(all []string) string {
	list := make([]string, len(all))
	for i, s := range all {
		list[i] = shown(s)
	}
	return strings.Join(list, ", ")
}

// printable escapes what is not printable in a sentence of ours.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strconv.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

// printableJSON escapes what is not printable in a JSON text, which means the
// same afterwards: outside of strings there is nothing to escape.
func printableJSON(text []byte) []byte {
	clean := 0
	for clean < len(text) && (text[clean] >= ' ' && text[clean] < 0x7f || text[clean] == '\n') {
		clean++
	}
	if clean == len(text) {
		return text
	}
	safe := append(make([]byte, 0, len(text)+64), text[:clean]...)
	for rest := text[clean:]; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		if strconv.IsPrint(r) || r == '\n' {
			safe = utf8.AppendRune(safe, r)
		} else if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
			safe = fmt.Appendf(safe, `\u%04x\u%04x`, high, low)
		} else {
			safe = fmt.Appendf(safe, `\u%04x`, r)
		}
	}
	return safe
}

// when shows a time, and how far it is from now.
func when(t, now time.Time) string {
	return fmt.Sprintf("%s (%s)", t.UTC().Format("2006-01-02 15:04:05 MST"), relative(t.Sub(now)))
}

// relative shows a distance from now: "in 14m", "3h5m ago".
func relative(d time.Duration) string {
	size := d.Abs()
	const day, year = 24 * time.Hour, 8766 * time.Hour
	var text string
	switch {
	case size < time.Second:
		return "now"
	case size < time.Minute:
		text = fmt.Sprintf("%ds", size/time.Second)
	case size < time.Hour:
		text = fmt.Sprintf("%dm", size/time.Minute)
	case size < 2*day:
		text = fmt.Sprintf("%dh%dm", size/time.Hour, size%time.Hour/time.Minute)
	case size < 2*year:
		text = fmt.Sprintf("%d days", size/day)
	default:
		text = fmt.Sprintf("%d years", size/year)
	}
	if d < 0 {
		return text + " ago"
	}
	return "in " + text
}

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
