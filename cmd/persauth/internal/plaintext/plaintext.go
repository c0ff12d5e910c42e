// Package plaintext makes text fit for people. What a token says, a stranger may
// have written: no control character of it may reach a terminal, and none of it
// may look like words of ours.
package plaintext

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Shown returns a stranger's text as it is when it is one plain word, such as an
// id or an address, and quoted otherwise.
func Shown(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.:/@+|", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	return strconv.Quote(s)
}

// ShownAll is shown for several.
func ShownAll(all []string) string {
	list := make([]string, len(all))
	for i, s := range all {
		list[i] = Shown(s)
	}
	return strings.Join(list, ", ")
}

// Printable escapes what is not printable in a sentence of ours.
func Printable(s string) string {
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

// PrintableJSON escapes what is not printable in a JSON text, which means the
// same afterwards: outside of strings there is nothing to escape.
func PrintableJSON(text []byte) []byte {
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

// When shows a time, and how far it is from now.
func When(t, now time.Time) string {
	return fmt.Sprintf("%s (%s)", t.UTC().Format("2006-01-02 15:04:05 MST"), Relative(t.Sub(now)))
}

// Relative shows a distance from now: "in 14m", "3h5m ago".
func Relative(d time.Duration) string {
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

// TimeAt returns the time so many seconds after the start of 1970.
func TimeAt(seconds float64) (time.Time, error) {
	const yearZero, yearTenThousand = -62167219200, 253402300800
	if seconds < yearZero || seconds >= yearTenThousand {
		return time.Time{}, errors.New("it is not in the years 0 to 9999: milliseconds, perhaps")
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC(), nil
}
