package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ndjson is one line of output.
type ndjson struct {
	Valid  bool
	Claims struct {
		ID string `json:"jti"`
	}
	Error, Reason string
}

func answers(t testing.TB, out string) (all []ndjson) {
	t.Helper()
	for line := range strings.Lines(out) {
		var a ndjson
		require.NoError(t, json.Unmarshal([]byte(line), &a), line)
		all = append(all, a)
	}
	return all
}

// A line is what is between line feeds, whatever that is.
func TestLinesAreStrict(t *testing.T) {
	token := valid(t)
	for name, c := range map[string]struct {
		in   string
		want string // one letter for each answer: v or x
	}{
		"one":                 {token + "\n", "v"},
		"no line feed at end": {token, "v"},
		"two":                 {token + "\n" + token, "vv"},
		"an empty line":       {"\n", "x"},
		"empty lines":         {"\n\n" + token + "\n\n", "xxvx"},
		"white space":         {" " + token + "\n" + token + "\t\n \n", "xxx"},
		"carriage returns":    {token + "\r\n" + token + "\n\r\n", "xvx"},
		"other line breaks":   {token + "\v" + token + "\n" + token + "\u2028\n" + token + "\x00\n", "xxx"},
		"byte order mark":     {"\ufeff" + token + "\n" + token, "xv"},
		"invalid UTF-8":       {"\xff.\xfe.\xfd\n" + token, "xv"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, c.in, nil, "verify", "--ndjson", "--jwks", fixtureKeys)
			var letters strings.Builder
			for _, a := range answers(t, got.out) {
				letters.WriteString(map[bool]string{true: "v", false: "x"}[a.Valid])
				if !a.Valid {
					assert.NotEmpty(t, a.Error)
					assert.NotEmpty(t, a.Reason)
				}
			}
			assert.Equal(t, c.want, letters.String(), got.out)
			assert.Equal(t, strings.Contains(c.want, "x"), got.status == 1)
			assert.Equal(t, len(c.want), strings.Count(got.out, "\n"))
		})
	}
	got := call(t, token+"\r\n", nil, "verify", "--ndjson", "--jwks", fixtureKeys)
	assert.Contains(t, got.out, "carriage return")
}

// Many lines keep their order and their number on all cores.
func TestOrderAndCount(t *testing.T) {
	before := runtime.GOMAXPROCS(4)
	defer runtime.GOMAXPROCS(before)
	const lines, kinds = 50_000, 499
	iss := persauthtest.NewIssuer(t, persauthtest.WithAlgorithms("EdDSA"))
	tokens := make([]string, kinds)
	for i := range tokens {
		tokens[i] = iss.Token(map[string]any{"jti": fmt.Sprint(i)})
	}
	bad := func(i int) bool { return i%7 == 3 }
	var in strings.Builder
	for i := range lines {
		if bad(i) {
			in.WriteString("bad")
		} else {
			in.WriteString(tokens[i%kinds])
		}
		in.WriteByte('\n')
	}
	got := call(t, in.String(), nil, "verify", "--ndjson", "--jwks", file(t, iss.JWKS()))
	assert.Equal(t, 1, got.status)
	all := answers(t, got.out)
	require.Len(t, all, lines)
	for i, a := range all {
		require.Equal(t, bad(i), !a.Valid, "line %d", i+1)
		if a.Valid {
			require.Equal(t, fmt.Sprint(i%kinds), a.Claims.ID, "line %d", i+1)
		}
	}
}

// The library and the reader of lines agree on how long a token may be.
func TestLineLength(t *testing.T) {
	token := valid(t)
	for _, size := range []int{1, maxToken - 1, maxToken, maxToken + 1, readSize - 1, readSize, readSize + 1, 1 << 20} {
		for _, end := range []string{"\n", ""} {
			in := token + "\n" + strings.Repeat("a", size) + end
			want := []bool{true, false}
			if end != "" {
				in += token + "\n"
				want = append(want, true)
			}
			all := answers(t, call(t, in, nil, "verify", "--ndjson", "--jwks", fixtureKeys).out)
			require.Len(t, all, len(want), "%d bytes", size)
			for i := range want {
				assert.Equal(t, want[i], all[i].Valid, "%d bytes, line %d", size, i+1)
			}
			said := strings.Contains(all[1].Reason, fmt.Sprintf("got %d bytes", size))
			assert.Equal(t, size > maxToken, said, all[1].Reason)
			for _, command := range []string{"verify", "explain", "inspect"} {
				args := []string{command}
				if command != "inspect" {
					args = append(args, "--jwks", fixtureKeys)
				}
				got := call(t, strings.Repeat("a", size)+end, nil, args...)
				assert.Equal(t, 1, got.status)
				want := fmt.Sprintf("check size, want at most 16384 bytes, got %d bytes", size)
				assert.Equal(t, size > maxToken, strings.Contains(got.out, want), got.out)
				if size <= readSize {
					// The same from an argument, where the library alone decides.
					assert.Equal(t, strings.Replace(got.out, " (line 1)", "", 1), call(t, "", nil, append(args, strings.Repeat("a", size))...).out)
				}
			}
		}
	}
}

// endless gives size bytes of a line.
type endless struct{ size int }

func (e *endless) Read(p []byte) (int, error) {
	if e.size == 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.size)
	for i := range p[:n] {
		p[i] = 'a'
	}
	e.size -= n
	return n, nil
}

// A line of any length costs no more memory than a short one.
func TestLongLineInBoundedMemory(t *testing.T) {
	token := valid(t)
	for _, args := range [][]string{{"verify", "--ndjson"}, {"verify"}} {
		in := io.MultiReader(&endless{40 << 20}, strings.NewReader("\n"+token+"\n"))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got := callWith(t, t.Context(), in, nil, append(args, "--jwks", fixtureKeys)...)
		runtime.ReadMemStats(&after)
		assert.Equal(t, 1, got.status)
		assert.Contains(t, got.out, "41943040 bytes")
		assert.Contains(t, got.out, "pers.ninja", "the line after it is answered")
		// All that was allocated, whether it was freed or not.
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20))
	}
}

// Whoever gives one token at a time gets one answer at a time, also when the
// line comes in pieces.
func TestAnswersComeAtOnce(t *testing.T) {
	for _, args := range [][]string{{"verify", "--ndjson"}, {"verify"}} {
		in, stdin := io.Pipe()
		stdout, out := io.Pipe()
		status := make(chan int, 1)
		go func() {
			status <- run(t.Context(), append(args, "--jwks", fixtureKeys), in, out, io.Discard, os.Getenv)
			_ = out.Close()
		}()
		lines := bufio.NewScanner(stdout)
		for _, f := range fixtures(t) {
			for _, piece := range []string{f.Token[:10], f.Token[10:], "\n"} {
				_, err := io.WriteString(stdin, piece)
				require.NoError(t, err)
			}
			word := map[bool]string{true: "✓ valid", false: "✗ invalid"}[f.Expect == "valid"]
			if len(args) == 2 {
				word = fmt.Sprintf(`{"valid":%v`, f.Expect == "valid")
			}
			for found := false; !found; {
				require.True(t, lines.Scan(), "the output ended before %q", word)
				found = strings.HasPrefix(lines.Text(), word)
			}
		}
		require.NoError(t, stdin.Close())
		_, _ = io.Copy(io.Discard, stdout)
		assert.Equal(t, 1, <-status)
	}
}

// repeat gives a line again and again, and counts the bytes.
type repeat struct {
	line  string
	at    int
	given atomic.Int64
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		m := copy(p[n:], r.line[r.at:])
		r.at = (r.at + m) % len(r.line)
		n += m
	}
	r.given.Add(int64(n))
	return n, nil
}

// When answers are not read, input is not read either: the queue is bounded.
func TestQueueIsBounded(t *testing.T) {
	token := valid(t)
	synctest.Test(t, func(t *testing.T) {
		in := &repeat{line: token + "\n"}
		stdout, out := io.Pipe()
		status := make(chan int, 1)
		go func() {
			status <- run(t.Context(), []string{"verify", "--ndjson", "--jwks", fixtureKeys}, in, out, io.Discard, os.Getenv)
		}()
		synctest.Wait() // until nothing moves any more
		limit := int64(readSize * (4*runtime.GOMAXPROCS(0) + 2))
		assert.Less(t, in.given.Load(), limit)
		// And it goes on when they are read.
		_, err := io.CopyN(io.Discard, stdout, 4*limit)
		require.NoError(t, err)
		synctest.Wait()
		assert.Greater(t, in.given.Load(), limit)
		require.NoError(t, stdout.Close())
		assert.Equal(t, 2, <-status)
	})
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen bytes.Buffer
		var p progress
		end := p.show(&seen)
		p.tokens.Add(1500)
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		assert.Contains(t, seen.String(), "1500 tokens")
		p.tokens.Add(500)
		p.bad.Add(25)
		time.Sleep(1400 * time.Millisecond)
		end()
		assert.Contains(t, seen.String(), "2000 tokens in 2s, 1000/s, 1.2 % not valid")
		assert.True(t, strings.HasSuffix(seen.String(), "\n"))
	})
	// Nobody watches a file or a buffer.
	got := call(t, strings.Repeat(valid(t)+"\n", 100), nil, "verify", "--ndjson", "--jwks", fixtureKeys)
	assert.Empty(t, got.stderr)
}

// Objects are taken for the token in them, and get their other members back.
func TestStreamObjects(t *testing.T) {
	token := valid(t)
	other := fixtures(t)[0].Token
	require.NotEmpty(t, other)
	long := `{"note":"` + strings.Repeat("n", 20<<10) + `","token":"` + token + `"}`
	in := strings.Join([]string{
		token,
		`{"token":"` + token + `","line":7,"from":{"a":[1, 2]}}`,
		`{"at":"12:00","token":"x.y.z"}`,
		`{"valid":true,"claims":1,"error":2,"reason":3,"id":4,"token":"x.y.z"}`,
		`{"id":5}`,
		`{"token":7,"id":6}`,
		`{"token":"` + token + `","token":"` + token + `"}`,
		`{"token":"` + token + `"} x`,
		`{`,
		`{"token":"","id":8}`,
		`{"id":"\u001b[31m","token":"` + token + `"}`,
		long,
		`{"note":"` + strings.Repeat("n", 60<<10) + `","token":"` + token + `"}`,
	}, "\n") + "\n"
	got := call(t, in, nil, "verify", "--ndjson", "--offline", "--jwks", fixtureKeys)
	assert.Equal(t, 1, got.status)
	lines := strings.Split(strings.TrimSuffix(got.out, "\n"), "\n")
	require.Len(t, lines, 13)
	for i, valid := range []bool{0: true, 1: true, 10: true, 11: true, 12: false} {
		assert.Equal(t, valid, strings.Contains(lines[i], `"valid":true`), lines[i][:min(len(lines[i]), 200)])
		assert.NotContains(t, lines[i], token, "the token came out again")
	}
	assert.True(t, strings.HasPrefix(lines[1], `{"line":7,"from":{"a":[1,2]},"valid":true,"claims":`), lines[1])
	assert.True(t, strings.HasPrefix(lines[2], `{"at":"12:00","valid":false,"error":"malformed"`), lines[2])
	assert.True(t, strings.HasPrefix(lines[3], `{"id":4,"valid":false,`), lines[3])
	for _, i := range []int{4, 5, 6, 7, 8} {
		assert.Contains(t, lines[i], `a JSON object with a text`, i)
	}
	assert.True(t, strings.HasPrefix(lines[10], `{"id":"\u001b[31m","valid":true`), lines[10])
	for _, line := range lines {
		var object map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &object), line)
	}
}
