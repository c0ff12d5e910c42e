package main

// What a stream of tokens costs, beside the bare signature checks.

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/big"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/persauth/persauth/persauthtest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unique are n tokens, each another, and the key that signed them. The other keys
// of the set are never used.
func unique(t testing.TB, n int) (keys string, tokens []string, key *ecdsa.PublicKey) {
	t.Helper()
	iss := persauthtest.NewIssuer(t)
	tokens = make([]string, n)
	var running sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				tokens[i] = iss.BusinessToken("acme", "shop", "ADMIN")
			}
		})
	}
	running.Wait()
	return file(t, iss.JWKS()), tokens, iss.Keys()[0].Public().(*ecdsa.PublicKey)
}

// bare is what nobody can do without: the segment of the signature decoded, the
// hash, and the check of the standard library, on all cores.
func bare(tokens []string, key *ecdsa.PublicKey) time.Duration {
	start := time.Now()
	var running sync.WaitGroup
	var next atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(tokens)); i = next.Add(1) - 1 {
				dot := strings.LastIndexByte(tokens[i], '.')
				signature, err := base64.RawURLEncoding.DecodeString(tokens[i][dot+1:])
				sum := sha256.Sum256([]byte(tokens[i][:dot]))
				if err != nil || !ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
					panic("a token is not good")
				}
			}
		})
	}
	running.Wait()
	return time.Since(start)
}

// BenchmarkStream reports tokens a second, and their part of the bare checks:
// both are taken by turns, and the median of the ratios counts.
func BenchmarkStream(b *testing.B) {
	n := 20_000
	if set, err := strconv.Atoi(os.Getenv("PERSAUTH_STREAM")); err == nil {
		n = set
	}
	keys, tokens, key := unique(b, n)
	input := strings.Join(tokens, "\n") + "\n"
	ratios := make([]float64, 0, b.N)
	var took time.Duration
	for b.Loop() {
		floor := bare(tokens, key)
		start := time.Now()
		if status := run(b.Context(), []string{"verify", "--ndjson", "--offline", "--jwks", keys}, strings.NewReader(input), io.Discard, io.Discard, os.Getenv); status != 0 {
			b.Fatal(status)
		}
		each := time.Since(start)
		took += each
		ratios = append(ratios, floor.Seconds()/each.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-bare")
	b.ReportMetric(float64(n*len(ratios))/took.Seconds(), "tokens/s")
}

// Memory does not grow with the number of tokens, each of them another.
func TestStreamMemory(t *testing.T) {
	keys, tokens, _ := unique(t, 2500)
	body := strings.Join(tokens, "\n") + "\n"
	peak := func(rounds int) uint64 {
		var most atomic.Uint64
		in := &rounded{body: []byte(body), rounds: rounds, each: func() {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most.Store(max(most.Load(), m.HeapAlloc))
		}}
		var out bytes.Buffer
		status := run(context.Background(), []string{"verify", "--ndjson", "--offline", "--jwks", keys}, in, &counting{&out}, io.Discard, os.Getenv)
		require.Equal(t, 0, status)
		return most.Load()
	}
	few, many := peak(2), peak(6)
	assert.Less(t, many, few+few/4+(4<<20), "15,000 tokens need more memory than 5,000")
}

// rounded is an input several times over.
type rounded struct {
	body   []byte
	rounds int
	each   func()
	at     int
}

func (r *rounded) Read(p []byte) (int, error) {
	if r.at == len(r.body) {
		r.at = 0
		r.rounds--
		r.each()
	}
	if r.rounds == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.body[r.at:])
	r.at += n
	return n, nil
}

// counting keeps nothing.
type counting struct{ *bytes.Buffer }

func (c *counting) Write(p []byte) (int, error) {
	c.Reset()
	return c.Buffer.Write(p)
}
