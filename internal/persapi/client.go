package persapi

// The PERS API over HTTP: one place that adds the project key, bounds what comes
// back, and decides where a request may go.

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/persauth/persauth/internal/redact"
)

const (
	defaultBaseURL = "https://api.pers.ninja/v2"
	keysPath       = "/.well-known/jwks.json"
	verifyPath     = "/auth/verify"
	// maxKeysSize and maxVerifySize bound what is read of an answer, in bytes.
	maxKeysSize   = 1 << 20
	maxVerifySize = 256 << 10
)

// Settings say where the API is, and as which tenant it is called.
type Settings struct {
	BaseURL    string // empty: production
	ProjectKey string
	HTTPClient *http.Client // nil: one with the default transport
	AllowHTTP  bool         // plain http to any host
	Now        func() time.Time
}

// Client is the PERS API as one tenant sees it. It is safe for concurrent use.
type Client struct {
	client     *http.Client
	base       string // without a slash at the end
	projectKey string
	now        func() time.Time
}

// Error says that a call got no answer with a 2xx status. It never holds the
// project key, nor what was sent or answered.
type Error struct {
	Call       string        // method and address
	RetryAfter time.Duration // 0: the answer did not say, or there was none
	Cause      error
}

func (e *Error) Error() string { return e.Call + ": " + e.Cause.Error() }
func (e *Error) Unwrap() error { return e.Cause }

// PauseFor is how long PERS asked not to be called.
func (e *Error) PauseFor() time.Duration { return e.RetryAfter }

// Keys gets the key set. fresh asks for an answer that no cache on the way gives.
// goodFor is how long the answer says that it may be used, or 0. An error is an
// *Error.
func (a *Client) Keys(ctx context.Context, fresh bool) (body []byte, goodFor time.Duration, err error) {
	set := map[string]string{}
	if fresh {
		set["Cache-Control"] = "no-cache" // RFC 9111 §5.2.1.4
	}
	got, err := a.call(ctx, http.MethodGet, keysPath, nil, set, maxKeysSize)
	if err != nil {
		return nil, 0, err
	}
	return got.body, freshFor(got.header), nil
}

// KeysURL is where the key set is.
func (a *Client) KeysURL() string { return a.base + keysPath }

// TenantTag tells the project keys of tenants apart, and does not give them away: a
// project key has far too many bits to be guessed from its hash.
func (a *Client) TenantTag() string {
	sum := sha256.Sum256([]byte("persauth snapshot\x00" + a.projectKey))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// Verify asks what PERS says of a token, and returns its answer. An error is an
// *Error.
func (a *Client) Verify(ctx context.Context, token string) ([]byte, error) {
	body, err := json.Marshal(map[string]string{"authToken": token})
	if err != nil {
		return nil, a.failed(http.MethodPost, verifyPath, redact.Text("the token is no text"))
	}
	got, err := a.call(ctx, http.MethodPost, verifyPath, bytes.NewReader(body),
		map[string]string{"Content-Type": "application/json"}, maxVerifySize)
	return got.body, err
}

// answer is what came back with a 2xx status.
type answer struct {
	body   []byte
	header http.Header
}

// call sends one request and reads the whole answer. An error is an
// *Error.
func (a *Client) call(ctx context.Context, method, path string, body io.Reader, set map[string]string, limit int64) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return answer{}, a.failed(method, path, err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("x-project-key", a.projectKey)
	for name, value := range set {
		req.Header.Set(name, value)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		cause := redact.Error(err)
		var timeout net.Error
		if !(errors.As(err, &timeout) && timeout.Timeout()) {
			cause = &ConnectionError{cause}
		}
		return answer{}, a.failed(method, path, cause)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		e := a.failed(method, path, StatusError(resp.StatusCode))
		e.RetryAfter = retryAfter(resp.Header, a.now())
		return answer{}, e
	}
	content, err := redact.ReadAll(resp.Body, limit)
	if err != nil {
		return answer{}, a.failed(method, path, redact.Error(err))
	}
	return answer{content, resp.Header}, nil
}

func (a *Client) failed(method, path string, cause error) *Error {
	return &Error{Call: method + " " + a.base + path, Cause: cause}
}

// ConnectionError says that no answer came at all.
type ConnectionError struct{ cause error }

func (e *ConnectionError) Error() string { return e.cause.Error() }
func (e *ConnectionError) Unwrap() error { return e.cause }

// StatusError is a status other than 2xx.
type StatusError int

func (s StatusError) Error() string {
	text := fmt.Sprintf("status %d", int(s))
	switch s {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += ": PERS does not accept the project key, or the token"
	case http.StatusTooManyRequests:
		text += ": the calls that PERS allows to the project key are used up"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		text += ": a redirect, which is never followed"
	}
	return text
}

// freshFor returns how long an answer is good for: its max-age (RFC 9111 §5.2.2.1)
// less the time that it spent in caches (§5.1), or 0 where it does not say. A max-age
// of 0 counts as none: it forbids to reuse an answer, and says nothing of how long
// keys live.
func freshFor(h http.Header) time.Duration {
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if !strings.EqualFold(name, "max-age") {
				continue
			}
			if maxAge, ok := deltaSeconds(strings.Trim(value, `"`)); ok {
				age, _ := deltaSeconds(h.Get("Age"))
				return min(maxAge, max(maxAge-age, time.Second))
			}
		}
	}
	return 0
}

// MaxRetryAfter is the longest pause that an answer can ask for.
const MaxRetryAfter = 5 * time.Minute

// retryAfter returns the Retry-After of an answer (RFC 9110 §10.2.3), or 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if delay, ok := deltaSeconds(value); ok {
		return min(delay, MaxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), MaxRetryAfter)
	}
	return 0
}

// deltaSeconds reads a number of seconds. One that is too large counts as 2^31,
// as RFC 9111 §1.2.2 has it.
func deltaSeconds(s string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(s, 10, 31)
	if errors.Is(err, strconv.ErrRange) {
		seconds, err = 1<<31, nil
	}
	return time.Duration(seconds) * time.Second, err == nil
}

// New checks where the API is and makes a client for it.
func New(cfg Settings) (*Client, error) {
	address := cfg.BaseURL
	if address == "" {
		address = defaultBaseURL
	}
	base, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("BaseURL is not a URL") // the text may hold a password
	case base.Hostname() == "" || base.User != nil || base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("BaseURL must be of the form https://host/path")
	case base.Scheme == "http" && !cfg.AllowHTTP && !loopback(base.Hostname()):
		return nil, errors.New("BaseURL must be https: over plain http anyone on the way could put in keys")
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("BaseURL must be https")
	}
	client := http.Client{}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	client.Transport = noRedirects{client.Transport}
	return &Client{client: &client, base: strings.TrimSuffix(base.String(), "/"), projectKey: cfg.ProjectKey, now: cfg.Now}, nil
}

// noRedirects hides from the HTTP client where a redirect leads, so that it
// follows none, to any host: a redirected POST becomes a GET without the token
// (RFC 9110 §15.4.3), the project key goes along, and what is found there is no
// answer to what was asked. A Location that is not a URL is never parsed.
type noRedirects struct{ inner http.RoundTripper }

func (t noRedirects) RoundTrip(req *http.Request) (*http.Response, error) {
	inner := t.inner
	if inner == nil {
		inner = http.DefaultTransport
	}
	resp, err := inner.RoundTrip(req)
	if err == nil && resp.Header.Get("Location") != "" {
		resp.Header = resp.Header.Clone() // a cache may hold the original
		resp.Header.Del("Location")
	}
	return resp, err
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// CheckProjectKey finds what would make a project key fail, or leak, on its
// way. Its exact form is PERS' business. The error does not repeat it.
func CheckProjectKey(key string) error {
	if strings.TrimSpace(key) != key {
		return errors.New("ProjectKey has white space around it: a line break from a file, perhaps")
	}
	for _, c := range key {
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return errors.New("ProjectKey has a character that no project key has")
		}
	}
	return nil
}
