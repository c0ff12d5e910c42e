package persauth_test

// The main things once more over real connections.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// realPERS answers over a socket.
type realPERS struct {
	*httptest.Server
	handler  atomic.Pointer[http.HandlerFunc]
	requests atomic.Int64
}

func (p *realPERS) now(h http.HandlerFunc) { p.handler.Store(&h) }

// serveReal is serve with a real server. Its clock runs, and is put on by tests.
func serveReal(t *testing.T, changes ...func(*persauth.Config)) (*service, *realPERS) {
	t.Helper()
	real := &realPERS{}
	real.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		real.requests.Add(1)
		if r.Header.Get("x-project-key") != projectKey || r.URL.Path != "/v2/.well-known/jwks.json" {
			t.Errorf("%s %s with key %q", r.Method, r.URL, r.Header.Get("x-project-key"))
		}
		(*real.handler.Load())(w, r)
	}))
	t.Cleanup(real.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	s := serve(t, append([]func(*persauth.Config){func(c *persauth.Config) {
		c.BaseURL = real.URL + "/v2/"
		c.HTTPClient = &http.Client{Transport: transport}
		c.Timeout = 30 * time.Second // unless a test is about it
	}}, changes...)...)
	real.now(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.iss.JWKS()) })
	return s, real
}

// good is accepts for a running clock.
func (s *service) good(token string) *persauth.Claims {
	s.t.Helper()
	claims, err := s.verify(token)
	require.NoError(s.t, err)
	return claims
}

func TestServerRotation(t *testing.T) {
	s, pers := serveReal(t)
	old := s.token()
	s.good(old)
	first := s.iss.Keys()[0]
	s.iss.Rotate()
	s.good(s.token())
	s.good(old)
	s.iss.Retire(first)
	s.jump(softAge)
	s.warm()
	s.refuses(old, persauth.ErrUnknownKey)
	s.good(s.token())
	assert.LessOrEqual(t, pers.requests.Load(), int64(4))
}

// A restarting server: keys at hand serve until the hard age, and it recovers.
func TestServerDown(t *testing.T) {
	s, pers := serveReal(t)
	pers.now(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write(s.iss.JWKS())
	})
	token := s.token()
	e := s.refuses(token, persauth.ErrUnavailable)
	assert.Positive(t, e.RetryAfter)
	pers.now(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.iss.JWKS()) })
	s.jump(5 * time.Second)
	s.good(token)

	pers.CloseClientConnections()
	pers.now(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	s.jump(softAge)
	require.ErrorIs(t, s.v.Warm(t.Context()), persauth.ErrUnavailable)
	assert.True(t, s.good(token).Verification().KeysStale)
	s.jump(hardAge)
	s.refuses(token, persauth.ErrUnavailable)
	s.jump(time.Minute)
	pers.now(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(s.iss.JWKS()) })
	s.good(token)
}

// Nobody listens at all.
func TestServerNotThere(t *testing.T) {
	s, pers := serveReal(t)
	pers.Close()
	e := s.refuses(s.token(), persauth.ErrUnavailable)
	var refused *net.OpError
	assert.ErrorAs(t, e, &refused)
	assert.NotEmpty(t, s.status().Keys.LastError)
}

func TestServerBadAnswers(t *testing.T) {
	s, pers := serveReal(t, func(c *persauth.Config) { c.Timeout = 500 * time.Millisecond })
	s.warm()
	token := s.token()
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		elsewhere.Add(1)
		t.Errorf("the project key %q went to another host", r.Header.Get("x-project-key"))
	}))
	defer other.Close()
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
		},
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(s.iss.JWKS())
			_, _ = w.Write(make([]byte, 1<<20))
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			set := s.iss.JWKS()
			w.Header().Set("Content-Length", fmt.Sprint(len(set)+1))
			_, _ = w.Write(set)
		},
		"cut off, chunked": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write(s.iss.JWKS())
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no end": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write(s.iss.JWKS())
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		},
		"not HTTP": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("hello\r\n\r\n"))
				_ = conn.Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			pers.now(h)
			s.jump(softAge)
			failures := s.status().Counters.Keys.Failures
			require.ErrorIs(t, s.v.Warm(t.Context()), persauth.ErrUnavailable)
			assert.Equal(t, failures+1, s.status().Counters.Keys.Failures)
			assert.True(t, s.good(token).Verification().KeysStale)
		})
	}
	assert.Zero(t, elsewhere.Load())
}

// A thousand requests at once, of which some go away, need one fetch.
func TestServerCoalesces(t *testing.T) {
	s, pers := serveReal(t)
	release := make(chan struct{})
	pers.now(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write(s.iss.JWKS())
	})
	token := s.token()
	ctx, cancel := context.WithCancel(t.Context())
	var gone, stay sync.WaitGroup
	for i := range 1000 {
		if i%2 == 0 {
			gone.Go(func() {
				_, err := s.v.Verify(ctx, token)
				assert.ErrorIs(t, err, context.Canceled)
			})
		} else {
			stay.Go(func() {
				_, err := s.v.Verify(t.Context(), token)
				assert.NoError(t, err)
			})
		}
	}
	cancel()
	gone.Wait()
	close(release)
	stay.Wait()
	assert.Equal(t, int64(1), pers.requests.Load())
}

// Close ends a request that is under way.
func TestServerClose(t *testing.T) {
	s, pers := serveReal(t)
	asked := make(chan struct{})
	pers.now(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	})
	answered := make(chan error, 1)
	go func() { answered <- s.v.Warm(t.Context()) }()
	<-asked
	s.v.Close()
	require.ErrorIs(t, <-answered, persauth.ErrUnavailable)
}

func TestServerRotationUnderLoad(t *testing.T) {
	s, _ := serveReal(t, func(c *persauth.Config) { c.UnknownKeyInterval = time.Second })
	(&rotation{service: s}).rotateUnderLoad(10, 100)
}
