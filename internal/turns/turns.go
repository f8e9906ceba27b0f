// Package turns benchmarks a function against its floor so that the result holds on a busy machine.
package turns

import (
	"slices"
	"testing"
	"time"
)

// Compare benchmarks ours as "phala" and the floor under its name, each alone, and then as "ratio" both in turns:
// the metric "ratio" is the quotient of their medians. What else the machine does meanwhile meets both alike.
func Compare(b *testing.B, name string, ours, floor func() error) {
	alone := func(f func() error) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("phala", alone(ours))
	b.Run(name, alone(floor))
	b.Run("ratio", func(b *testing.B) {
		var times [2][]time.Duration
		for b.Loop() {
			for i, f := range []func() error{ours, floor} {
				start := time.Now()
				if err := f(); err != nil {
					b.Fatal(err)
				}
				times[i] = append(times[i], time.Since(start))
			}
		}
		for i := range times {
			slices.Sort(times[i])
		}
		median := len(times[0]) / 2
		b.ReportMetric(float64(times[0][median])/float64(times[1][median]), "ratio")
	})
}
