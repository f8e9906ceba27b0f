// Package turns benchmarks a function against baselines so that the result holds on a busy machine.
package turns

import (
	"slices"
	"testing"
	"time"
)

// Baseline is what a function is measured against.
type Baseline struct {
	Name string
	Do   func() error
}

// turn is how long a function runs before the next one has its turn, at least.
const turn = 200 * time.Microsecond

// Compare runs a function and its baselines in turns, in alternating order: what else the machine does meanwhile meets all
// of them alike. It reports the time of each as "phala-ns" and "<name>-ns", the allocations as "phala-allocs" and
// "<name>-allocs", and the quotient of the times as "<name>-ratio". A time is the one that a tenth of the turns stay below:
// on a machine that is busy most turns of a millisecond are interrupted, the longer ones more often, so that a median
// would compare the scheduler.
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
	b.ReportMetric(0, "ns/op") // the sum of all says nothing
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
