package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

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
