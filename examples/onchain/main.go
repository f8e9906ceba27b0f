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
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "onchain:", err)
		os.Exit(2)
	case errors.Is(err, context.Canceled):
		os.Exit(3)
	default:
		fmt.Fprintln(os.Stderr, "\n✗", err)
		os.Exit(1)
	}
}

const usage = `onchain deploys an app that a contract must allow, and updates it.

usage:
  onchain           on an embedded Phala Cloud and a simulated chain
  onchain -cloud    on the real ones. It costs the price of the CVM, printed first, and the fees of two or three transactions.
                    Stop it with Ctrl-C whenever you like, and start it again with the same -dir

With -cloud it needs PHALA_CLOUD_API_KEY, ETH_RPC_URL, CHAIN_ID, KMS_CONTRACT and DEPLOYER_KEY (hexadecimal). It ends with 0,
with 1 if something failed, with 2 for wrong flags, with 3 after Ctrl-C.

`

// errUsage is returned for flags that cannot be used.
var errUsage = errors.New("wrong flags")

// run takes further options for its flows: the hardware of a test's cloud is not Intel's.
func run(ctx context.Context, args []string, out, problems io.Writer, opts ...deploy.Option) error {
	flags := flag.NewFlagSet("onchain", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.Usage = func() {
		fmt.Fprint(problems, usage)
		flags.PrintDefaults()
	}
	cloud := flags.Bool("cloud", false, "use Phala Cloud and the chain at ETH_RPC_URL; costs money")
	dir := flags.String("dir", ".", "`folder` of the files, with -cloud")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%w: argument %q, only flags are known, see -h", errUsage, flags.Arg(0))
	}
	if *cloud {
		return onCloud(ctx, *dir, out, opts)
	}
	return onEmbedded(ctx, out)
}

// onCloud runs the job on Phala Cloud and the chain at ETH_RPC_URL.
func onCloud(ctx context.Context, dir string, out io.Writer, opts []deploy.Option) error {
	fmt.Fprintln(out, "Phala Cloud and the chain at ETH_RPC_URL")
	c, err := client.New()
	if err != nil {
		return err
	}
	chain, err := openChain(ctx)
	if err != nil {
		return err
	}
	price, err := priceOf(ctx, c)
	if err != nil {
		return err
	}
	line(out, "price", fmt.Sprintf("%s: %s USD per hour, until it is deleted", size, price))
	j := newJob(c, chain, dir, out, opts)
	app, err := j.run(ctx)
	if err != nil {
		j.showWhatExists()
		return err
	}
	line(out, "anchor", j.updated+" (keep it: every update needs it)")
	line(out, "cvm", printable(app.CVMs[0].ID)+" (delete it when you are done)")
	return nil
}

// onEmbedded runs the job on a cloud and a chain in this process.
func onEmbedded(ctx context.Context, out io.Writer) error {
	fmt.Fprintln(out, "Embedded Phala Cloud and a simulated chain (give -cloud to use the real ones)")
	dir, err := os.MkdirTemp("", "onchain-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	simulated, stop, err := chaintest.Start()
	if err != nil {
		return err
	}
	defer stop()
	cloud, err := phalatest.Start(phalatest.WithChain(simulated.View()), phalatest.WithTick(40*time.Millisecond))
	if err != nil {
		return err
	}
	defer cloud.Close()
	c, err := cloud.Client()
	if err != nil {
		return err
	}
	chain, err := simulated.Open(ctx)
	if err != nil {
		return err
	}
	_, err = newJob(c, chain, dir, out, []deploy.Option{deploy.WithVerification(cloud.AttestationPolicy())}).run(ctx)
	return err
}

func priceOf(ctx context.Context, c *client.Client) (string, error) {
	families, err := c.InstanceTypes.List(ctx)
	if err != nil {
		return "", err
	}
	for _, family := range families.Result {
		for _, item := range family.Items {
			if string(item.ID) == size {
				return printable(string(item.HourlyRate)), nil
			}
		}
	}
	return "", fmt.Errorf("instance type %q: the cloud does not list it", size)
}

// openChain opens the chain of the environment, with the account that pays for the transactions.
func openChain(ctx context.Context) (*onchain.Chain, error) {
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
