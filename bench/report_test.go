package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// measured is a report of figures that nobody measured.
func measured() *report {
	r := newReport(true)
	for _, algorithm := range algorithms {
		r.Fresh = append(r.Fresh, freshResult{Algorithm: algorithm, outcome: outcome{Name: "floor", Ratio: 1, Nanoseconds: 30_000}, Allocations: 9})
		for i, p := range peers {
			if p.takes(algorithm) {
				r.Fresh = append(r.Fresh, freshResult{Algorithm: algorithm, outcome: outcome{Name: p.name, Ratio: 1.5 + float64(i)/10, Nanoseconds: 45_000}, Allocations: 20})
			}
		}
	}
	for _, n := range []int{100, 10_000} {
		r.Seen = append(r.Seen, seenResult{Live: n, outcome: outcome{Name: "persauth", Ratio: 1.1, Nanoseconds: 100}, Map: 90, Hash: 80})
		r.Scaling = append(r.Scaling, scaling{n, 2, gain{1.9, 50}, gain{0.8, 70}, gain{2, 40}, 0.95})
	}
	for _, bad := range badTokens {
		r.Refused = append(r.Refused, refusedResult{Case: bad.name, outcome: outcome{Name: "go-oidc", Ratio: 2, Nanoseconds: 60_000}, Fetches: 1000})
	}
	r.Memory = memoryResult{Tokens: 100, TokenSize: 900, Persauth: 1300, Map: 1500}
	r.Pause = pauseResult{Tokens: 100, Persauth: waits{Calls: 5, Usual: 0.25, Longest: 3, Over: 1}}
	r.Start = []startResult{{outcome{Name: "keyfunc", Ratio: 1, Nanoseconds: 1e7}, 1 << 20}, {outcome{Name: "persauth", Ratio: 1.1, Nanoseconds: 1.1e7}, 2 << 20}}
	return r
}

func TestReport(t *testing.T) {
	dir := t.TempDir()
	files, err := measured().write(dir)
	require.NoError(t, err)

	page, err := os.ReadFile(filepath.Join(dir, "results.md"))
	require.NoError(t, err)
	for _, part := range []string{
		"do not quote",
		"| jwx v3 | 2.000 |", "| 45.0 | 11 |", // the ratio; the time, and the allocations above the floor
		"| 10000 | 1.100 |", "| 10000 | 1.90 (50) | 0.80 (70) | 2.00 (40) | 0.95 |",
		"| go-oidc | 60.0 (2.00), keys fetched |",
		"100 remembered tokens of 900 bytes", "| persauth | 1300 |",
		"| 0.250 | 3.0 | 1 of 5 |",
		"| persauth | 1.100 |",
	} {
		assert.Contains(t, string(page), part)
	}

	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	require.NoError(t, err)
	var again report
	require.NoError(t, json.Unmarshal(data, &again))
	assert.Equal(t, measured().Fresh, again.Fresh)

	drawn := 0
	for _, file := range files {
		if !strings.HasSuffix(file, ".svg") {
			continue
		}
		drawn++
		svg, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Contains(t, string(svg), "persauth")
		for decoder := xml.NewDecoder(strings.NewReader(string(svg))); ; {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if !assert.NoError(t, err, file) {
				break
			}
		}
	}
	assert.Equal(t, 2*(len(algorithms)+2), drawn)
}

// A part that was not run leaves nothing behind.
func TestReportOfNothing(t *testing.T) {
	files, err := newReport(false).write(t.TempDir())
	require.NoError(t, err)
	assert.Len(t, files, 2)
}
