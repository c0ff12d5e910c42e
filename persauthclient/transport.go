package persauthclient

// Requests with a token: where they go, and what is tried again.

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/persauth/persauth/internal/redact"
)

const (
	// drainLimit is how much of a refusal is read, in bytes, so that its
	// connection can be used again.
	drainLimit = 64 << 10
	// maxTries of one request: the first, one with a nonce, one with a new token.
	maxTries = 3
)

// TransportConfig configures a [Transport].
type TransportConfig struct {
	// Source gives the tokens. It is needed.
	Source Source
	// Origins are the services that tokens are sent to, as in
	// "https://api.example.com". At least one is needed. Plain http is taken for
	// loopback addresses only.
	Origins []string
	// Base sends the requests. nil: [http.DefaultTransport].
	Base http.RoundTripper
	// InsecureAllowHTTP allows plain http to any host: anyone on the way can read
	// the tokens.
	InsecureAllowHTTP bool
}

// Transport sends requests with a token of its [Source], and a proof where the
// token is bound to a key (RFC 9449). It is an [http.RoundTripper], safe for
// concurrent use.
//
// A request to any other origin than its own fails with [ErrOrigin]. A redirect
// to another one is followed, if the http.Client does, without a token.
//
// A service that asks for a nonce gets it, once. A token that a service does not
// accept (401) is renewed, and the request is tried once again, where its body can
// be sent again (no body, or http.Request.GetBody); else the 401 is the answer.
type Transport struct {
	source  Source
	base    http.RoundTripper
	origins []origin
}

// origin is a service that gets tokens.
type origin struct {
	scheme, host string // in lower case, without the port that goes without saying
	nonce        atomic.Pointer[string]
}

// NewTransport checks the configuration.
func NewTransport(cfg TransportConfig) (*Transport, error) {
	t := &Transport{source: cfg.Source, base: cfg.Base}
	if t.base == nil {
		t.base = http.DefaultTransport
	}
	var wrong []error
	if cfg.Source == nil {
		wrong = append(wrong, errors.New("persauthclient: Source is missing"))
	}
	if len(cfg.Origins) == 0 {
		wrong = append(wrong, errors.New("persauthclient: Origins are missing: a token must not go anywhere"))
	}
	for i, address := range cfg.Origins {
		base, err := parseBase(fmt.Sprintf("Origins[%d]", i), address, cfg.InsecureAllowHTTP)
		if err == nil && strings.Trim(base.Path, "/") != "" {
			err = redact.Text(fmt.Sprintf("Origins[%d] has a path: an origin is https://host", i))
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("persauthclient: %w", err))
			continue
		}
		scheme, host := normalOrigin(base)
		t.origins = append(t.origins, origin{scheme: scheme, host: host})
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	return t, nil
}

// Format writes nothing of the source, for every verb.
func (t *Transport) Format(f fmt.State, _ rune) { fmt.Fprint(f, "a transport with tokens") }

func normalOrigin(u *url.URL) (scheme, host string) {
	scheme = strings.ToLower(u.Scheme)
	return scheme, strings.TrimSuffix(strings.ToLower(u.Host), ":"+defaultPorts[scheme])
}

// RoundTrip sends a request with a token.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	o := t.origin(r.URL)
	if o == nil {
		if r.Response != nil { // a redirect to somebody else: it gets no token
			return t.base.RoundTrip(r)
		}
		return nil, failed(r, &Error{Op: "request", Err: ErrOrigin, Got: "it is not among TransportConfig.Origins"})
	}
	try := request{t: t, origin: o, first: r}
	for {
		response, err := try.send()
		if err != nil || response.StatusCode != http.StatusUnauthorized || !try.again(response) {
			return response, err
		}
		discard(response)
	}
}

func (t *Transport) origin(u *url.URL) *origin {
	for i := range t.origins { // as it is nearly always written
		if o := &t.origins[i]; o.host == u.Host && o.scheme == u.Scheme {
			return o
		}
	}
	scheme, host := normalOrigin(u)
	for i := range t.origins {
		if o := &t.origins[i]; o.host == host && o.scheme == scheme {
			return o
		}
	}
	return nil
}

// failed closes the body, as a RoundTripper must, and returns err.
func failed(r *http.Request, err error) error {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return err
}

func discard(response *http.Response) {
	_, _ = io.CopyN(io.Discard, response.Body, drainLimit)
	_ = response.Body.Close()
}

// request is a request on its way, with its tries.
type request struct {
	t             *Transport
	origin        *origin
	first         *http.Request
	tries         int
	nonced        bool // it was tried again with a nonce
	renewed       bool // it was tried again with another token
	authorization string
	bound         bool
}

// send tries once, with a proof of its own.
func (q *request) send() (*http.Response, error) {
	// A copy, because a RoundTripper must not change the request, and in one piece
	// with its new headers: allocations are most of what is added here.
	out := &struct {
		http.Request
		values [2]string
	}{Request: *q.first}
	r := &out.Request
	if q.tries++; q.tries > 1 && r.Body != nil && r.Body != http.NoBody {
		body, err := r.GetBody()
		if err != nil {
			return nil, fmt.Errorf("persauthclient: the body cannot be sent again: %w", err)
		}
		r.Body = body
	}
	nonce := ""
	if held := q.origin.nonce.Load(); held != nil {
		nonce = *held
	}
	authorization, proof, err := q.t.source.Authorize(r.Context(), r.Method, r.URL, nonce)
	if err != nil {
		return nil, failed(r, err)
	}
	q.authorization, q.bound = authorization, proof != ""
	out.values = [2]string{authorization, proof}
	header := maps.Clone(r.Header)
	if header == nil {
		header = make(http.Header, 2)
	}
	header["Authorization"] = out.values[0:1:1]
	delete(header, "Dpop")
	if q.bound {
		header["Dpop"] = out.values[1:2:2]
	}
	r.Header = header
	response, err := q.t.base.RoundTrip(r)
	if err == nil && q.bound {
		q.origin.keepNonce(response.Header) // RFC 9449 §8.2: also of an answer that is not a refusal
	}
	return response, err
}

// again reports whether a refused request is tried once more.
func (q *request) again(response *http.Response) bool {
	if r := q.first; q.tries >= maxTries || r.Body != nil && r.Body != http.NoBody && r.GetBody == nil {
		return false
	}
	switch challengeError(response.Header) {
	case "use_dpop_nonce":
		_, offered := nonceIn(response.Header)
		if q.nonced || !q.bound || !offered {
			return false
		}
		q.nonced = true
		return true
	case "", "invalid_token":
		if q.renewed {
			return false
		}
		q.renewed = true
		return q.t.source.Renew(q.first.Context(), q.authorization) == nil
	}
	return false // it is not about the token: another proof or token would not help
}

// keepNonce keeps the nonce of an answer for the next proof.
func (o *origin) keepNonce(h http.Header) {
	nonce, ok := nonceIn(h)
	if !ok {
		return
	}
	if held := o.nonce.Load(); held == nil || *held != nonce {
		o.nonce.Store(&nonce)
	}
}
