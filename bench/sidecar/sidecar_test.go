package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadAnswer(t *testing.T) {
	for name, row := range map[string]struct {
		answer string
		status int
		ok     bool
	}{
		"no body":     {"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204, true},
		"a body":      {"HTTP/1.1 401 Unauthorized\r\ncontent-length: 3\r\n\r\nabc", 401, true},
		"chunks":      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, false},
		"cut off":     {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", 0, false},
		"no status":   {"HTTP/1.1\r\n\r\n", 0, false},
		"other words": {"HTTP/1.1 abc OK\r\n\r\n", 0, false},
	} {
		reader := bufio.NewReader(strings.NewReader(row.answer + "HTTP/1.1 200 OK\r\n\r\n"))
		if name == "cut off" {
			reader = bufio.NewReader(strings.NewReader(row.answer))
		}
		status, err := readAnswer(reader)
		if assert.Equal(t, row.ok, err == nil, "%s: %v", name, err) && row.ok {
			assert.Equal(t, row.status, status, name)
			next, err := readAnswer(reader)
			require.NoError(t, err)
			assert.Equal(t, 200, next, "%s: the next answer", name)
		}
	}
}

// The handlers that persauth is compared with check what it checks.
func TestHandlers(t *testing.T) {
	w, err := newWorld(2)
	require.NoError(t, err)
	for name, make := range map[string]func([]byte) (http.HandlerFunc, error){"golang-jwt": golangJWTHandler, "go-oidc": oidcHandler} {
		handler, err := make(w.jwks())
		require.NoError(t, err)
		ask := func(token, uri string) *httptest.ResponseRecorder {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.Replace(string(request("/", token)), business, uri, 1))))
			require.NoError(t, err)
			answer := httptest.NewRecorder()
			handler(answer, r)
			return answer
		}
		good := ask(w.tokens[1], business)
		assert.Equal(t, 204, good.Code, name)
		assert.Equal(t, "0b0e3c2e-6a57-4f0e-9d49-000000000001", good.Header().Get("X-Pers-Subject"), name)
		assert.Equal(t, 401, ask(w.bad, business).Code, "%s: forged", name)
		assert.Equal(t, 401, ask("x", business).Code, "%s: no token", name)
		assert.Equal(t, 403, ask(w.tokens[1], "other").Code, "%s: another business", name)
	}
}

func TestCPUTime(t *testing.T) {
	before, err := cpuTime(os.Getpid())
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("this system has no /proc")
	}
	require.NoError(t, err)
	x := 0
	for range 300_000_000 {
		x++
	}
	require.NotZero(t, x)
	after, err := cpuTime(os.Getpid())
	require.NoError(t, err)
	assert.Greater(t, after, before)
	assert.Less(t, after-before, time.Minute)
	assert.Positive(t, peakMemory(os.Getpid()))
}

// Ratios are those of the same round.
func TestSummed(t *testing.T) {
	f := summed([]sample{{20, 1}, {80, 3}, {30, 2}}, []sample{{10, 0}, {40, 0}, {10, 0}}, []sample{{40, 0}, {40, 0}, {40, 0}})
	assert.Equal(t, figure{Microseconds: 30, Bare: 2, JWT: 0.75, PerSecond: 2}, f)
}

func TestReport(t *testing.T) {
	r := newReport(settings{rounds: 2, conns: 32, tokens: 40_000, short: true}, []result{
		{Name: "bare Go server, 204", Seen: figure{16.8, 1, 0.2, 50_000}, Fresh: figure{17, 1, 0.24, 50_000}, Memory: 12 << 20},
		{Name: "persauth serve", Seen: figure{22.4, 1.33, 0.3, 40_000}, Fresh: figure{59, 3.5, 0.83, 15_000}, Memory: 24 << 20},
	})
	folder := t.TempDir()
	require.NoError(t, r.write(folder))
	table, err := os.ReadFile(filepath.Join(folder, "sidecar.md"))
	require.NoError(t, err)
	assert.Contains(t, string(table), "| persauth serve | 22.4 | 1.33 | 59.0 | 0.83 | 40000 | 15000 | 24 |")
	assert.Contains(t, string(table), "do not quote its figures")
	data, err := os.ReadFile(filepath.Join(folder, "sidecar.json"))
	require.NoError(t, err)
	var again report
	require.NoError(t, json.Unmarshal(data, &again))
	assert.Equal(t, r.Results, again.Results)
	for _, page := range []string{"light", "dark"} {
		drawn, err := os.ReadFile(filepath.Join(folder, "sidecar-"+page+".svg"))
		require.NoError(t, err)
		assert.Contains(t, string(drawn), "persauth serve")
		decoder := xml.NewDecoder(strings.NewReader(string(drawn)))
		for err == nil {
			_, err = decoder.Token()
		}
		assert.ErrorIs(t, err, io.EOF)
	}
}
