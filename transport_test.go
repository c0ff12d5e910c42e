package persauth_test

// PERS in memory: an http.RoundTripper that answers as a test tells it to, and
// counts. It needs no socket, so it works in a bubble of virtual time.

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
)

// projectKey is marked: it must not turn up anywhere but in the header.
const projectKey = "pk_test_5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2"

const persHost = "pers.test"

// reply is one way to answer.
type reply func(*http.Request) (*http.Response, error)

type fakePERS struct {
	t testing.TB

	mu      sync.Mutex
	reply   reply
	asked   []time.Time // when each request came
	noCache int         // requests that want no cached answer
	ended   int         // requests that were answered, or failed
}

func newPERS(t testing.TB, first reply) *fakePERS { return &fakePERS{t: t, reply: first} }

// now sets how requests are answered from now on.
func (p *fakePERS) now(next reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reply = next
}

// requests counts those that came.
func (p *fakePERS) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked)
}

func (p *fakePERS) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// noCaches counts the requests with Cache-Control: no-cache.
func (p *fakePERS) noCaches() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.noCache
}

// pending counts requests without an answer.
func (p *fakePERS) pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.asked) - p.ended
}

// RoundTrip answers one request.
func (p *fakePERS) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.asked = append(p.asked, time.Now())
	if req.Header.Get("Cache-Control") == "no-cache" {
		p.noCache++
	}
	next := p.reply
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.ended++
		p.mu.Unlock()
	}()
	// Errorf, not FailNow: this is not the goroutine of the test.
	if req.URL.Host != persHost || req.URL.Scheme != "https" {
		p.t.Errorf("the project key went to %s", req.URL)
	}
	if req.Method != http.MethodGet || !strings.HasPrefix(req.URL.Path, "/v2/.well-known/jwks.json") {
		p.t.Errorf("unexpected request %s %s", req.Method, req.URL)
	}
	if req.Header.Get("x-project-key") != projectKey {
		p.t.Errorf("x-project-key is %q", req.Header.Get("x-project-key"))
	}
	return next(req)
}

// replies gives a body and, in pairs, headers.
func replies(status int, body []byte, header ...string) reply {
	return func(req *http.Request) (*http.Response, error) {
		return respond(req, status, bytes.NewReader(body), header...), nil
	}
}

func respond(req *http.Request, status int, body io.Reader, header ...string) *http.Response {
	resp := &http.Response{Status: http.StatusText(status), StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1,
		ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1, Request: req}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Add(header[i], header[i+1])
	}
	return resp
}

// up gives the keys that the issuer publishes at that moment.
func up(iss *persauthtest.Issuer, header ...string) reply {
	return func(req *http.Request) (*http.Response, error) {
		return respond(req, http.StatusOK, bytes.NewReader(iss.JWKS()), header...), nil
	}
}

var errRefused = errors.New("connect: connection refused")

func down(*http.Request) (*http.Response, error) { return nil, errRefused }

// slow answers after d.
func slow(d time.Duration, then reply) reply {
	return func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return then(req)
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
}

// hanging never answers.
func hanging(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// stalling sends the headers and half of the body, and then no more.
func stalling(body []byte) reply {
	return func(req *http.Request) (*http.Response, error) {
		rest := stalledReader{req.Context()}
		return respond(req, http.StatusOK, io.MultiReader(bytes.NewReader(body[:len(body)/2]), rest)), nil
	}
}

type stalledReader struct{ ctx context.Context }

func (r stalledReader) Read([]byte) (int, error) {
	<-r.ctx.Done()
	return 0, r.ctx.Err()
}

// truncated breaks the connection in the middle of the body.
func truncated(body []byte) reply {
	return func(req *http.Request) (*http.Response, error) {
		broken := io.MultiReader(bytes.NewReader(body[:len(body)/2]), errorReader{io.ErrUnexpectedEOF})
		return respond(req, http.StatusOK, broken), nil
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// noNetwork fails the test with the first request.
type noNetwork struct{ t testing.TB }

func (n noNetwork) RoundTrip(req *http.Request) (*http.Response, error) {
	n.t.Errorf("a request to %s, where none may be made", req.URL)
	return nil, errRefused
}

// clientOf is a client whose every request gets the reply.
func clientOf(r reply) *http.Client { return &http.Client{Transport: roundTripper(r)} }

type roundTripper reply

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }
