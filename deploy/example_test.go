package deploy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func ExampleRun() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	c, err := cloud.Client() // client.New() for the real one
	if err != nil {
		fmt.Println(err)
		return
	}
	doc, err := compose.New("services: {web: {image: nginx, environment: [\"TOKEN=${TOKEN}\"]}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	app, err := deploy.Run(context.Background(), c, deploy.Spec{
		Name:    "web-1",
		Compose: doc,
		Env:     []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}},
	}, deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithTeamWallet(cloud.TeamWallet()), deploy.WithVerification(cloud.AttestationPolicy()))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.CVMs[0].Name, app.Last.CVM.Status, app.Secrets)
	for _, check := range app.Last.Comparisons {
		if check.Outcome != deploy.Noticed {
			fmt.Println(check.Name, check.Outcome)
		}
	}
	// Output:
	// web-1 running [TOKEN]
	// compose hash confirmed
	// app id confirmed
	// operating system consistent
	// env key consistent
	// kms root confirmed
	// operating system consistent
	// attestation confirmed
}

// deployment is what a program has at hand that keeps an app running on a chain.
type deployment struct {
	c        *client.Client
	chain    deploy.Chain
	hardware attest.Policy // that of the fake cloud; the zero value trusts Intel's
	app      *deploy.App
	done     func()
}

// onAChain is a fake cloud on a simulated chain, with an app that runs.
func onAChain(ctx context.Context) deployment {
	simulated, stop, err := chaintest.Start()
	if err != nil {
		log.Fatal(err)
	}
	cloud, err := phalatest.Start(phalatest.WithChain(simulated.View()), phalatest.WithTick(time.Millisecond))
	if err != nil {
		log.Fatal(err)
	}
	d := deployment{hardware: cloud.AttestationPolicy(), done: func() { cloud.Close(); stop() }}
	if d.c, err = cloud.Client(); err != nil {
		log.Fatal(err)
	}
	opened, err := simulated.Open(ctx)
	if err != nil {
		log.Fatal(err)
	}
	d.chain = opened.Flow()
	doc, err := compose.New("services: {web: {image: nginx}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		log.Fatal(err)
	}
	d.app, err = deploy.Run(ctx, d.c, deploy.Spec{Name: "web-1", Compose: doc},
		deploy.WithChain(d.chain), deploy.TrustDeviceFromCloud(), deploy.WithVerification(d.hardware))
	if err != nil {
		log.Fatal(err)
	}
	return d
}

// Compose file and secrets change together; the chain allows the new compose hash on the way.
func ExampleUpdate() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	updated, err := deploy.Update(ctx, d.c, d.app, deploy.UpdateSpec{
		DockerCompose: "services: {web: {image: nginx, environment: [\"TOKEN=${TOKEN}\"]}}\n",
		Env:           []compose.EnvVar{{Key: "TOKEN", Value: "hunter2"}},
	}, deploy.WithChain(d.chain), deploy.WithVerification(d.hardware))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updated.Last.CVM.Status, updated.Secrets, updated.ComposeHash == d.app.ComposeHash)
	for _, check := range updated.Last.Comparisons {
		if check.Outcome != deploy.Noticed {
			fmt.Println(check.Name, check.Outcome)
		}
	}
	// Output:
	// running [TOKEN] false
	// kms root confirmed
	// compose hash confirmed
	// device not needed
	// operating system consistent
	// attestation confirmed
}

// One process prepares, the owner reads and approves, a third process commits. What they hand on is JSON.
func ExamplePrepare() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	prepared, err := deploy.Prepare(ctx, d.c, d.app, deploy.UpdateSpec{DockerCompose: "services: {web: {image: caddy}}\n"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("before:", errors.Is(deploy.Commit(ctx, d.c, prepared), deploy.ErrNotApproved))

	file, err := json.Marshal(prepared.Approval)
	if err != nil {
		fmt.Println(err)
		return
	}
	approval, err := deploy.ParseApproval(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	diff, err := approval.Diff()
	if err != nil {
		fmt.Println(err)
		return
	}
	for line := range strings.Lines(diff) {
		if strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "- ") {
			fmt.Print(line)
		}
	}
	if err := deploy.Approve(ctx, d.chain, approval); err != nil {
		fmt.Println(err)
		return
	}

	prepared.Approval = *approval
	fmt.Println("after:", deploy.Commit(ctx, d.c, prepared))
	updated, err := deploy.Finish(ctx, d.c, prepared, deploy.WithVerification(d.hardware))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(updated.ComposeHash == approval.ComposeHash, updated.Last.CVM.Status)
	// Output:
	// before: true
	// -  services: {web: {image: nginx}}
	// +  services: {web: {image: caddy}}
	// after: <nil>
	// true running
}

func ExampleReplicate() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	app, err := deploy.Replicate(ctx, d.c, d.app, deploy.ReplicaSpec{}, deploy.WithChain(d.chain), deploy.WithVerification(d.hardware))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, cvm := range app.CVMs {
		fmt.Println(cvm.Name, cvm.ComposeHash == app.ComposeHash)
	}
	// Output:
	// web-1 true
	// web-1 true
}

// An update that retires the document before leaves nothing old that could be run again, unless it is rolled back.
func ExampleRollback() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	opts := []deploy.Option{deploy.WithChain(d.chain), deploy.WithVerification(d.hardware)}
	updated, err := deploy.Update(ctx, d.c, d.app, deploy.UpdateSpec{DockerCompose: "services: {web: {image: caddy}}\n", RetireOld: true}, opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	before := updated.Revisions[0].ComposeHash
	allowance, err := d.chain.Allowance(ctx, updated.ID, before, updated.Devices[0])
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("allowed:", allowance.ComposeHash)
	back, err := deploy.Rollback(ctx, d.c, updated, deploy.RollbackSpec{ComposeHash: before}, opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(back.Document == d.app.Document, back.Last.CVM.Status)
	// Output:
	// allowed: false
	// true running
}

// An app that runs already gets its anchor from what the hardware proves, and from its contract.
func ExampleAttach() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	app, err := deploy.Attach(ctx, d.c, d.app.ID, d.hardware, deploy.WithChain(d.chain))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.Document == d.app.Document, app.Owner == d.app.Owner, len(app.CVMs))
	for _, check := range app.Last.Comparisons {
		if check.Outcome != deploy.Noticed {
			fmt.Println(check.Name, check.Outcome)
		}
	}
	// Output:
	// true true 1
	// attestation confirmed
	// app contract confirmed
}

// The anchor is kept in a file that only its owner can read.
func ExampleSaveFile() {
	ctx := context.Background()
	d := onAChain(ctx)
	defer d.done()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "web.json")
	if err := deploy.SaveFile(path, d.app); err != nil {
		fmt.Println(err)
		return
	}
	app, err := deploy.LoadFile(path, deploy.ParseApp)
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := os.Stat(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.ID == d.app.ID, info.Mode())
	// Output: true -rw-------
}

// A host that boots another app-compose than the one it was given is found out by what the hardware signs.
func ExampleVerificationError() {
	cloud, err := phalatest.Start()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cloud.Close()
	cloud.BootInstead("web-1", func(s *quotetest.Spec) { s.AppCompose += " " })
	c, err := cloud.Client()
	if err != nil {
		fmt.Println(err)
		return
	}
	doc, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = deploy.Run(context.Background(), c, deploy.Spec{Name: "web-1", Compose: doc}, deploy.WithVerification(cloud.AttestationPolicy()))
	var unverified *deploy.VerificationError
	if errors.As(err, &unverified) {
		fmt.Println(errors.Is(err, attest.ErrComposeHash))
		fmt.Println(unverified.Report.Check(attest.CheckComposeHash).Outcome)
		fmt.Println(unverified.Report.Check(attest.CheckSignature).Outcome)
	}
	// Output:
	// true
	// failed
	// passed
}
