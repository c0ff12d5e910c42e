package sidecar

// Paths that everybody reads in the same way. The sidecar decides by the path,
// and the service behind the proxy reads it again by rules of its own: what two
// of them could read differently is refused here, not repaired. A repaired path
// would be our guess, and the service would still get the other one.

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxURI is how long the original URI may be.
const maxURI = 8 << 10

// plainPath splits a request target (RFC 9112 §3.2.1) and returns its path as it
// was sent and with its escapes decoded. It reports what is wrong with a path
// that could be read in two ways, and "" for a good one.
func plainPath(uri string) (raw, decoded, problem string) {
	raw, _, _ = strings.Cut(uri, "?")
	switch {
	case len(uri) > maxURI:
		return "", "", "URI is too long"
	case !strings.HasPrefix(raw, "/"):
		return "", "", "path does not begin with a slash"
	}
	// Also in the query nothing may end the line or the address.
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c >= 0x7f || c == '#' {
			return "", "", "URI has a character that must be escaped"
		}
	}
	if decoded, problem = unescaped(raw); problem != "" {
		return "", "", problem
	}
	for rest, more := decoded[1:], true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		switch {
		case part == "." || part == "..":
			return "", "", "path has dot segments"
		case part == "" && more:
			return "", "", "path has two slashes in a row"
		case part != "" && trimmable(part):
			// Windows drops such ends of names, and many trim what they read.
			return "", "", "path has a part that ends with a dot, or begins or ends with a space"
		}
	}
	return raw, decoded, ""
}

// unescaped is a path with its escapes decoded.
func unescaped(raw string) (decoded, problem string) {
	var b strings.Builder
	done := 0 // what is in b, or could be as it is
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			escape, err := strconv.ParseUint(raw[i+1:min(i+3, len(raw))], 16, 8)
			if err != nil || i+2 >= len(raw) {
				return "", "path has a broken escape"
			}
			c = byte(escape)
			if unreserved(c) {
				// RFC 3986 §6.2.2.2 takes "%61" for "a", and many routers do not.
				return "", "path has an escape that it does not need"
			}
			if c == '/' {
				return "", "path has an escaped slash"
			}
			b.WriteString(raw[done:i])
			b.WriteByte(c)
			i += 2
			done = i + 1
		}
		switch {
		case strings.IndexByte(`\%;?#`, c) >= 0:
			// A slash to Windows, an escape to who decodes twice, a parameter
			// to servlets, the path's end to who decodes before splitting.
			return "", "path has a backslash, semicolon or other character that servers read in different ways"
		case c < ' ' || c == 0x7f:
			return "", "path has a control character"
		}
	}
	if done == 0 {
		return raw, "" // ASCII, as the whole URI
	}
	b.WriteString(raw[done:])
	return b.String(), strange(b.String())
}

// strange is what is wrong with the characters of a path beyond ASCII.
func strange(decoded string) (problem string) {
	if !utf8.ValidString(decoded) {
		// An overlong form of a slash or a dot, perhaps.
		return "path is not UTF-8"
	}
	for _, r := range decoded {
		switch {
		case r < utf8.RuneSelf:
		case !unicode.IsGraphic(r):
			return "path has a control character"
		case readsAsSeparator(r):
			return "path has a character that some servers take for a slash, a dot or another separator"
		}
	}
	return ""
}

// trimmable reports whether a part of a path begins with a space, or ends with one
// or with a dot.
func trimmable(part string) bool {
	first, _ := utf8.DecodeRuneInString(part)
	last, _ := utf8.DecodeLastRuneInString(part)
	return unicode.IsSpace(first) || unicode.IsSpace(last) || last == '.'
}

// unreserved characters mean the same with an escape and without (RFC 3986 §2.3).
func unreserved(c byte) bool {
	return letterOrDigit(c) || strings.IndexByte("-._~", c) >= 0
}
