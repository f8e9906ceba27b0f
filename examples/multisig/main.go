// Command multisig shows an update that several parties carry out, each in a process of its own: one prepares
// it, the owner of the app's contract allows it on the chain, and one commits it, without an API key. What they
// hand on is a file.
//
//	go run ./examples/multisig
//
// starts an embedded Phala Cloud and a simulated chain, deploys an app whose contract belongs to another
// account, and then runs itself three times:
//
//	multisig prepare pending.json    needs PHALA_CLOUD_API_KEY
//	multisig propose pending.json    needs the chain, no key: what a Safe would load
//	multisig approve pending.json    needs the chain and OWNER_KEY
//	multisig commit pending.json     needs nothing but the file
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

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
	parts := map[string]func(context.Context, string) error{
		"prepare": prepare, "propose": propose, "approve": approve, "commit": commit,
	}
	if len(args) == 2 && parts[args[0]] != nil {
		return parts[args[0]](ctx, args[1])
	}
	if len(args) > 0 {
		return fmt.Errorf("want no argument, or one of prepare, propose, approve, commit and a file")
	}
	return stage(ctx)
}

// prepare asks the cloud to get an update ready.
func prepare(ctx context.Context, file string) error {
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
	return save(file, p)
}

// propose prints what the owner is asked for, in the form that a Safe's transaction builder loads.
func propose(ctx context.Context, file string) error {
	p, chain, err := open(ctx, file)
	if err != nil {
		return err
	}
	allowed, err := chain.Allowance(ctx, p.AppID, p.ComposeHash, kms.DeviceID{})
	if err != nil {
		return err
	}
	call, err := onchain.AddComposeHashCall(p.AppID, p.ComposeHash)
	if err != nil {
		return err
	}
	proposal, err := chain.Propose(ctx, allowed.Owner, call)
	if err != nil {
		return err
	}
	batch, err := proposal.SafeBatch("Update of "+name, time.Now())
	if err != nil {
		return err
	}
	fmt.Println(string(batch))
	return nil
}

// approve allows on the chain what the file asks for, as the owner of the contract.
func approve(ctx context.Context, file string) error {
	key, err := crypto.HexToECDSA(os.Getenv("OWNER_KEY"))
	if err != nil {
		return fmt.Errorf("OWNER_KEY: want 64 hexadecimal digits")
	}
	signer, err := onchain.PrivateKeySigner(key)
	if err != nil {
		return err
	}
	p, chain, err := open(ctx, file, onchain.WithSigner(signer))
	if err != nil {
		return err
	}
	keep := deploy.WithPending(func(p *deploy.Pending) error { return save(file, p) })
	if err := deploy.Approve(ctx, chain.Flow(), p, keep); err != nil {
		return err
	}
	line("by", signer.Address().Hex())
	line("transaction", p.Transaction)
	return nil
}

// commit lets the cloud carry it out. The token in the file is all that it takes.
func commit(ctx context.Context, file string) error {
	p, err := load(file)
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
	return save(file, p)
}

// open reads the file and opens the chain that it is about.
func open(ctx context.Context, file string, opts ...onchain.Option) (*deploy.Pending, *onchain.Chain, error) {
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
	chain, err := onchain.Open(ctx, rpc, contract, opts...)
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
	defer mine(chain)()

	c, err := cloud.Client()
	if err != nil {
		return err
	}
	opened, err := chain.Open(ctx)
	if err != nil {
		return err
	}
	app, err := compose.New(compose1, compose.WithPreLaunchScript("#!/bin/sh\n"))
	if err != nil {
		return err
	}
	spec := deploy.Spec{Name: name, Compose: app, Contract: deploy.ContractSpec{Owner: chain.Address(1)}}
	hardware := deploy.WithVerification(cloud.AttestationPolicy())
	deployed, err := deploy.Run(ctx, c, spec, deploy.WithChain(opened.Flow()), hardware)
	if err != nil {
		return err
	}
	fmt.Println("An app runs whose contract belongs to another account")
	line("app", deployed.State.AppID.String())
	line("owner", chain.Address(1).Hex())

	dir, err := os.MkdirTemp("", "multisig")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "pending.json")
	onChain := []string{
		"ETH_RPC_URL=" + chain.Endpoint(), "CHAIN_ID=" + fmt.Sprint(chain.Contract().ChainID), "KMS_CONTRACT=" + chain.KMS.Hex(),
	}
	at := "PHALA_CLOUD_API_PREFIX=" + cloud.URL()
	owner := "OWNER_KEY=" + hex.EncodeToString(crypto.FromECDSA(chain.Accounts[1]))
	for _, part := range []struct {
		title, verb string
		env         []string
	}{
		{"One prepares the update", "prepare", []string{at, "PHALA_CLOUD_API_KEY=" + cloud.APIKey}},
		{"The owner is asked, by what a Safe would load", "propose", onChain},
		{"The owner allows it on the chain", "approve", append([]string{owner}, onChain...)},
		{"One commits it, without an API key", "commit", []string{at, "PHALA_CLOUD_API_KEY="}},
	} {
		fmt.Println("\n" + part.title)
		if err := itself(ctx, part.env, part.verb, file); err != nil {
			return fmt.Errorf("%s: %w", part.verb, err)
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

// mine makes blocks for the transactions of other processes, until the function that it returns is called.
func mine(chain *chaintest.Chain) func() {
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				_ = chain.Mine(1)
			case <-stop:
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}
