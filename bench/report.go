package main

// The tables.

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// report is all that was measured. Parts that were not run are empty.
type report struct {
	Machine  machine           `json:"machine"`
	Versions map[string]string `json:"versions"` // of modules
	Short    bool              `json:"short"`
	Fresh    []freshResult     `json:"fresh,omitempty"`
	Seen     []seenResult      `json:"seen,omitempty"`
	Scaling  []scaling         `json:"scaling,omitempty"`
	Refused  []refusedResult   `json:"refused,omitempty"`
	Memory   memoryResult      `json:"memory,omitzero"`
	Pause    pauseResult       `json:"pause,omitzero"`
	Start    []startResult     `json:"start,omitempty"`
}

// machine is where it was measured.
type machine struct {
	CPU   string `json:"cpu"`
	Cores int    `json:"cores"`
	OS    string `json:"os"`
	Arch  string `json:"arch"`
	Go    string `json:"go"`
	Date  string `json:"date"`
}

func newReport(short bool) *report {
	r := &report{Short: short, Versions: make(map[string]string), Machine: machine{
		CPU: cpuModel(), Cores: runtime.GOMAXPROCS(0), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(),
		Date: time.Now().UTC().Format(time.DateOnly),
	}}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			r.Versions[dep.Path] = dep.Version
		}
	}
	return r
}

// cpuModel is what the processor says of itself, where that is easy to know.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown processor"
}

// write writes the report into a folder, and returns the files.
func (r *report) write(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"results.json": append(data, '\n'), "results.md": []byte(r.markdown())}
	drawn, err := r.charts()
	if err != nil {
		return nil, err
	}
	for name, svg := range drawn {
		files[name] = svg
	}
	var names []string
	var failed []error
	for name, content := range files {
		path := filepath.Join(dir, name)
		names = append(names, path)
		failed = append(failed, os.WriteFile(path, content, 0o644))
	}
	slices.Sort(names)
	return names, errors.Join(failed...)
}

// table writes a Markdown table.
func table(b *strings.Builder, title string, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| %s |\n|%s\n", title, strings.Join(head, " | "), "---|"+strings.Repeat("---:|", len(head)-1))
	for _, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
	}
}

// markdown returns the report for people.
func (r *report) markdown() string {
	var b strings.Builder
	m := r.Machine
	fmt.Fprintf(&b, "# What it costs to verify a token\n\n%d cores of an %s, %s/%s, %s, %s.\n", m.Cores, m.CPU, m.OS, m.Arch, m.Go, m.Date)
	if r.Short {
		b.WriteString("\nThis was a quick look with few rounds: do not quote its figures.\n")
	}
	var versions [][]string
	for _, p := range peers {
		var of []string
		for _, module := range p.modules {
			of = append(of, strings.TrimPrefix(module, "github.com/")+" "+r.version(module))
		}
		versions = append(versions, []string{p.name, strings.Join(of, ", ")})
	}
	r.freshTables(&b)
	r.seenTables(&b)
	r.refusedTable(&b)
	r.otherTables(&b)
	table(&b, "Versions", []string{"library", "modules"}, versions)
	return b.String()
}

func (r *report) version(module string) string {
	switch v := r.Versions[module]; v {
	case "", "(devel)", "v0.0.0-00010101000000-000000000000":
		return "(this tree)"
	default:
		return v
	}
}

func (r *report) freshTables(b *strings.Builder) {
	for _, algorithm := range algorithms {
		var rows [][]string
		var floor freshResult
		for _, f := range r.Fresh {
			switch {
			case f.Algorithm != algorithm:
				continue
			case f.Name == "floor":
				floor = f
			}
			rows = append(rows, []string{f.Name, times(f.Ratio), between(f.outcome), microseconds(f.Nanoseconds),
				fmt.Sprintf("%.0f", f.Allocations-floor.Allocations), fmt.Sprintf("%.1f", (f.Bytes-floor.Bytes)/1024)})
		}
		table(b, "Never seen, "+algorithm, []string{"library", "/ floor", "middle half", "µs", "allocations above the floor", "KiB above the floor"}, rows)
	}
}

func (r *report) seenTables(b *strings.Builder) {
	var rows [][]string
	for _, s := range r.Seen {
		rows = append(rows, []string{fmt.Sprint(s.Live), times(s.Ratio), between(s.outcome), times(s.OverHash),
			fmt.Sprintf("%.0f", s.Nanoseconds), fmt.Sprintf("%.0f", s.Map), fmt.Sprintf("%.0f", s.Hash), fmt.Sprintf("%.2f", s.Allocations)})
	}
	table(b, "Seen before, 1 core", []string{"live tokens", "/ map with RWMutex", "middle half", "/ hash and clock", "ns", "ns of the map", "ns of hash and clock", "allocations"}, rows)
	rows = nil
	for _, s := range r.Scaling {
		row := []string{fmt.Sprint(s.Live)}
		for _, g := range []gain{s.Persauth, s.Map, s.Hash} {
			row = append(row, fmt.Sprintf("%.2f (%.0f)", g.Times, g.Nanoseconds))
		}
		rows = append(rows, append(row, fmt.Sprintf("%.2f", s.OfHash)))
	}
	if len(r.Scaling) > 0 {
		table(b, fmt.Sprintf("Seen before, tokens a second of %d cores / of 1 core (ns for one token, all cores together)", r.Scaling[0].Cores),
			[]string{"live tokens", "persauth", "map with RWMutex", "hash and clock", "persauth / hash and clock, round by round"}, rows)
	}
}

func (r *report) refusedTable(b *strings.Builder) {
	var rows [][]string
	head := []string{"library"}
	for _, bad := range badTokens {
		head = append(head, bad.name)
	}
	for _, p := range peers {
		row := []string{p.name}
		for _, bad := range badTokens {
			for _, f := range r.Refused {
				if f.Case != bad.name || f.Name != p.name {
					continue
				}
				cell := fmt.Sprintf("%s (%.2f)", microseconds(f.Nanoseconds), f.Ratio)
				if f.Fetches > 0 {
					cell += ", keys fetched"
				}
				row = append(row, cell)
			}
		}
		if len(row) > 1 {
			rows = append(rows, row)
		}
	}
	table(b, "Refused, in µs (/ RS256 floor)", head, rows)
	if len(rows) > 0 {
		b.WriteString("\nKeys fetched: for each such token. persauth does not ask PERS about unknown keys here. " +
			"cristalhq/jwt and clerk-sdk-go are given one key, and find an unknown one by its signature.\n")
	}
}

func (r *report) otherTables(b *strings.Builder) {
	if m := r.Memory; m.Tokens > 0 {
		table(b, fmt.Sprintf("Memory for each of %d remembered tokens of %d bytes", m.Tokens, m.TokenSize), []string{"", "bytes"}, [][]string{
			{"persauth", fmt.Sprintf("%.0f", m.Persauth)},
			{"a copy of the token and its claims in a struct, in a map", fmt.Sprintf("%.0f", m.Map)},
		})
	}
	if p := r.Pause; p.Tokens > 0 {
		row := func(name string, w waits) []string {
			return []string{name, fmt.Sprintf("%.3f", w.Usual), fmt.Sprintf("%.1f", w.Longest), fmt.Sprintf("%d of %d", w.Over, w.Calls)}
		}
		table(b, "The longest call", []string{"", "ms, in the median of stretches", "ms, ever", "over 1 ms"}, [][]string{
			row(fmt.Sprintf("persauth, a remembered token, while %d tokens come and go", p.Tokens), p.Persauth),
			row("a look at the clock, in the same loop: the machine's own", p.Machine),
			row(fmt.Sprintf("go-cache of %d tokens, while it cleans up", p.Tokens), p.Sweep),
		})
	}
	var rows [][]string
	for _, s := range r.Start {
		rows = append(rows, []string{s.Name, times(s.Ratio), between(s.outcome), fmt.Sprintf("%.1f", s.Nanoseconds/1e6), fmt.Sprintf("%.1f", float64(s.BinarySize)/(1<<20))})
	}
	table(b, "From the start of a service to its first answer", []string{"service", "/ golang-jwt + keyfunc", "middle half", "ms", "MiB of program"}, rows)
}

func times(ratio float64) string { return fmt.Sprintf("%.3f", ratio) }

func between(o outcome) string { return fmt.Sprintf("%.3f–%.3f", o.Low, o.High) }

func microseconds(ns float64) string { return fmt.Sprintf("%.1f", ns/1000) }
