package main

// The charts. Each is drawn twice, for a light page and for a dark one.

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-analyze/charts"
)

// chart is a chart of bars that lie.
type chart struct {
	file, title string
	names       []string
	series      []string    // more than one: beside each other, with a legend
	values      [][]float64 // by series, then by name
	format      string
}

var themes = map[string]string{"light": charts.ThemeLight, "dark": charts.ThemeDark}

// charts draws what was measured. The names of the files say for which page they
// are.
func (r *report) charts() (map[string][]byte, error) {
	drawn := make(map[string][]byte)
	for _, c := range slices.Concat(r.freshCharts(), r.seenCharts(), r.startCharts()) {
		for page, theme := range themes {
			svg, err := c.draw(theme)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", c.file, err)
			}
			drawn[c.file+"-"+page+".svg"] = svg
		}
	}
	return drawn, nil
}

func (r *report) freshCharts() (all []chart) {
	for _, algorithm := range algorithms {
		c := chart{file: "fresh-" + algorithm, title: "A token never seen before, " + algorithm + ": times the bare check of its signature",
			values: make([][]float64, 1), format: "%.2f"}
		results := slices.DeleteFunc(slices.Clone(r.Fresh), func(f freshResult) bool { return f.Algorithm != algorithm || f.Name == "floor" })
		slices.SortFunc(results, func(a, b freshResult) int { return cmp.Compare(b.Ratio, a.Ratio) }) // the best at the top
		for _, f := range results {
			c.names, c.values[0] = append(c.names, f.Name), append(c.values[0], f.Ratio)
		}
		if len(c.names) > 0 {
			all = append(all, c)
		}
	}
	return all
}

func (r *report) seenCharts() []chart {
	if len(r.Seen) == 0 {
		return nil
	}
	c := chart{file: "seen", title: "A token seen before: ns for one", series: []string{"persauth", "map with RWMutex", "hash and clock"},
		values: make([][]float64, 3), format: "%.0f"}
	add := func(name string, values ...float64) {
		c.names = append(c.names, name)
		for i, v := range values {
			c.values[i] = append(c.values[i], v)
		}
	}
	// The first one at the top.
	for _, s := range slices.Backward(r.Scaling) {
		add(fmt.Sprintf("%d live, %d cores", s.Live, s.Cores), s.Persauth.Nanoseconds, s.Map.Nanoseconds, s.Hash.Nanoseconds)
	}
	for _, s := range slices.Backward(r.Seen) {
		add(fmt.Sprintf("%d live, 1 core", s.Live), s.Nanoseconds, s.Map, s.Hash)
	}
	return []chart{c}
}

func (r *report) startCharts() []chart {
	if len(r.Start) == 0 {
		return nil
	}
	c := chart{file: "start", title: "From the start of a service to its first answer: ms", values: make([][]float64, 1), format: "%.1f"}
	for _, s := range r.Start {
		name := s.Name
		switch name {
		case "empty":
			name = "no verification"
		case "keyfunc":
			name = "golang-jwt + keyfunc"
		}
		c.names, c.values[0] = append(c.names, name), append(c.values[0], s.Nanoseconds/1e6)
	}
	return []chart{c}
}

// draw returns the chart as SVG.
func (c *chart) draw(theme string) ([]byte, error) {
	values, height := c.values, 90+54*len(c.names)
	single := len(c.values) == 1
	if single {
		// The bars of this library in a colour of their own: another series.
		values, height = make([][]float64, 2), 90+26*len(c.names)
		for i, name := range c.names {
			ours := name == "persauth"
			values[0], values[1] = append(values[0], valueIf(ours, c.values[0][i])), append(values[1], valueIf(!ours, c.values[0][i]))
		}
	}
	opt := charts.NewBarChartOptionWithData(values)
	opt.Horizontal, opt.StackSeries = true, charts.Ptr(single)
	opt.Theme = charts.GetTheme(theme)
	text := charts.FontStyle{FontSize: 10, FontColor: opt.Theme.GetLabelTextColor()}
	opt.Title = charts.TitleOption{Text: c.title, FontStyle: charts.FontStyle{FontSize: 12}}
	opt.Legend = charts.LegendOption{SeriesNames: c.series, Show: charts.Ptr(!single), Offset: charts.OffsetRight}
	opt.CategoryAxis.LabelFontStyle = text
	for _, name := range c.names {
		// Who looks at it may have a wider font.
		opt.CategoryAxis.Labels = append(opt.CategoryAxis.Labels, name+"     ")
	}
	opt.ValueAxis[0].Min, opt.ValueAxis[0].Show = charts.Ptr(0.0), charts.Ptr(false)
	opt.Padding = charts.NewBox(20, 20, 60, 20)
	for i := range opt.SeriesList {
		opt.SeriesList[i].Label = charts.SeriesLabel{Show: charts.Ptr(true), FontStyle: text, ValueFormatter: func(v float64) string {
			if v == 0 {
				return ""
			}
			return fmt.Sprintf(c.format, v)
		}}
	}
	p := charts.NewPainter(charts.PainterOptions{OutputFormat: charts.ChartOutputSVG, Width: 800, Height: height})
	if err := p.BarChart(opt); err != nil {
		return nil, err
	}
	return p.Bytes()
}

func valueIf(holds bool, v float64) float64 {
	if holds {
		return v
	}
	return 0
}
