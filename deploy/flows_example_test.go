package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// onAChain is a fake cloud on a simulated chain, with an app that runs: what a program has that uses the real
// ones.
func onAChain(ctx context.Context) (c *client.Client, chain deploy.Chain, hardware deploy.Option, done func()) {
	simulated, stop, err := chaintest.Start()
	if err != nil {
		log.Fatal(err)
	}
	cloud, err := phalatest.Start(phalatest.WithChain(simulated.View()), phalatest.WithTick(time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	if c, err = cloud.Client(); err != nil {
		log.Fatal(err)
	}
	opened, err := simulated.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	chain = opened.Flow()
	hardware = deploy.WithVerification(cloud.AttestationPolicy()) // the fake cloud's; Intel's needs no option
	app, err := compose.New("services: {web: {image: nginx}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		log.Fatal(err)
	}
	if _, err := deploy.Run(ctx, c, deploy.Spec{Name: "web-1", Compose: app}, deploy.WithChain(chain), hardware); err != nil {
		log.Fatal(err)
	}
	return c, chain, hardware, func() { cloud.Close(); stop() }
}

// Compose file and secrets change together; the chain allows the new compose hash on the way.
func ExampleUpdate() {
	ctx := context.Background()
	c, chain, hardware, done := onAChain(ctx)
	defer done()
	updated, err := deploy.Update(ctx, c, deploy.Change{
		CVM:           "web-1",
		DockerCompose: "services: {web: {image: nginx, environment: [\"TOKEN=${TOKEN}\"]}}\n",
		Env:           []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}},
	}, deploy.WithChain(chain), hardware)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updated.CVM.Status, updated.Pending.Transaction != deploy.AlreadyRegistered)
	for _, check := range updated.Checks {
		fmt.Println(check.Name, check.Outcome)
	}
	// Output:
	// running true
	// env key passed
	// kms root passed
	// compose hash passed
	// attestation passed
}

// One process prepares, another one approves, a third one commits. What they hand on is JSON.
func ExamplePrepare() {
	ctx := context.Background()
	c, chain, hardware, done := onAChain(ctx)
	defer done()
	prepared, err := deploy.Prepare(ctx, c, deploy.Change{CVM: "web-1", DockerCompose: "services: {web: {image: caddy}}\n"})
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := json.Marshal(prepared)
	if err != nil {
		fmt.Println(err)
		return
	}

	pending, err := deploy.ParsePending(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("before:", errors.Is(deploy.Commit(ctx, c, pending), deploy.ErrNotApproved))
	if err := deploy.Approve(ctx, chain, pending); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("after:", deploy.Commit(ctx, c, pending))
	updated, err := deploy.WaitCommitted(ctx, c, pending, hardware)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updated.ComposeHash == pending.ComposeHash, updated.CVM.Status)
	// Output:
	// before: true
	// after: <nil>
	// true running
}

func ExampleReplicate() {
	ctx := context.Background()
	c, chain, hardware, done := onAChain(ctx)
	defer done()
	replica, err := deploy.Replicate(ctx, c, deploy.Replica{CVM: "web-1"}, deploy.WithChain(chain), hardware)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(replica.CVM.Name, replica.CVM.Status)
	// Output: web-1 running
}
