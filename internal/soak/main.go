// Command soak runs the flows of package deploy against the fake cloud while everything fails at random: statuses, lost
// and torn answers, work that the server does long after its client was told that it failed, a chain that fails,
// concurrent callers, and processes that are killed and go on from what they saved. After each flow it looks at what the
// cloud really has: the number of CVMs, what they run, and the secrets that their guests decrypt.
//
//	go run ./internal/soak -flows 10000 -seed 1
//
// Flow i of a run has the seed that is i more than -seed, so that -seed X -flows 1 runs a single one again. Each runs in a
// bubble of testing/synctest, which needs no real time and finds goroutines that are left over. The draws follow from the
// seed; the order of concurrent goroutines and the jitter of the client do not.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	flows    = flag.Int("flows", 100, "how many `flows` to run")
	seed     = flag.Uint64("seed", 1, "seed of the first flow")
	parallel = flag.Int("workers", runtime.GOMAXPROCS(0), "how many flows run at once")
	real     = flag.Int("real", 0, "how many more flows to run on a simulated go-ethereum chain, in real time")
	verbose  = flag.Bool("v", false, "print each error that a flow returned")
)

// main runs as a test does, because testing/synctest takes a *testing.T.
func main() {
	testing.Main(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "soak", F: soak}}, nil, nil)
}

func soak(t *testing.T) {
	began, tally := time.Now(), newTally()
	memory := run(t, tally, *seed, *flows, *parallel)
	if *real > 0 {
		runReal(tally, *seed, *real)
	}
	tally.print(os.Stdout)
	fmt.Printf("\n%d flows from seed %d in %s; heap after the first tenth %d KB, at the end %d KB; goroutines before %d, after %d\n",
		*flows+*real, *seed, time.Since(began).Round(time.Second), memory.first>>10, memory.last>>10, memory.before, memory.after)
	if len(tally.violations) > 0 {
		t.Fail()
	}
}

// memory is what is left between flows, in bytes of the heap and in goroutines.
type memory struct {
	first, last   uint64
	before, after int
}

// run runs flows, several at a time, and compares heap and goroutines at the end with those of the beginning.
func run(t *testing.T, tally *tally, seed uint64, flows, workers int) memory {
	m := memory{before: runtime.NumGoroutine()}
	warm := max(flows/10, min(flows, 100))
	batch(t, tally, seed, warm, workers)
	m.first = heap()
	batch(t, tally, seed+uint64(warm), flows-warm, workers)
	m.last, m.after = heap(), runtime.NumGoroutine()
	if m.last > 2*m.first+8<<20 {
		tally.violate(violation{seed, "all", fmt.Sprintf("the heap grew from %d to %d bytes", m.first, m.last)})
	}
	if m.after > m.before+4 { // those of package testing and of the runtime
		tally.violate(violation{seed, "all", fmt.Sprintf("the goroutines grew from %d to %d", m.before, m.after)})
	}
	return m
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func batch(t *testing.T, tally *tally, seed uint64, flows, workers int) {
	var next atomic.Int64
	t.Run("batch", func(t *testing.T) {
		for range workers {
			t.Run("worker", func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1) - 1; i < int64(flows); i = next.Add(1) - 1 {
					one(t, tally, seed+uint64(i))
				}
			})
		}
	})
}

// one runs the flow of a seed.
func one(t *testing.T, tally *tally, seed uint64) {
	tr := &trial{seed: seed, tally: tally}
	tr.inBubble(t, tr.run)
}

// inBubble calls fn in a bubble. Goroutines that are left end the bubble with a panic.
func (t *trial) inBubble(test *testing.T, fn func(context.Context)) {
	defer t.recovered()
	synctest.Test(test, func(test *testing.T) {
		defer t.recovered()
		fn(test.Context())
	})
}

// recovered makes a violation of a panic.
func (t *trial) recovered() {
	if p := recover(); p != nil {
		t.violate("panic: %v", p)
	}
}
