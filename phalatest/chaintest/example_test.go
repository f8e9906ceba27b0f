package chaintest_test

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// In a test this is chaintest.New(t), which needs no stop.
func Example() {
	chain, stop, err := chaintest.Start(chaintest.WithGeneration(chaintest.V059))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()
	ctx := context.Background()
	opened, err := chain.Open(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	hash := [32]byte{1}
	done, err := opened.DeployApp(ctx, kms.AppContract{ComposeHash: hash, AllowAnyDevice: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	allowed, err := chain.IsHashAllowed(ctx, done.App, hash)
	fmt.Println(opened.Version().App, len(chain.Sent()), allowed, err)
	// Output: 2 1 true <nil>
}
