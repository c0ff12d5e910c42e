package persauthclient

// A call of PERS over HTTP: where it may go, what it brings, and what comes back.

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/persauth/persauth/internal/redact"
)

const (
	// callLimit ends a call that nobody else ends. It is generous, because an
	// answer that is not waited for is a refresh token that is lost.
	callLimit = 2 * time.Minute
	// maxAnswer bounds what PERS may answer, in bytes: two tokens of 16 KiB, or a
	// thousand options.
	maxAnswer = 256 << 10
	// maxRetryAfter is the longest pause that PERS can ask for.
	maxRetryAfter = 5 * time.Minute
)

// answer is what came back, whatever its status.
type answer struct {
	status int
	header http.Header
	body   []byte
	now    time.Time
}

func (a answer) ok() bool { return a.status >= 200 && a.status <= 299 }

// post sends a request and reads the answer, which has a 2xx status.
func (c *Client) post(ctx context.Context, op, path string, body []byte, key *Key) (answer, error) {
	base, err := c.base()
	if err != nil {
		return answer{}, &Error{Op: op, Err: ErrUnavailable, Cause: err}
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	got, err := c.send(ctx, op, base+path, body, key)
	if err == nil && key != nil && got.wantsNonce() && c.keepNonce(got.header) {
		got, err = c.send(ctx, op, base+path, body, key) // RFC 9449 §8: once
	}
	if err != nil {
		return answer{}, err
	}
	c.keepNonce(got.header)
	if !got.ok() {
		return answer{}, got.refusal(op)
	}
	return got, nil
}

func (c *Client) send(ctx context.Context, op, address string, body []byte, key *Key) (answer, error) {
	fail := func(cause error) (answer, error) {
		return answer{}, &Error{Op: op, Err: ErrUnavailable, Cause: redact.Error(cause)}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fail(err)
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("x-project-key", c.ProjectKey)
	if key != nil {
		nonce := ""
		if held := c.nonce.Load(); held != nil {
			nonce = *held
		}
		proof, err := key.prove(http.MethodPost, r.URL, "", nonce, c.now())
		if err != nil {
			return answer{}, &Error{Op: op, Got: "a proof cannot be made", Err: ErrUnavailable, Cause: err}
		}
		r.Header.Set("DPoP", proof)
	}
	client := http.Client{}
	if c.HTTPClient != nil {
		client = *c.HTTPClient
	}
	// A redirect would take the token to whatever address stands there.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := client.Do(r)
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	content, err := redact.ReadAll(response.Body, maxAnswer)
	if err != nil {
		return fail(err)
	}
	return answer{response.StatusCode, response.Header, content, c.now()}, nil
}

// keepNonce keeps the nonce of an answer, and reports whether there is one.
func (c *Client) keepNonce(h http.Header) bool {
	nonce, ok := nonceIn(h)
	if !ok {
		return false
	}
	if held := c.nonce.Load(); held == nil || *held != nonce {
		c.nonce.Store(&nonce)
	}
	return true
}

// base checks the fields of the client, and returns the base URL without a slash
// at its end.
func (c *Client) base() (string, error) {
	if c.ProjectKey == "" || strings.ContainsFunc(c.ProjectKey, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", redact.Text("ProjectKey is empty, or has a character that no project key has: a line break from a file, perhaps")
	}
	address := c.BaseURL
	if address == "" {
		address = defaultBaseURL
	}
	base, err := parseBase("BaseURL", address, c.InsecureAllowHTTP)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(base.String(), "/"), nil
}

// parseBase reads an address that tokens may be sent to.
func parseBase(name, address string, allowHTTP bool) (*url.URL, error) {
	base, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, redact.Text(name + " is not a URL") // the text may hold a password
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, redact.Text(name + " must be https")
	case base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, redact.Text(name + " must be of the form https://host")
	case strings.ContainsFunc(base.Host, func(r rune) bool { return r > '~' }):
		return nil, redact.Text(name + " has a host that is not ASCII: write it as its xn-- name")
	case base.Scheme == "http" && !allowHTTP && !isLoopback(base.Hostname()):
		return nil, redact.Text(name + " must be https: over plain http anyone on the way could read the token")
	}
	return base, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// retryAfter returns the Retry-After of an answer (RFC 9110 §10.2.3), or 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	seconds, err := strconv.ParseUint(value, 10, 31)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
