package verify_test

import (
	"context"
	"fmt"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/verify"
)

func ExampleApp() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	trust := deploy.WithVerification(cloud.AttestationPolicy())
	r, err := deploy.Run(context.Background(), c, deploy.Spec{Name: "web-1", Compose: app}, trust)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := deploy.Replicate(context.Background(), c, r, deploy.ReplicaSpec{}, trust); err != nil {
		fmt.Println(err)
		return
	}

	policy := cloud.AttestationPolicy() // for real hardware: what you know of it; Intel's root is built in
	policy.ComposeHashes = []compose.Hash{r.ComposeHash}
	result, err := verify.App(context.Background(), c, r.ID, policy)
	for _, i := range result.Instances {
		fmt.Println(i.Name, i.Status, i.Report.Verified)
	}
	fmt.Println(err)

	for round, err := range verify.Repeat(context.Background(), c, r.ID, policy) {
		if err != nil {
			fmt.Println("ended:", err)
			break
		}
		fmt.Println(len(round.Result.Instances), len(round.Drifts), round.Err)
		break
	}
	// Output:
	// web-1 running true
	// web-1 running true
	// <nil>
	// 2 0 <nil>
}
