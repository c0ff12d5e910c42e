package main

// The table and the charts.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/persauth/persauth/bench/internal/barchart"
)

// report is what was measured, and where.
type report struct {
	Cores       int      `json:"cores"`
	Go          string   `json:"go"`
	Date        string   `json:"date"`
	Connections int      `json:"connections"`
	Tokens      int      `json:"tokens"`
	Rounds      int      `json:"rounds"`
	Short       bool     `json:"short"`
	Results     []result `json:"results"`
}

func newReport(s settings, results []result) *report {
	return &report{Cores: runtime.NumCPU(), Go: runtime.Version(), Date: time.Now().UTC().Format(time.DateOnly),
		Connections: s.conns, Tokens: s.tokens, Rounds: s.rounds, Short: s.short, Results: results}
}

// write writes the report into a folder, and prints the table.
func (r *report) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	files := map[string][]byte{"sidecar.json": append(data, '\n'), "sidecar.md": []byte(r.markdown())}
	chart := r.chart()
	for page, theme := range barchart.Themes {
		if files[chart.File+"-"+page+".svg"], err = chart.Draw(theme); err != nil {
			return err
		}
	}
	var failed []error
	for name, content := range files {
		failed = append(failed, os.WriteFile(filepath.Join(folder, name), content, 0o644))
	}
	fmt.Print(r.markdown())
	return errors.Join(failed...)
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What a decision costs\n\nCPU µs of the server process for a request, RS256, %d connections, %d rounds, %d cores, %s, %s.\n",
		r.Connections, r.Rounds, r.Cores, r.Go, r.Date)
	if r.Short {
		b.WriteString("\nThis was a quick look with few rounds: do not quote its figures.\n")
	}
	fmt.Fprintf(&b, "\n| server | one token, µs | / bare | %d tokens in turn, µs | / golang-jwt | a second, one token | a second, in turn | peak MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|\n", r.Tokens)
	for _, s := range r.Results {
		fmt.Fprintf(&b, "| %s | %.1f | %.2f | %.1f | %.2f | %.0f | %.0f | %d |\n", s.Name, s.Seen.Microseconds, s.Seen.Bare,
			s.Fresh.Microseconds, s.Fresh.JWT, s.Seen.PerSecond, s.Fresh.PerSecond, s.Memory>>20)
	}
	return b.String()
}

func (r *report) chart() barchart.Chart {
	c := barchart.Chart{File: "sidecar", Title: "A decision: CPU µs of the server process",
		Series: []string{"one token", fmt.Sprintf("%d tokens in turn", r.Tokens)}, Values: make([][]float64, 2), Format: "%.0f"}
	for _, s := range slices.Backward(r.Results) { // the first one at the top
		c.Names = append(c.Names, s.Name)
		c.Values[0], c.Values[1] = append(c.Values[0], s.Seen.Microseconds), append(c.Values[1], s.Fresh.Microseconds)
	}
	return c
}
