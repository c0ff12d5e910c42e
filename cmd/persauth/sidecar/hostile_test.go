package sidecar

// Hostile clients of a running sidecar.

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Headers beyond the limit are refused, and cost no more than the limit.
func TestOversized(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")))
	status := func(bytes int) int {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		go fmt.Fprintf(conn, "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-URI: /public/a\r\nX-Filler: %s\r\n\r\n", strings.Repeat("a", bytes))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	assert.Equal(t, 200, status(defaultHeaderBytes-1024))
	assert.Equal(t, 431, status(defaultHeaderBytes+8192))
	assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
}

// Those who send their headers byte by byte are cut off, and others are served
// meanwhile.
func TestSlowLoris(t *testing.T) {
	if testing.Short() {
		t.Skip("takes as long as a slow client is given")
	}
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")))
	var group sync.WaitGroup
	began := time.Now()
	for range 50 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		group.Go(func() {
			defer conn.Close()
			cut := make(chan struct{})
			go func() {
				defer close(cut)
				_, _ = io.Copy(io.Discard, conn)
			}()
			_, _ = io.WriteString(conn, "GET /auth HTTP/1.1\r\nHost: a\r\nX-Slow: ")
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-cut:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, "a")
				}
			}
		})
	}
	for range 20 {
		assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
	}
	group.Wait()
	assert.Less(t, time.Since(began), 2*readHeaderTime)
	assert.GreaterOrEqual(t, time.Since(began), readHeaderTime-time.Second)
}

// Requests whose body never comes are answered, and lock nobody out: not even
// where there are more of them than connections may be open.
func TestBodiesThatNeverCome(t *testing.T) {
	iss := persauthtest.NewIssuer(t)
	s := runSidecar(t, options(t, iss, configFor("nginx")+"limits: {connections: 16}\n"))
	head := "POST /auth HTTP/1.1\r\nHost: a\r\nX-Original-Method: GET\r\nX-Original-URI: /public/a\r\n"
	for _, body := range []string{"Content-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\n123", "Transfer-Encoding: chunked\r\n\r\n"} {
		var conns []net.Conn
		for range 24 {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, head+body)
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		began := time.Now()
		for range 8 {
			assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
		}
		assert.Less(t, time.Since(began), 4*bodyTime, "eight decisions, and none waits for the bodies of others")
		last := conns[len(conns)-1]
		require.NoError(t, last.SetReadDeadline(time.Now().Add(5*time.Second)))
		response, err := http.ReadResponse(bufio.NewReader(last), nil)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, 200, response.StatusCode)
	}
	// One that comes leaves the connection as it was.
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for range 3 {
		_, err = io.WriteString(conn, head+"Content-Length: 3\r\n\r\n")
		require.NoError(t, err)
		_, err = io.WriteString(conn, "abc")
		require.NoError(t, err)
		response, err := http.ReadResponse(reader, nil)
		require.NoError(t, err)
		response.Body.Close()
		assert.Equal(t, 200, response.StatusCode)
	}
}

// Thousands of idle connections, as many as the system gives us: more than the
// sidecar takes. Those who ask are answered, old connections go, and memory
// stays small.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("opens thousands of connections")
	}
	iss := persauthtest.NewIssuer(t)
	most := min(1000, maxOpenConns()/4)
	s := runSidecar(t, options(t, iss, configFor("nginx")+fmt.Sprintf("limits: {connections: %d}\n", most)))
	// Each has two ends in this process.
	many := min(5000, maxOpenConns()-most-100)
	require.Greater(t, many, most, "ulimit -n is too small for this test")
	idle := make([]net.Conn, 0, many)
	defer func() {
		for _, conn := range idle {
			conn.Close()
		}
	}()
	for i := range many {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		require.NoError(t, err)
		idle = append(idle, conn)
		if i%500 == 0 {
			assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
		}
	}
	assert.Equal(t, 200, decide(t, s.url, "GET", "/public/a", ""))
	// The first ones made room.
	require.NoError(t, idle[0].SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err := idle[0].Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	_, page := get(t, s.admin+"/metrics")
	var open float64
	for line := range strings.Lines(page) {
		if n, ok := strings.CutPrefix(line, "persauth_connections "); ok {
			_, err := fmt.Sscan(n, &open)
			require.NoError(t, err)
		}
	}
	assert.InDelta(t, most, open, 10)
	t.Logf("%d connections, of which %v stay open", many, open)
}
