package persauth

// The PERS API over HTTP: one place that adds the project key, bounds what comes
// back, and decides where a request may go.

import (
	"context"
	"crypto/tls"
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
)

const (
	defaultBaseURL = "https://api.pers.ninja/v2"
	keysPath       = "/.well-known/jwks.json"

	// The bounds of what an answer says of how long it is good for.
	minFresh = time.Minute
	maxFresh = 24 * time.Hour
)

// api is the PERS API as one tenant sees it.
type api struct {
	client     *http.Client
	base       string // without a slash at the end
	projectKey string
	now        func() time.Time
}

// answer is what came back with a 2xx status.
type answer struct {
	body   []byte
	header http.Header
}

// call sends one request and reads the whole answer. The error is an *Error
// that is ErrUnavailable; it never holds the project key, nor what was sent or
// answered.
func (a *api) call(ctx context.Context, method, path string, body io.Reader, set map[string]string, limit int64) (answer, error) {
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
		cause := harmless(err)
		var timeout net.Error
		if !(errors.As(err, &timeout) && timeout.Timeout()) {
			cause = &connectionError{cause}
		}
		return answer{}, a.failed(method, path, cause)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		e := a.failed(method, path, statusError(resp.StatusCode))
		e.RetryAfter = retryAfter(resp.Header, a.now())
		return answer{}, e
	}
	content, err := readLimited(resp.Body, limit)
	if err != nil {
		return answer{}, a.failed(method, path, harmless(err))
	}
	return answer{content, resp.Header}, nil
}

func (a *api) failed(method, path string, cause error) *Error {
	return &Error{Check: method + " " + a.base + path, Want: "an answer with a 2xx status", Err: ErrUnavailable, Cause: cause}
}

// connectionError says that no answer came at all.
type connectionError struct{ cause error }

func (e *connectionError) Error() string { return e.cause.Error() }
func (e *connectionError) Unwrap() error { return e.cause }

// statusError is a status other than 2xx.
type statusError int

func (s statusError) Error() string {
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

// ownError is a text that this package wrote itself.
type ownError string

func (e ownError) Error() string { return string(e) }

// harmless returns of an error of the HTTP client what nobody else has written.
// Others repeat what was sent or answered: a Location that is no URL, a line that
// is no header; and whoever answers knows the token and the project key.
func harmless(err error) error {
	var own ownError
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &network):
		return network
	case errors.As(err, &certificate):
		return certificate
	}
	for _, known := range []error{context.DeadlineExceeded, context.Canceled, io.ErrUnexpectedEOF, io.EOF, http.ErrSchemeMismatch} {
		if errors.Is(err, known) {
			return known
		}
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return ownError(fmt.Sprintf("the exchange broke off (%T)", err))
}

// remoteOrigin reads the tenant's key set from PERS.
type remoteOrigin struct{ *api }

func (o remoteOrigin) name() string { return "remote" }

func (o remoteOrigin) read(ctx context.Context, fresh bool) (reading, error) {
	set := map[string]string{}
	if fresh {
		set["Cache-Control"] = "no-cache" // RFC 9111 §5.2.1.4
	}
	got, err := o.call(ctx, http.MethodGet, keysPath, nil, set, maxSetSize)
	if err != nil {
		return reading{}, err
	}
	return reading{body: got.body, freshFor: freshFor(got.header)}, nil
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

// maxRetryAfter is the longest pause that an answer can ask for.
const maxRetryAfter = 5 * time.Minute

// retryAfter returns the Retry-After of an answer (RFC 9110 §10.2.3), or 0.
func retryAfter(h http.Header, now time.Time) time.Duration {
	value := h.Get("Retry-After")
	if delay, ok := deltaSeconds(value); ok {
		return min(delay, maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
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

// newAPI checks where the API is and makes a client for it.
func newAPI(cfg *Config) (*api, error) {
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
	case base.Scheme == "http" && !cfg.InsecureAllowHTTP && !loopback(base.Hostname()):
		return nil, errors.New("BaseURL must be https: over plain http anyone on the way could put in keys")
	case base.Scheme != "http" && base.Scheme != "https":
		return nil, errors.New("BaseURL must be https")
	}
	client := http.Client{}
	if cfg.HTTPClient != nil {
		client = *cfg.HTTPClient
	}
	client.Transport = noRedirects{client.Transport}
	return &api{client: &client, base: strings.TrimSuffix(base.String(), "/"), projectKey: cfg.ProjectKey, now: cfg.Now}, nil
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

// checkProjectKey finds what would make a project key fail, or leak, on its
// way. Its exact form is PERS' business. The error does not repeat it.
func checkProjectKey(key string) error {
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
