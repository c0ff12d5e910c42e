package main

// The charts. Each is drawn twice, for a light page and for a dark one.

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/persauth/persauth/bench/internal/barchart"
)

// charts draws what was measured. The names of the files say for which page they
// are.
func (r *report) charts() (map[string][]byte, error) {
	drawn := make(map[string][]byte)
	for _, c := range slices.Concat(r.freshCharts(), r.seenCharts(), r.startCharts()) {
		for page, theme := range barchart.Themes {
			svg, err := c.Draw(theme)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.File, err)
			}
			drawn[c.File+"-"+page+".svg"] = svg
		}
	}
	return drawn, nil
}

func (r *report) freshCharts() (all []barchart.Chart) {
	for _, algorithm := range algorithms {
		c := barchart.Chart{File: "fresh-" + algorithm, Title: "A token never seen before, " + algorithm + ": times the bare check of its signature",
			Values: make([][]float64, 1), Format: "%.2f"}
		results := slices.DeleteFunc(slices.Clone(r.Fresh), func(f freshResult) bool { return f.Algorithm != algorithm || f.Name == "floor" })
		slices.SortFunc(results, func(a, b freshResult) int { return cmp.Compare(b.Ratio, a.Ratio) }) // the best at the top
		for _, f := range results {
			c.Names, c.Values[0] = append(c.Names, f.Name), append(c.Values[0], f.Ratio)
		}
		if len(c.Names) > 0 {
			all = append(all, c)
		}
	}
	return all
}

func (r *report) seenCharts() []barchart.Chart {
	if len(r.Seen) == 0 {
		return nil
	}
	c := barchart.Chart{File: "seen", Title: "A token seen before: ns for one", Series: []string{"persauth", "map with RWMutex", "hash and clock"},
		Values: make([][]float64, 3), Format: "%.0f"}
	add := func(name string, values ...float64) {
		c.Names = append(c.Names, name)
		for i, v := range values {
			c.Values[i] = append(c.Values[i], v)
		}
	}
	// The first one at the top.
	for _, s := range slices.Backward(r.Scaling) {
		add(fmt.Sprintf("%d live, %d cores", s.Live, s.Cores), s.Persauth.Nanoseconds, s.Map.Nanoseconds, s.Hash.Nanoseconds)
	}
	for _, s := range slices.Backward(r.Seen) {
		add(fmt.Sprintf("%d live, 1 core", s.Live), s.Nanoseconds, s.Map, s.Hash)
	}
	return []barchart.Chart{c}
}

func (r *report) startCharts() []barchart.Chart {
	if len(r.Start) == 0 {
		return nil
	}
	c := barchart.Chart{File: "start", Title: "From the start of a service to its first answer: ms", Values: make([][]float64, 1), Format: "%.1f"}
	for _, s := range r.Start {
		name := s.Name
		switch name {
		case "empty":
			name = "no verification"
		case "keyfunc":
			name = "golang-jwt + keyfunc"
		}
		c.Names, c.Values[0] = append(c.Names, name), append(c.Values[0], s.Nanoseconds/1e6)
	}
	return []barchart.Chart{c}
}
