// Command multisig shows an update that several parties carry out, each in a process of its own: one prepares
// it, a multisig that owns the app's contract allows it on the chain, and one commits it, without an API key. What
// they hand on are files.
//
//	go run ./examples/multisig
//
// starts an embedded Phala Cloud and a simulated chain, deploys an app whose contract belongs to a wallet of three
// owners of which two must agree, as a Safe is, and then runs itself:
//
//	multisig prepare DIR     needs app.json and PHALA_CLOUD_API_KEY: writes pending.json and approval.json
//	multisig propose DIR     needs approval.json and the chain, no key: shows what changes, writes what a Safe loads
//	multisig approved DIR    needs approval.json and the chain, no key: after the Safe has executed the batch
//	multisig commit DIR      needs pending.json and approval.json, and nothing else
//
// approval.json holds no secret, and the whole document: who approves computes the compose hash again and reads what
// changes. Between propose and approved the owners load batch.json into the Safe transaction builder; here the embedded
// wallet takes it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

const (
	name     = "multisig-demo"
	compose1 = "services:\n  web:\n    image: nginx:1.29\n"
	compose2 = "services:\n  web:\n    image: nginx:1.30\n"
)

// The files that the parties hand on: the anchor of the app, the change with its commit token, what the owner must
// allow, and that as a Safe loads it.
const (
	appFile      = "app.json"
	pendingFile  = "pending.json"
	approvalFile = "approval.json"
	batchFile    = "batch.json"
)

const usage = `multisig carries out an update that a multisig must allow.

usage:
  multisig                 all parties, on an embedded Phala Cloud and a simulated chain
  multisig prepare DIR     needs app.json and PHALA_CLOUD_API_KEY: writes pending.json and approval.json
  multisig propose DIR     needs approval.json, ETH_RPC_URL, CHAIN_ID and KMS_CONTRACT: writes batch.json for a Safe
  multisig approved DIR    the same, after the Safe has executed the batch
  multisig commit DIR      needs pending.json and approval.json

Each party can stop at any time: the files in DIR are what exists. It ends with 0, with 1 if something failed, with 2 for
wrong arguments.
`

// errUsage is returned for arguments that cannot be used.
var errUsage = errors.New("wrong arguments")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	switch err := run(ctx, flag.Args()); {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "multisig:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "✗", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return stage(ctx)
	}
	parts := map[string]func(context.Context, folder) error{
		"prepare": prepare, "propose": propose, "approved": approved, "commit": commit,
	}
	if parts[args[0]] == nil || len(args) != 2 {
		return fmt.Errorf("%w: give none, or prepare, propose, approved or commit and a folder; see -h", errUsage)
	}
	return parts[args[0]](ctx, folder(args[1]))
}

// folder is where the files are.
type folder string

func (f folder) file(name string) string { return filepath.Join(string(f), name) }

// prepare prepares an update in the cloud.
func prepare(ctx context.Context, dir folder) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	app, err := deploy.LoadFile(dir.file(appFile), deploy.ParseApp)
	if err != nil {
		return err
	}
	p, err := deploy.Prepare(ctx, c, app, deploy.UpdateSpec{DockerCompose: compose2})
	if err != nil {
		return err
	}
	line("app", p.Approval.App.String())
	line("compose hash", p.Approval.ComposeHash.String()+" (computed here, and the cloud's)")
	line("good until", p.Approval.Expires.Format(time.RFC3339))
	return errors.Join(deploy.SaveFile(dir.file(pendingFile), p), deploy.SaveFile(dir.file(approvalFile), p.Approval))
}

// propose shows how the document changes, and writes what the owner is asked for, in the form that a Safe's transaction
// builder loads: the hash, and the device if the contract does not allow it yet.
func propose(ctx context.Context, dir folder) error {
	a, chain, err := open(ctx, dir)
	if err != nil {
		return err
	}
	diff, err := a.Diff()
	if err != nil {
		return err
	}
	fmt.Println(diff)
	batch, err := chain.ApprovalBatch(ctx, a.App, a.ComposeHash, a.Device)
	if err != nil {
		return err
	}
	fmt.Println(string(batch))
	return os.WriteFile(dir.file(batchFile), batch, 0o600)
}

// approved looks whether the contract allows what the file waits for, and records that it does. A Safe executes with
// a transaction of its own, so none is recorded: the contract allows it already.
func approved(ctx context.Context, dir folder) error {
	a, chain, err := open(ctx, dir)
	if err != nil {
		return err
	}
	allowed, err := chain.Allowance(ctx, a.App, a.ComposeHash, a.Device)
	if err != nil {
		return err
	}
	if !allowed.ComposeHash || !a.Device.IsZero() && !allowed.OK() {
		return fmt.Errorf("the contract of app %s does not allow it yet: has the Safe executed the batch?", a.App)
	}
	a.Transaction = deploy.AlreadyRegistered
	line("allowed by", allowed.Owner.Hex())
	return deploy.SaveFile(dir.file(approvalFile), a)
}

// commit commits the update. It needs nothing but the token in the file.
func commit(ctx context.Context, dir folder) error {
	p, err := deploy.LoadFile(dir.file(pendingFile), deploy.ParsePending)
	if err != nil {
		return err
	}
	a, err := deploy.LoadFile(dir.file(approvalFile), deploy.ParseApproval)
	if err != nil {
		return err
	}
	p.Approval.Transaction = a.Transaction
	c, err := client.New()
	if err != nil {
		return err
	}
	if err := deploy.Commit(ctx, c, p); err != nil {
		return err
	}
	line("taken", p.Approval.ComposeHash.String())
	return deploy.SaveFile(dir.file(pendingFile), p)
}

// open reads what is to be approved and opens the chain that it is about.
func open(ctx context.Context, dir folder) (*deploy.Approval, *onchain.Chain, error) {
	a, err := deploy.LoadFile(dir.file(approvalFile), deploy.ParseApproval)
	if err != nil {
		return nil, nil, err
	}
	rpc, err := onchain.Dial(ctx, os.Getenv("ETH_RPC_URL"))
	if err != nil {
		return nil, nil, fmt.Errorf("ETH_RPC_URL: %w", err)
	}
	// Which chain and which contract is not taken from the file alone: it came through other hands.
	id, err := strconv.ParseUint(os.Getenv("CHAIN_ID"), 10, 64)
	if err != nil {
		return nil, nil, fmt.Errorf("CHAIN_ID: want a number")
	}
	contract := onchain.Contract{ChainID: id, Address: common.HexToAddress(os.Getenv("KMS_CONTRACT"))}
	chain, err := onchain.Open(ctx, rpc, contract)
	return a, chain, err
}

func line(name, value string) { fmt.Printf("    %-14s %s\n", name, value) }

// stage starts a cloud, a chain and an app, and runs the steps of all parties.
func stage(ctx context.Context) error {
	chain, stop, err := chaintest.Start()
	if err != nil {
		return err
	}
	defer stop()
	cloud, err := phalatest.Start(phalatest.WithChain(chain.View()), phalatest.WithTick(20*time.Millisecond))
	if err != nil {
		return err
	}
	defer cloud.Close()

	c, err := cloud.Client()
	if err != nil {
		return err
	}
	opened, err := chain.Open(ctx)
	if err != nil {
		return err
	}
	owners := chain.Accounts[1:4]
	wallet, err := chain.DeployWallet(ctx, 2, owners...)
	if err != nil {
		return err
	}
	app, err := compose.New(compose1, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return err
	}
	spec := deploy.Spec{Name: name, Compose: app, Contract: deploy.ContractSpec{Owner: wallet.Address}}
	hardware := deploy.WithVerification(cloud.AttestationPolicy())
	deployed, err := deploy.Run(ctx, c, spec, deploy.WithChain(opened.Flow()), deploy.TrustDeviceFromCloud(), hardware)
	if err != nil {
		return err
	}
	fmt.Println("An app runs whose contract belongs to a wallet of three owners")
	line("app", deployed.ID.String())
	line("owner", wallet.Address.Hex())

	dir, err := os.MkdirTemp("", "multisig")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	files := folder(dir)
	if err := deploy.SaveFile(files.file(appFile), deployed); err != nil {
		return err
	}
	onChain := []string{
		"ETH_RPC_URL=" + chain.Endpoint(), "CHAIN_ID=" + fmt.Sprint(chain.Contract().ChainID), "KMS_CONTRACT=" + chain.KMS.Hex(),
	}
	at := "PHALA_CLOUD_API_PREFIX=" + cloud.URL()
	for _, part := range []struct {
		title string
		env   []string
		args  []string
		wait  func() error
	}{
		{title: "One prepares the update", env: []string{at, "PHALA_CLOUD_API_KEY=" + cloud.APIKey}, args: []string{"prepare", dir}},
		{title: "The wallet is asked, by what a Safe loads", env: onChain, args: []string{"propose", dir}},
		{title: "Two of its owners approve, and it executes", wait: func() error { return execute(ctx, chain, wallet, files.file(batchFile)) }},
		{title: "That the contract allows it is looked up and recorded", env: onChain, args: []string{"approved", dir}},
		{title: "One commits it, without an API key", env: []string{at, "PHALA_CLOUD_API_KEY="}, args: []string{"commit", dir}},
	} {
		fmt.Println("\n" + part.title)
		act := part.wait
		if act == nil {
			act = func() error { return itself(ctx, part.env, part.args...) }
		}
		if err := act(); err != nil {
			return fmt.Errorf("%s: %w", part.title, err)
		}
	}
	p, err := deploy.LoadFile(files.file(pendingFile), deploy.ParsePending)
	if err != nil {
		return err
	}
	updated, err := deploy.Finish(ctx, c, p, hardware)
	if err != nil {
		return err
	}
	fmt.Println("\nThe update runs")
	line("compose hash", updated.ComposeHash.String())
	line("status", string(updated.Last.CVM.Status))
	return nil
}

// execute is what the owners do with the file in the Safe transaction builder.
func execute(ctx context.Context, chain *chaintest.Chain, wallet *chaintest.Wallet, file string) error {
	batch, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, owner := range []int{1, 3} {
		if err := wallet.Approve(ctx, chain.Accounts[owner], batch); err != nil {
			return err
		}
		line("approved by", chain.Address(owner).Hex())
	}
	receipt, err := wallet.Execute(ctx, chain.Accounts[0], batch)
	if err != nil {
		return err
	}
	line("transaction", receipt.TxHash.Hex())
	return nil
}

// itself runs this program once more.
func itself(ctx context.Context, env []string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
