package persauthclient

// What PERS answered, read strictly where it hands tokens out, and generously
// where it says what is wrong: the form of that is not documented.

import (
	"encoding/base64"
	"math"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// maxToken is the longest token, in bytes.
const maxToken = 16 << 10

// readTokens reads an answer with a 2xx status. Where the access token cannot be
// used, and the refresh token can, both come with the error.
func readTokens(op string, a answer, key *Key) (*Tokens, error) {
	var pair struct {
		AccessToken  string `json:"accessToken"`
		RefreshToken string `json:"refreshToken"`
	}
	wrong := func(got string) error { return &Error{Op: op, Got: got, Status: a.status, Err: ErrAnswer} }
	if err := json.Unmarshal(a.body, &pair); err != nil { // strict: no member twice, valid UTF-8
		return nil, wrong("it is not a JSON object with tokens")
	}
	if options, ok := selection(a.body); ok && pair.AccessToken == "" {
		return nil, &SelectionError{options}
	}
	if len(pair.RefreshToken) > maxToken {
		return nil, wrong("its refresh token is too long")
	}
	said := peekToken(pair.AccessToken)
	tokens := &Tokens{AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken, IssuedAt: said.issuedAt(),
		ExpiresAt: said.expiresAt(), RefreshExpiresAt: peekToken(pair.RefreshToken).expiresAt(), life: said.life(a)}
	switch {
	case pair.AccessToken == "":
		return tokens, wrong("it has no access token")
	case !isToken(pair.AccessToken):
		return tokens, wrong("its access token is not one")
	case tokens.ExpiresAt.IsZero():
		return tokens, wrong("its access token does not say when it expires")
	case tokens.life <= 0:
		return tokens, wrong("its access token has expired")
	case strings.HasSuffix(said.Type, "_REFRESH_TOKEN"):
		return tokens, wrong("its access token is a refresh token")
	}
	return tokens, checkBinding(op, said, key)
}

// life is how long a token lives from now on. It goes by PERS' clock, which the
// answer tells (RFC 9110 §6.6.1): that of this machine may differ.
func (p peeked) life(a answer) time.Duration {
	expiry, issued := p.expiresAt(), p.issuedAt()
	if expiry.IsZero() {
		return 0
	}
	life := longestLife
	if !issued.IsZero() {
		life = min(life, expiry.Sub(issued))
	}
	if sent, err := http.ParseTime(a.header.Get("Date")); err == nil {
		return min(life, expiry.Sub(sent))
	}
	if issued.IsZero() {
		life = min(life, expiry.Sub(a.now))
	}
	return life
}

// checkBinding holds the key of a token against the one that was asked for.
func checkBinding(op string, said peeked, key *Key) error {
	got := ""
	switch bound := said.Confirmation.Thumbprint; {
	case key == nil && bound != "":
		got = "a token that is bound to a key, and no key was given"
	case key != nil && bound == "":
		got = "a token that is bound to no key: PERS does not bind tokens as RFC 9449 §5 says, and a client without a key would get the same"
	case key != nil && bound != key.thumbprint:
		got = "a token that is bound to another key"
	default:
		return nil
	}
	return &Error{Op: op, Got: got, Err: ErrAnswer}
}

// isToken reports whether a text can stand in an Authorization header (RFC 6750
// §2.1).
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~+/=", r))
	})
}

// peeked is what a token says of itself. Nobody has verified it: it may say when
// to refresh, and refuse a token, and never accept one.
type peeked struct {
	Expiry       float64 `json:"exp"`
	Issued       float64 `json:"iat"`
	Type         string  `json:"type"`
	Subject      string  `json:"sub"`
	Tenant       string  `json:"tenantId"`
	Business     string  `json:"businessId"`
	AuthType     string  `json:"authType"`
	Confirmation struct {
		Thumbprint string `json:"jkt"`
	} `json:"cnf"`
}

func peekToken(token string) (said peeked) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxToken {
		return peeked{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &said) != nil {
		return peeked{}
	}
	return said
}

func (p peeked) expiresAt() time.Time { return numericDate(p.Expiry) }
func (p peeked) issuedAt() time.Time  { return numericDate(p.Issued) }

// numericDate reads RFC 7519 §2. What is no time after 1970 and before the year
// 10000 is the zero time.
func numericDate(seconds float64) time.Time {
	if !(seconds > 0 && seconds < 253402300800) {
		return time.Time{}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC()
}

// refusal says what an answer with a status other than 2xx means.
func (a answer) refusal(op string) error {
	if op == opExchange {
		if options, ok := selection(a.body); ok {
			return &SelectionError{options}
		}
	}
	e := &Error{Op: op, Status: a.status, Err: ErrUnavailable, RetryAfter: retryAfter(a.header, a.now)}
	switch {
	case a.status >= 300 && a.status <= 399:
		e.Got = "a redirect, which is not followed"
	case (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized) && isProofError(a.oauthError()):
		e.Got = "the proof is not accepted: the clock of this machine, perhaps"
	case a.status == http.StatusBadRequest, a.status == http.StatusUnauthorized,
		a.status == http.StatusForbidden, a.status == http.StatusUnprocessableEntity:
		e.Err, e.RetryAfter = ErrRejected, 0
	}
	return e
}

// wantsNonce reports whether PERS asks for a nonce (RFC 9449 §8).
func (a answer) wantsNonce() bool {
	return (a.status == http.StatusBadRequest || a.status == http.StatusUnauthorized) && a.oauthError() == "use_dpop_nonce"
}

func isProofError(code string) bool { return code == "use_dpop_nonce" || code == "invalid_dpop_proof" }

// oauthError returns the error code of an answer (RFC 6749 §5.2), or "".
func (a answer) oauthError() string {
	var said struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(a.body, &said) != nil || said.Error == "" {
		return challengeError(a.header)
	}
	return said.Error
}
