package persauthclient

// What an answer asks for: a nonce (RFC 9449 §8, §9), or another token.

import (
	"net/http"
	"strings"
)

// maxNonce is the longest nonce, in bytes, that is sent back.
const maxNonce = 512

// nonceIn returns the nonce that an answer has for the next proof (RFC 9449 §8.1,
// §8.2).
func nonceIn(h http.Header) (string, bool) {
	values := h["Dpop-Nonce"]
	if len(values) != 1 || !isNonce(values[0]) {
		return "", false
	}
	return values[0], true
}

// isNonce is the syntax of RFC 9449 §8.1: nothing in it needs quoting in JSON.
func isNonce(s string) bool {
	return s != "" && len(s) <= maxNonce && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// challengeError returns the error code of a challenge (RFC 6750 §3, RFC 9449
// §7.1), or "".
func challengeError(h http.Header) string {
	for _, challenge := range h["Www-Authenticate"] {
		for i := 0; ; {
			at := strings.Index(challenge[i:], "error=")
			if at < 0 {
				break
			}
			i += at
			if i == 0 || challenge[i-1] == ' ' || challenge[i-1] == ',' || challenge[i-1] == '\t' {
				code := strings.TrimPrefix(challenge[i+len("error="):], `"`)
				if end := strings.IndexAny(code, "\", \t"); end >= 0 {
					code = code[:end]
				}
				return code
			}
			i += len("error=")
		}
	}
	return ""
}
