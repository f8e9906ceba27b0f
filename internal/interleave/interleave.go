// Package interleave benchmarks a function against baselines, interleaved, so that the result is valid on a busy
// machine.
package interleave

import (
	"slices"
	"testing"
	"time"
)

// Baseline is a function to compare with.
type Baseline struct {
	Name string
	Do   func() error
}

// turn is the minimum time for which a function runs before the next one.
const turn = 200 * time.Microsecond

// Compare runs a function and its baselines interleaved, in alternating order, so that other load of the machine
// affects all of them alike. It reports the time of each as "phala-ns" and "<name>-ns", the allocations as
// "phala-allocs" and "<name>-allocs", and the quotient of the times as "<name>-ratio". A time is the 10th percentile of
// the turns: on a busy machine most turns of a millisecond are interrupted, the longer ones more often, so that a
// median would compare the scheduler.
func Compare(b *testing.B, ours func() error, baselines ...Baseline) {
	all := append([]Baseline{{"phala", ours}}, baselines...)
	run := func(i, calls int) time.Duration {
		start := time.Now()
		for range calls {
			if err := all[i].Do(); err != nil {
				b.Fatalf("%s: %v", all[i].Name, err)
			}
		}
		return time.Since(start)
	}
	calls := make([]int, len(all)) // in a turn
	for i := range all {
		run(i, 1) // warm
		calls[i] = 1 + int(turn/(run(i, 1)+1))
	}
	times := make([][]float64, len(all))
	for round := 0; b.Loop(); round++ {
		for k := range all {
			i := k
			if round%2 == 1 {
				i = len(all) - 1 - k
			}
			times[i] = append(times[i], float64(run(i, calls[i]))/float64(calls[i]))
		}
	}
	b.ReportMetric(0, "ns/op") // the sum of all has no meaning
	for i := range all {
		slices.Sort(times[i])
		b.ReportMetric(fast(times[i]), all[i].Name+"-ns")
		b.ReportMetric(testing.AllocsPerRun(5, func() { run(i, 1) }), all[i].Name+"-allocs")
		if i > 0 {
			b.ReportMetric(fast(times[0])/fast(times[i]), all[i].Name+"-ratio")
		}
	}
}

func fast(sorted []float64) float64 { return sorted[len(sorted)/10] }
