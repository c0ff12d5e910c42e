// Package barchart draws what was measured: bars that lie, for a light page and
// for a dark one.
package barchart

import (
	"fmt"

	"github.com/go-analyze/charts"
)

// Chart is a chart of bars.
type Chart struct {
	File, Title string
	Names       []string
	Series      []string    // more than one: beside each other, with a legend
	Values      [][]float64 // by series, then by name
	Format      string      // of a value, as fmt has it
}

// Themes are the pages that a chart is drawn for, and how.
var Themes = map[string]string{"light": charts.ThemeLight, "dark": charts.ThemeDark}

// Draw returns the chart as SVG.
func (c *Chart) Draw(theme string) ([]byte, error) {
	values, height := c.Values, 90+54*len(c.Names)
	single := len(c.Values) == 1
	if single {
		// The bars of this library in a colour of their own: another series.
		values, height = make([][]float64, 2), 90+26*len(c.Names)
		for i, name := range c.Names {
			ours := name == "persauth"
			values[0], values[1] = append(values[0], valueIf(ours, c.Values[0][i])), append(values[1], valueIf(!ours, c.Values[0][i]))
		}
	}
	opt := charts.NewBarChartOptionWithData(values)
	opt.Horizontal, opt.StackSeries = true, charts.Ptr(single)
	opt.Theme = charts.GetTheme(theme)
	text := charts.FontStyle{FontSize: 10, FontColor: opt.Theme.GetLabelTextColor()}
	opt.Title = charts.TitleOption{Text: c.Title, FontStyle: charts.FontStyle{FontSize: 12}}
	opt.Legend = charts.LegendOption{SeriesNames: c.Series, Show: charts.Ptr(!single), Offset: charts.OffsetRight}
	opt.CategoryAxis.LabelFontStyle = text
	for _, name := range c.Names {
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
			return fmt.Sprintf(c.Format, v)
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
