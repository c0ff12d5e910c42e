package persauthtest

// A fake PERS API: what it is made of, and what a test asks of it. Its right
// answers are in answers.go, its faults in fault.go.

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/persauth/persauth"
)

// Endpoint is one of the things that PERS can be asked, or [EndpointAll] of them.
type Endpoint int

// The endpoints of a [Server].
const (
	EndpointKeys    Endpoint = iota // GET /.well-known/jwks.json
	EndpointVerify                  // POST /auth/verify
	EndpointToken                   // POST /auth/token
	EndpointRefresh                 // POST /auth/refresh
	EndpointAll                     // each of them

	endpoints = int(EndpointAll)
)

var routes = [endpoints]string{
	EndpointKeys:    "GET /.well-known/jwks.json",
	EndpointVerify:  "POST /auth/verify",
	EndpointToken:   "POST /auth/token",
	EndpointRefresh: "POST /auth/refresh",
}

// String returns the method and the path.
func (e Endpoint) String() string {
	if e < 0 || int(e) >= endpoints {
		return "all endpoints"
	}
	return routes[e]
}

const (
	// memoryHost is where a server without a socket is.
	memoryHost = "pers.test"
	// requestsKept is how many requests are remembered, so that a server may
	// run for long.
	requestsKept = 10_000
	maxRequest   = 1 << 20
)

// Server is a fake PERS API for one tenant. It publishes the keys of an
// [Issuer], gives verdicts on tokens, hands tokens out, and fails as it is told
// to. It counts what it is asked. It is safe for concurrent use.
//
// It is an [http.Handler] too, to be served at an address of one's own.
type Server struct {
	iss        *Issuer
	t          TB
	projectKey string
	url        string
	client     *http.Client
	mux        *http.ServeMux
	closing    context.Context // ends with the server

	mu       sync.Mutex
	faults   [endpoints]*script // nil: the endpoint is in order
	counts   [endpoints]int
	requests []Request

	sessions    *sessions
	memberships []Membership // of the callers; nil: two, and any other business
	dpopNonce   string       // asked for at /auth/token and /auth/refresh; empty: none is
}

// Request is what a [Server] was asked. It holds neither tokens nor the project
// key.
type Request struct {
	Endpoint Endpoint
	// Authorized is true when the request had the right project key.
	Authorized bool
	// NoCache is true when it asked for an answer that no cache gives
	// (Cache-Control: no-cache).
	NoCache bool
	// At is when it came, by the issuer's clock.
	At time.Time
	// Fault names the fault that it met, or is empty.
	Fault string
}

// ServerOption changes what [NewServer] makes.
type ServerOption func(*serverOptions)

type serverOptions struct {
	inMemory    bool
	memberships []Membership
	reuseGrace  time.Duration
	nonces      bool
}

// InMemory makes a server without a socket: only [Server.Client] reaches it. It
// works in a bubble of testing/synctest, when it is made there.
func InMemory() ServerOption { return func(o *serverOptions) { o.inMemory = true } }

// NewServer starts a server on a loopback address, or without a socket with
// [InMemory]. It ends with the test.
func NewServer(t TB, iss *Issuer, options ...ServerOption) *Server {
	t.Helper()
	var chosen serverOptions
	for _, option := range options {
		option(&chosen)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{iss: iss, t: t, projectKey: hex.EncodeToString(iss.derive("project key")), closing: ctx,
		mux: http.NewServeMux(), sessions: newSessions(iss.clock, chosen.reuseGrace), memberships: chosen.memberships}
	if chosen.nonces {
		s.dpopNonce = encode(iss.derive("nonce")[:16])
	}
	for i, route := range routes {
		s.mux.HandleFunc(route, func(w http.ResponseWriter, r *http.Request) { s.serve(Endpoint(i), w, r) })
	}
	if chosen.inMemory {
		transport := &memory{handler: s, host: memoryHost}
		s.url, s.client = "https://"+memoryHost, &http.Client{Transport: transport}
		t.Cleanup(func() {
			cancel()
			transport.close()
		})
		return s
	}
	socket := httptest.NewServer(s)
	// A test may call from a thousand places at once, again and again.
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	s.url, s.client = socket.URL, &http.Client{Transport: transport}
	t.Cleanup(func() {
		cancel() // those who hang let go
		transport.CloseIdleConnections()
		socket.Close()
		transport.CloseIdleConnections()
	})
	return s
}

// URL is the base URL, for [persauth.Config.BaseURL].
func (s *Server) URL() string { return s.url }

// ProjectKey is the project key that requests must have: 64 hexadecimal
// characters, always the same for an issuer with a seed.
func (s *Server) ProjectKey() string { return s.projectKey }

// Client reaches the server. Its connections are closed with the test.
func (s *Server) Client() *http.Client { return s.client }

// Config is what a verifier needs to get its keys from the server. It goes by
// the issuer's [Clock].
func (s *Server) Config(changes ...func(*persauth.Config)) persauth.Config {
	cfg := persauth.Config{ProjectKey: s.projectKey, BaseURL: s.url, HTTPClient: s.client, Now: s.iss.clock.Now}
	for _, change := range changes {
		change(&cfg)
	}
	return cfg
}

// Verifier makes a verifier that asks the server. It is closed with the test.
func (s *Server) Verifier(changes ...func(*persauth.Config)) *persauth.Verifier {
	s.t.Helper()
	cfg := s.Config(changes...)
	v, err := persauth.New(cfg)
	if err != nil {
		s.t.Fatalf("persauthtest: %v", err)
	}
	s.iss.follow(cfg)
	s.t.Cleanup(v.Close)
	return v
}

// Revoke makes /auth/verify refuse a token from now on, and /auth/refresh where
// it is a refresh token.
func (s *Server) Revoke(token string) { s.sessions.revoke(signingInput(token), s.iss.life(token)) }

// RevokeID makes /auth/verify refuse all tokens with a "jti" from now on.
func (s *Server) RevokeID(jti string) { s.sessions.revoke(jtiPrefix+jti, systemLife) }

// Count returns how many requests an endpoint has got, also those that met a
// fault or had no project key. An HTTP client may send a GET twice when its
// connection breaks, and then it counts twice.
func (s *Server) Count(e Endpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e != EndpointAll {
		return s.counts[e]
	}
	sum := 0
	for _, n := range s.counts {
		sum += n
	}
	return sum
}

// Requests returns what an endpoint was asked, oldest first: the last 10,000 of
// all endpoints together are remembered.
func (s *Server) Requests(e Endpoint) []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r Request) bool { return e != EndpointAll && r.Endpoint != e })
}

// ServeHTTP answers as PERS would, or as the faults say.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *Server) serve(e Endpoint, w http.ResponseWriter, r *http.Request) {
	fault := s.note(e, r)
	// net/http notices that a client has gone only when all of its request has
	// been read.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	x := &exchange{server: s, endpoint: e, w: w, r: r, body: body}
	switch {
	case err != nil:
		x.send(problem(http.StatusBadRequest, "the request cannot be read"))
	case fault != nil:
		fault(x)
	default:
		x.send(x.right())
	}
}

// note counts a request and returns the fault that it meets, in one step.
func (s *Server) note(e Endpoint, r *http.Request) func(*exchange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.faults[e].next(e)
	s.counts[e]++
	if len(s.requests) >= requestsKept {
		s.requests = slices.Delete(s.requests, 0, requestsKept/2)
	}
	s.requests = append(s.requests, Request{Endpoint: e, Authorized: s.authorized(r), Fault: fault.name, At: s.iss.clock.Now(),
		NoCache: strings.Contains(r.Header.Get("Cache-Control"), "no-cache")})
	return fault.act
}

func (s *Server) authorized(r *http.Request) bool {
	return r.Header.Get("x-project-key") == s.projectKey
}

// isRevoked looks a token up.
func (s *Server) isRevoked(token, jti string) bool {
	return s.sessions.isRevoked(signingInput(token)) || s.sessions.isRevoked(jtiPrefix+jti)
}

// signingInput is a token without its signature: with ECDSA anyone can write a
// second good signature over the same token.
func signingInput(token string) string { return token[:max(strings.LastIndexByte(token, '.'), 0)] }
