// Command soak runs the flows of package deploy against the fake cloud while everything fails at random: error statuses,
// lost and truncated responses, operations that the server performs long after the client got an error, a chain that
// fails, concurrent callers, and processes that are killed and continue from their saved state. After each flow it checks
// the cloud: the number of CVMs, the documents that they run, and the secrets that their guests decrypt.
//
//	go run ./internal/soak -flows 10000 -seed 1
//
// Flow i of a run has the seed -seed plus i, so that -seed X -flows 1 repeats a single one. Each runs in a bubble of
// testing/synctest, which needs no real time and detects leaked goroutines. The draws follow from the seed; the order of
// concurrent goroutines and the jitter of the client do not.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
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

// memory is the size of the heap in bytes and the number of goroutines between flows.
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

// inBubble calls fn in a bubble of testing/synctest, which panics if goroutines are left.
func (t *trial) inBubble(test *testing.T, fn func(context.Context)) {
	defer t.recovered()
	synctest.Test(test, func(test *testing.T) {
		defer t.recovered()
		fn(test.Context())
	})
}

// recovered turns a panic into a violation.
func (t *trial) recovered() {
	if p := recover(); p != nil {
		t.violate("panic: %v", p)
	}
}

// runReal runs flows on a simulated go-ethereum chain, one after the other: real transactions and contracts, in real
// time. So the faults are those after which no flow pauses for minutes, and no flow makes one more CVM.
func runReal(tally *tally, seed uint64, flows int) {
	chain, stop, err := chaintest.Start()
	if err != nil {
		panic(err)
	}
	defer stop()
	open, err := chain.Open(context.Background())
	if err != nil {
		panic(err)
	}
	for i := range flows {
		tr := &trial{seed: seed + uint64(i), tally: tally, patience: 20 * time.Millisecond, lifetime: 300 * time.Millisecond, prefix: "real chain: "}
		func() {
			defer tr.recovered()
			tr.dice = newDice(tr.seed, 3)
			tr.rate = []float64{0, 0.1, 0.2}[tr.dice.n(3)]
			tr.start(phalatest.WithTick(time.Millisecond), phalatest.WithChain(chain.View()), phalatest.WithSeed(fmt.Sprint(tr.seed)))
			tr.net.instant, tr.net.rng = true, rand.New(rand.NewPCG(tr.seed, 4))
			tr.reads = open.Flow()
			tr.connect(open.Flow(), client.WithRetry(client.RetryPolicy{BaseDelay: time.Millisecond, MaxDelay: 10 * time.Millisecond, MaxRetryAfter: client.NoDelay}))
			tr.flows(context.Background(), []step{
				{"Update", tr.update}, {"Update", tr.update}, {"Rollback", tr.rollback}, {"Prepare, Approve, Commit, Finish", tr.prepare},
				{"Attach", tr.attach}, {"Retire", tr.retire},
			})
		}()
	}
}
