package main

import (
	"fmt"
	"image/color"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// series returns metrics of benchmarks, each at its number.
func (m measurement) series(scale float64, names map[int]string) (plotter.XYs, error) {
	var points plotter.XYs
	for _, n := range slices.Sorted(maps.Keys(names)) {
		y := m.Values[names[n]]
		if y == 0 {
			return nil, fmt.Errorf("%s: not measured", names[n])
		}
		points = append(points, plotter.XY{X: float64(n), Y: y * scale})
	}
	return points, nil
}

// bySize are the metrics of a benchmark whose largest size is its own and whose others are its baselines.
func bySize(benchmark string, largest int, others ...int) map[int]string {
	names := map[int]string{largest: benchmark + " phala-ns"}
	for _, n := range others {
		names[n] = fmt.Sprintf("%s %d-ns", benchmark, n)
	}
	return names
}

// plot draws all plots into a folder.
func (m measurement) plot(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, draw := range map[string]func() (*plot.Plot, error){
		"ratios": m.plotRatios, "waitall": m.plotWaitAll, "cloud": m.plotCloud, "deploys": m.plotDeploys,
	} {
		p, err := draw()
		if err != nil {
			return err
		}
		p.BackgroundColor = color.White
		if err := p.Save(7*vg.Inch, 4*vg.Inch, filepath.Join(dir, name+".svg")); err != nil {
			return err
		}
	}
	return nil
}

// plotRatios draws each row of the table as a part of its aim.
func (m measurement) plotRatios() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text = "Ratio as a part of its aim (the line)"
	p.X.Min = 0
	var parts plotter.Values
	var names []string
	for i := len(rows) - 1; i >= 0; i-- {
		if r := rows[i]; r.aim > 0 {
			parts = append(parts, m.Values[r.benchmark+" "+r.against+"-ratio"]/r.aim)
			names = append(names, "  "+r.benchmark+" / "+r.against)
		}
	}
	bars, err := plotter.NewBarChart(parts, vg.Points(7))
	if err != nil {
		return nil, err
	}
	bars.Horizontal, bars.Color, bars.LineStyle.Width = true, plotutil.Color(2), 0
	aim, err := plotter.NewLine(plotter.XYs{{X: 1, Y: -0.5}, {X: 1, Y: float64(len(parts)) - 0.5}})
	if err != nil {
		return nil, err
	}
	aim.Color = plotutil.Color(0)
	p.Add(bars, aim)
	p.NominalY(names...)
	p.X.Max = slices.Max(parts) + 0.05
	return p, nil
}

func (m measurement) plotWaitAll() (*plot.Plot, error) {
	points, err := m.series(1e-9, bySize("WaitAll", 100_000, 1000, 2000, 5000, 10_000, 20_000, 50_000))
	if err != nil {
		return nil, err
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "WaitAll, CVMs that run already", "CVMs", "seconds"
	last := points[len(points)-1]
	line := plotter.XYs{{X: 0, Y: 0}, last}
	return p, plotutil.AddLinePoints(p, "measured", points, "straight line", line)
}

// shown are the requests in the plot of the fake cloud.
var shown = []string{"Get", "List", "ListLastPage", "Apps", "Statuses", "Provision", "AppsByStatus"}

func (m measurement) plotCloud() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "A request to the fake cloud", "CVMs in it", "milliseconds"
	p.X.Scale, p.Y.Scale = plot.LogScale{}, plot.LogScale{}
	p.X.Tick.Marker, p.Y.Tick.Marker = plot.LogTicks{Prec: -1}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	var lines []any
	for _, op := range shown {
		points, err := m.series(1e-6, bySize("Scale/"+op, 20_000, 100, 1000, 5000))
		if err != nil {
			return nil, err
		}
		lines = append(lines, op, points)
	}
	err := plotutil.AddLinePoints(p, lines...)
	p.Y.Max *= 10 // room for the legend
	return p, err
}

func (m measurement) plotDeploys() (*plot.Plot, error) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = "Verified deployments at once, on one fake cloud", "deployments", "seconds until done"
	p.Legend.Top, p.Legend.Left = true, true
	var lines []any
	for _, metric := range []string{"p50-ms", "p99-ms"} {
		names := map[int]string{}
		for _, n := range []int{1, 10, 50, 100, 200, 500} {
			names[n] = fmt.Sprintf("ManyDeploys/%d %s", n, metric)
		}
		points, err := m.series(1e-3, names)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.TrimSuffix(metric, "-ms"), points)
	}
	return p, plotutil.AddLinePoints(p, lines...)
}
