// Command onchain deploys an app whose KMS is governed by a contract, and updates it: what may run is decided
// on a chain, and every value that goes there is computed here.
//
// Without an account it does so on an embedded Phala Cloud and a simulated chain. With -cloud it uses the real ones, and needs
// PHALA_CLOUD_API_KEY, ETH_RPC_URL, CHAIN_ID, KMS_CONTRACT, and DEPLOYER_KEY, the private key of an account
// with some ether, in hexadecimal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
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
	name          = "onchain-demo"
	size          = "tdx.small"
	firstVersion  = "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n    ports: [\"80:80\"]\n"
	secondVersion = "services:\n  web:\n    image: nginx:1.30\n    environment: [\"TOKEN=${TOKEN}\", \"LEVEL=${LEVEL}\"]\n    ports: [\"80:80\"]\n"
	script        = "#!/bin/sh\necho ready\n"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	switch err := run(ctx, os.Args[1:], os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "onchain:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "\n✗", err)
		os.Exit(1)
	}
}

const usage = `onchain deploys an app that a contract must allow, and updates it.

usage:
  onchain           on an embedded Phala Cloud and a simulated chain
  onchain -cloud    on the real ones. It costs the price of the CVM, printed first, and the fees of two or three transactions

With -cloud it needs PHALA_CLOUD_API_KEY, ETH_RPC_URL, CHAIN_ID, KMS_CONTRACT and DEPLOYER_KEY (hexadecimal). It ends with 0,
with 1 if something failed, with 2 for wrong flags.

`

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

func run(ctx context.Context, args []string, problems io.Writer) error {
	flags := flag.NewFlagSet("onchain", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	real := flags.Bool("cloud", false, "use Phala Cloud and the chain at ETH_RPC_URL; costs money")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	}
	c, chain, opts, closing, err := connect(ctx, *real)
	if err != nil {
		return err
	}
	defer closing()
	flow := chain.Flow()
	line("chain", fmt.Sprint(flow.ChainID()))
	line("KMS contract", flow.KMS().Hex())
	line("account", flow.Sender().Hex())

	app, err := compose.New(firstVersion, compose.WithPreLaunchScript(script))
	if err != nil {
		return err
	}
	fmt.Println("\nDeploying")
	opts = append(opts, deploy.WithChain(flow), deploy.WithProgress(show), deploy.TrustDeviceFromCloud())
	var state *deploy.State
	deployed, err := deploy.Run(ctx, c, deploy.Spec{
		Name: name, Compose: app, Env: []compose.EnvVar{{Key: "TOKEN", Value: "s3cret"}}, InstanceType: size,
	}, append(opts, deploy.WithCheckpoint(func(st *deploy.State) error {
		state = st
		if *real {
			return deploy.SaveFile(name+".state.json", st)
		}
		return nil
	}))...)
	if err != nil {
		if state != nil && *real {
			fmt.Fprintf(problems, "what exists: app %s, CVM %q; the state is in %s.state.json\n", state.AppID, state.CVM, name)
		}
		return err
	}
	if *real {
		if err := deploy.SaveFile(name+".app.json", deployed); err != nil {
			return err
		}
		line("anchor", name+".app.json")
	}
	for _, url := range deployed.Last.URLs {
		line("url", url)
	}

	fmt.Println("\nUpdating compose file and secrets in one step")
	updated, err := deploy.Update(ctx, c, deployed, deploy.UpdateSpec{
		DockerCompose: secondVersion, RetireOld: true,
		Env: []compose.EnvVar{{Key: "TOKEN", Value: "n3w"}, {Key: "LEVEL", Value: "debug"}},
	}, opts...)
	if err != nil {
		return err
	}
	line("runs now", updated.ComposeHash.String())

	fmt.Println("\nWhat the contract of the app says")
	for _, hash := range []compose.Hash{deployed.ComposeHash, updated.ComposeHash} {
		allowed, err := chain.Allowance(ctx, deployed.ID, hash, kms.DeviceID{})
		if err != nil {
			return err
		}
		line("allowed", fmt.Sprintf("%s %t", hash, allowed.ComposeHash))
	}
	return nil
}

// connect opens the real cloud and chain, or embedded ones.
func connect(ctx context.Context, real bool) (*client.Client, *onchain.Chain, []deploy.Option, func(), error) {
	if real {
		fmt.Println("Phala Cloud and the chain at ETH_RPC_URL")
		c, err := client.New()
		if err != nil {
			return nil, nil, nil, nil, err
		}
		families, err := c.InstanceTypes.List(ctx)
		if err != nil {
			return nil, nil, nil, nil, err
		}
		for _, family := range families.Result {
			for _, item := range family.Items {
				if string(item.ID) == size {
					line("price", fmt.Sprintf("%s: %s USD per hour, until it is deleted", size, item.HourlyRate))
				}
			}
		}
		chain, err := realChain(ctx)
		return c, chain, nil, func() {}, err
	}
	fmt.Println("Embedded Phala Cloud and a simulated chain (give -cloud to use the real ones)")
	simulated, stop, err := chaintest.Start()
	if err != nil {
		return nil, nil, nil, nil, err
	}
	cloud, err := phalatest.Start(phalatest.WithChain(simulated.View()), phalatest.WithTick(40*time.Millisecond))
	if err != nil {
		stop()
		return nil, nil, nil, nil, err
	}
	closing := func() { cloud.Close(); stop() }
	c, err := cloud.Client()
	if err != nil {
		closing()
		return nil, nil, nil, nil, err
	}
	chain, err := simulated.Open(ctx)
	if err != nil {
		closing()
		return nil, nil, nil, nil, err
	}
	return c, chain, []deploy.Option{deploy.WithVerification(cloud.AttestationPolicy())}, closing, nil
}

func realChain(ctx context.Context) (*onchain.Chain, error) {
	id, err := strconv.ParseUint(os.Getenv("CHAIN_ID"), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("CHAIN_ID: want a number, such as 8453 for Base")
	}
	if !common.IsHexAddress(os.Getenv("KMS_CONTRACT")) {
		return nil, fmt.Errorf("KMS_CONTRACT: want an address")
	}
	key, err := crypto.HexToECDSA(strings.TrimPrefix(os.Getenv("DEPLOYER_KEY"), "0x"))
	if err != nil {
		return nil, fmt.Errorf("DEPLOYER_KEY: want 64 hexadecimal digits")
	}
	signer, err := onchain.PrivateKeySigner(key)
	if err != nil {
		return nil, err
	}
	rpc, err := onchain.Dial(ctx, os.Getenv("ETH_RPC_URL"))
	if err != nil {
		return nil, fmt.Errorf("ETH_RPC_URL: %w", err)
	}
	contract := onchain.Contract{ChainID: id, Address: common.HexToAddress(os.Getenv("KMS_CONTRACT"))}
	return onchain.Open(ctx, rpc, contract, onchain.WithSigner(signer))
}

func line(name, value string) { fmt.Printf("  %-18s %s\n", name, value) }

func show(event deploy.Event) {
	switch e := event.(type) {
	case deploy.ComparisonEvent:
		mark := map[deploy.ComparisonOutcome]string{deploy.Confirmed: "✓", deploy.Waived: "!"}[e.Outcome]
		if mark == "" {
			mark = "–"
		}
		value := e.Local
		if value == "" {
			value = string(e.Outcome)
		}
		line(mark+" "+e.Name, value)
	case deploy.RegisteredEvent:
		line("→ on chain", "app "+e.AppID)
		line("", "by  "+e.Transaction)
	case deploy.AttestationEvent:
		line("→ attested", fmt.Sprintf("%d checks of the hardware's evidence", len(e.Report.Checks)))
	case deploy.RetiredEvent:
		line("→ retired", e.ComposeHash)
	case deploy.RunningEvent:
		line("→ running", e.CVM.Name)
	default:
		line("→", event.String())
	}
}
