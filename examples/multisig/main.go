// Command multisig shows an update that several parties carry out, each in a process of its own: one prepares
// it, a multisig that owns the app's contract allows it on the chain, and one commits it, without an API key. What
// they hand on are files.
//
//	go run ./examples/multisig
//
// starts an embedded Phala Cloud and a simulated chain, deploys an app whose contract belongs to a wallet of three
// owners of which two must agree, as a Safe is, and then runs itself:
//
//	multisig prepare pending.json                needs PHALA_CLOUD_API_KEY
//	multisig propose pending.json batch.json     needs the chain, no key: writes what a Safe loads
//	multisig approved pending.json               needs the chain, no key: after the Safe has executed the batch
//	multisig commit pending.json                 needs nothing but the file
//
// Between propose and approved the owners load batch.json into the Safe transaction builder; here the embedded
// wallet takes it.
package main

import (
	"context"
	"encoding/json"
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
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

const (
	name     = "multisig-demo"
	compose1 = "services:\n  web:\n    image: nginx:1.29\n"
	compose2 = "services:\n  web:\n    image: nginx:1.30\n"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "✗", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return stage(ctx)
	}
	parts := map[string]func(context.Context, ...string) error{
		"prepare": prepare, "propose": propose, "approved": approved, "commit": commit,
	}
	files := map[string]int{"prepare": 1, "propose": 2, "approved": 1, "commit": 1}
	if parts[args[0]] == nil || len(args) != 1+files[args[0]] {
		return fmt.Errorf("want no argument, or prepare, propose, approved or commit with its files")
	}
	return parts[args[0]](ctx, args[1:]...)
}

// prepare asks the cloud to get an update ready.
func prepare(ctx context.Context, files ...string) error {
	c, err := client.New()
	if err != nil {
		return err
	}
	p, err := deploy.Prepare(ctx, c, deploy.Change{CVM: name, DockerCompose: compose2})
	if err != nil {
		return err
	}
	line("app", p.AppID.String())
	line("compose hash", p.ComposeHash.String()+" (computed here, and the cloud's)")
	line("good until", p.Expires.Format(time.RFC3339))
	return save(files[0], p)
}

// propose writes what the owner is asked for, in the form that a Safe's transaction builder loads: the hash, and the
// device if the contract does not allow it yet.
func propose(ctx context.Context, files ...string) error {
	p, chain, err := open(ctx, files[0])
	if err != nil {
		return err
	}
	device, err := deviceOf(p)
	if err != nil {
		return err
	}
	batch, err := chain.ApprovalBatch(ctx, p.AppID, p.ComposeHash, device)
	if err != nil {
		return err
	}
	fmt.Println(string(batch))
	return os.WriteFile(files[1], batch, 0o600)
}

// approved looks whether the contract allows what the file waits for, and records that it does. A Safe executes with
// a transaction of its own, so the zero hash is recorded: the contract allows it already.
func approved(ctx context.Context, files ...string) error {
	p, chain, err := open(ctx, files[0])
	if err != nil {
		return err
	}
	device, err := deviceOf(p)
	if err != nil {
		return err
	}
	allowed, err := chain.Allowance(ctx, p.AppID, p.ComposeHash, device)
	if err != nil {
		return err
	}
	if !allowed.ComposeHash || !device.IsZero() && !allowed.OK() {
		return fmt.Errorf("the contract of app %s does not allow it yet: has the Safe executed the batch?", p.AppID)
	}
	p.Approved(common.Hash{})
	line("allowed by", allowed.Owner.Hex())
	return save(files[0], p)
}

// deviceOf is the device that the update runs on, zero if the cloud named none.
func deviceOf(p *deploy.Pending) (kms.DeviceID, error) {
	if p.DeviceID == "" {
		return kms.DeviceID{}, nil
	}
	return kms.ParseDeviceID(p.DeviceID)
}

// commit lets the cloud carry it out. The token in the file is all that it takes.
func commit(ctx context.Context, files ...string) error {
	p, err := load(files[0])
	if err != nil {
		return err
	}
	c, err := client.New()
	if err != nil {
		return err
	}
	if err := deploy.Commit(ctx, c, p); err != nil {
		return err
	}
	line("taken", p.ComposeHash.String())
	return save(files[0], p)
}

// open reads the file and opens the chain that it is about.
func open(ctx context.Context, file string) (*deploy.Pending, *onchain.Chain, error) {
	p, err := load(file)
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
	return p, chain, err
}

func load(file string) (*deploy.Pending, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return deploy.ParsePending(data)
}

// save replaces the file at once, so that a crash leaves the old one or the new one.
func save(file string, p *deploy.Pending) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func line(name, value string) { fmt.Printf("    %-14s %s\n", name, value) }

// stage gives the parties a cloud, a chain and an app, and lets them act.
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
	deployed, err := deploy.Run(ctx, c, spec, deploy.WithChain(opened.Flow()), hardware)
	if err != nil {
		return err
	}
	fmt.Println("An app runs whose contract belongs to a wallet of three owners")
	line("app", deployed.State.AppID.String())
	line("owner", wallet.Address.Hex())

	dir, err := os.MkdirTemp("", "multisig")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file, batch := filepath.Join(dir, "pending.json"), filepath.Join(dir, "batch.json")
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
		{title: "One prepares the update", env: []string{at, "PHALA_CLOUD_API_KEY=" + cloud.APIKey}, args: []string{"prepare", file}},
		{title: "The wallet is asked, by what a Safe loads", env: onChain, args: []string{"propose", file, batch}},
		{title: "Two of its owners approve, and it executes", wait: func() error { return execute(ctx, chain, wallet, batch) }},
		{title: "That the contract allows it is looked up and recorded", env: onChain, args: []string{"approved", file}},
		{title: "One commits it, without an API key", env: []string{at, "PHALA_CLOUD_API_KEY="}, args: []string{"commit", file}},
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
	p, err := load(file)
	if err != nil {
		return err
	}
	updated, err := deploy.WaitCommitted(ctx, c, p, hardware)
	if err != nil {
		return err
	}
	fmt.Println("\nThe update runs")
	line("compose hash", updated.ComposeHash.String())
	line("status", string(updated.CVM.Status))
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
