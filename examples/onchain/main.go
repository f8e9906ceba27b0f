// Command onchain deploys an app whose KMS is governed by a contract, and updates it: what may run is decided
// on a chain, and every value that goes there is computed here.
//
// Without an account it does so on an embedded Phala Cloud and a simulated chain. On the real ones it needs
// PHALA_CLOUD_API_KEY, ETH_RPC_URL, CHAIN_ID, KMS_CONTRACT, and DEPLOYER_KEY, the private key of an account
// with some ether, in hexadecimal.
package main

import (
	"context"
	"fmt"
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
	firstVersion  = "services:\n  web:\n    image: nginx:1.29\n    environment: [\"TOKEN=${TOKEN}\"]\n    ports: [\"80:80\"]\n"
	secondVersion = "services:\n  web:\n    image: nginx:1.30\n    environment: [\"TOKEN=${TOKEN}\", \"LEVEL=${LEVEL}\"]\n    ports: [\"80:80\"]\n"
	script        = "#!/bin/sh\necho ready\n"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\n✗", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	c, chain, opts, closing, err := connect(ctx)
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
	deployed, err := deploy.Run(ctx, c, deploy.Spec{
		Name: "onchain-demo", Compose: app, Env: []compose.EnvVar{{Key: "TOKEN", Value: "s3cret"}}, InstanceType: "tdx.small",
	}, opts...)
	if err != nil {
		return err
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

// connect gives the real cloud and chain where there is an API key, else embedded ones.
func connect(ctx context.Context) (*client.Client, *onchain.Chain, []deploy.Option, func(), error) {
	if os.Getenv("PHALA_CLOUD_API_KEY") != "" {
		fmt.Println("Phala Cloud and the chain at ETH_RPC_URL")
		c, err := client.New()
		if err != nil {
			return nil, nil, nil, nil, err
		}
		chain, err := realChain(ctx)
		return c, chain, nil, func() {}, err
	}
	fmt.Println("Embedded Phala Cloud and a simulated chain (set PHALA_CLOUD_API_KEY to use real ones)")
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
	case deploy.CheckEvent:
		mark := map[deploy.Outcome]string{deploy.Passed: "✓", deploy.Waived: "!"}[e.Outcome]
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
