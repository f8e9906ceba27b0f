package onchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// A thousand flows, each with an endpoint of random faults and with crashes at random moments: there are never two
// transactions for one intent, and never a wrong "already so".
func TestFlows_WithRandomFaults(t *testing.T) {
	t.Parallel()
	const chains = 4
	for chain := range uint64(chains) {
		t.Run(fmt.Sprintf("chain %d", chain), func(t *testing.T) {
			t.Parallel()
			runFlows(t, chain*flowCount/chains+1, (chain+1)*flowCount/chains)
		})
	}
}

// runFlows runs the flows of some seeds on one chain.
func runFlows(t *testing.T, first, last uint64) {
	c := chaintest.New(t)
	mining(t, c)
	apps := make([]kms.AppID, len(c.Accounts))
	for i, key := range c.Accounts {
		apps[i] = deploy(t, open(t, c, as(t, key)))
	}
	var seeds atomic.Uint64
	seeds.Store(first - 1)
	var workers sync.WaitGroup
	for worker := range c.Accounts {
		workers.Go(func() {
			for seed := seeds.Add(1); seed <= last && !t.Failed(); seed = seeds.Add(1) {
				f := newFlow(t, c, seed)
				// Most have an account of their own; some send from the first one at the same time as others.
				if seed%8 > 0 {
					f.account = worker
				}
				f.app = apps[f.account]
				if err := f.run(); err != nil {
					t.Errorf("flow %d (%+v): %v", seed, f.faults, err)
				}
			}
		})
	}
	workers.Wait()
	require.False(t, t.Failed())
	for what, count := range transactionsByData(t, c) {
		require.Equal(t, 1, count, "transactions of %.80s", what)
	}
}

// flow is one life of a compose hash, with processes that end.
type flow struct {
	t       *testing.T
	c       *chaintest.Chain
	app     kms.AppID
	seed    uint64
	account int
	random  *rand.Rand
	faults  faults
	node    *badNode
}

func newFlow(t *testing.T, c *chaintest.Chain, seed uint64) *flow {
	random := rand.New(rand.NewPCG(seed, 0))
	some := func(f float64) float64 {
		if random.IntN(3) > 0 {
			return 0
		}
		return f * random.Float64()
	}
	f := faults{
		lag: random.Uint64N(3), busy: some(0.2), limited: some(0.1), down: some(0.2), lost: some(0.2), dropped: some(0.2),
		reorder: random.IntN(2) == 0, noFees: random.IntN(4) == 0, hardhat: random.IntN(8) == 0, delegated: random.IntN(8) == 0,
	}
	if random.IntN(3) == 0 {
		f.batchLimit, f.batchStyle = 1+random.IntN(5), []string{"http", "object", "each"}[random.IntN(3)]
	}
	if random.IntN(3) == 0 {
		f.history = 128
	}
	return &flow{t: t, c: c, seed: seed, random: random, faults: f, node: newBadNode(c, seed, f)}
}

// hash is of this flow alone, so that each of its changes has calldata of its own.
func (f *flow) hash(n byte) [32]byte {
	return [32]byte{byte(f.seed >> 8), byte(f.seed), n, 0xf1}
}

// run deploys or allows a hash, and takes it back. Each step is made by processes that know what the one before has
// saved, and nothing else.
func (f *flow) run() error {
	server := httptest.NewServer(f.node)
	defer server.Close()
	conn, err := onchain.Dial(f.t.Context(), server.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	if f.random.IntN(4) == 0 {
		spec := kms.AppContract{ComposeHash: f.hash(1), AllowAnyDevice: true}
		_, err := f.step(conn, func(ctx context.Context, chain *onchain.Chain, opts ...onchain.SendOption) (*onchain.Receipt, error) {
			done, err := chain.DeployApp(ctx, spec, opts...)
			if err != nil {
				return nil, err
			}
			return done.Receipt, nil
		})
		return err
	}
	added, err := f.step(conn, func(ctx context.Context, chain *onchain.Chain, opts ...onchain.SendOption) (*onchain.Receipt, error) {
		return chain.AddComposeHash(ctx, f.app, f.hash(1), opts...)
	})
	if err != nil {
		return fmt.Errorf("add: %w", err)
	}
	if allowed, err := f.c.IsHashAllowed(f.t.Context(), f.app, f.hash(1)); err != nil || !allowed {
		return fmt.Errorf("added by %+v, and not allowed: %w", added, err)
	}
	if f.random.IntN(2) == 0 {
		return nil
	}
	removed, err := f.step(conn, func(ctx context.Context, chain *onchain.Chain, opts ...onchain.SendOption) (*onchain.Receipt, error) {
		return chain.RemoveComposeHash(ctx, f.app, f.hash(1), opts...)
	})
	if err != nil {
		return fmt.Errorf("remove: %w", err)
	}
	if allowed, err := f.c.IsHashAllowed(f.t.Context(), f.app, f.hash(1)); err != nil || allowed {
		return fmt.Errorf("removed by %+v (already so: %t), and still allowed: %w", removed, removed.AlreadySo, err)
	}
	return nil
}

type flowCall func(context.Context, *onchain.Chain, ...onchain.SendOption) (*onchain.Receipt, error)

// step makes a call until it succeeds, with what was saved last, in processes that may end at any moment.
func (f *flow) step(conn onchain.RPC, call flowCall) (*onchain.Receipt, error) {
	var file []byte
	save := func(intent *onchain.Intent) (err error) {
		file, err = json.Marshal(intent)
		return err
	}
	var last error
	for range 40 {
		ctx, cancel := context.WithTimeout(f.t.Context(), 10*time.Second)
		if f.random.IntN(4) == 0 {
			ctx, cancel = context.WithTimeout(f.t.Context(), time.Duration(f.random.IntN(60))*time.Millisecond)
		}
		receipt, err := f.process(ctx, conn, call, file, save)
		cancel()
		if err == nil {
			return receipt, nil
		}
		last = err
		var contract *onchain.ContractError
		var reverted *onchain.RevertError
		var replaced *onchain.ReplacedError
		switch {
		case errors.As(err, &contract), errors.As(err, &reverted):
			return nil, err
		case errors.As(err, &replaced) && replaced.Mined:
			file = nil // it never took effect
		}
	}
	return nil, fmt.Errorf("40 processes: %w", last)
}

// process opens the chain and makes the call.
func (f *flow) process(ctx context.Context, conn onchain.RPC, call flowCall, file []byte, save func(*onchain.Intent) error) (*onchain.Receipt, error) {
	signer, err := onchain.PrivateKeySigner(f.c.Accounts[f.account])
	if err != nil {
		return nil, err
	}
	chain, err := onchain.Open(ctx, conn, f.c.Contract(), onchain.WithSigner(signer), onchain.WithPollInterval(3*time.Millisecond), onchain.WithWait(2*time.Second))
	if err != nil {
		return nil, err
	}
	opts := []onchain.SendOption{onchain.Checkpoint(save)}
	if file != nil {
		intent := new(onchain.Intent)
		if err := json.Unmarshal(file, intent); err != nil {
			return nil, err
		}
		opts = append(opts, onchain.ResumeIntent(intent))
	}
	return call(ctx, chain, opts...)
}

// Two Chains of one key, each with a signer of its own, do not get in one another's way.
func TestTwoChains_OfOneKey(t *testing.T) {
	t.Parallel()
	for name, signers := range map[string]func(t *testing.T, c *chaintest.Chain) [2]onchain.Option{
		"one signer": func(t *testing.T, c *chaintest.Chain) [2]onchain.Option {
			one := as(t, c.Accounts[0])
			return [2]onchain.Option{one, one}
		},
		"two signers": func(t *testing.T, c *chaintest.Chain) [2]onchain.Option {
			return [2]onchain.Option{as(t, c.Accounts[0]), as(t, c.Accounts[0])}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			app := deploy(t, open(t, c))
			mining(t, c)
			both := signers(t, c)
			chains := [2]*onchain.Chain{open(t, c, both[0]), open(t, c, both[1])}
			const each = 6
			failed := make(chan error, 4*each)
			for n, chain := range chains {
				for i := range each {
					go func() {
						_, err := chain.AddComposeHash(t.Context(), app, [32]byte{5, byte(n), byte(i)})
						failed <- err
					}()
					go func() {
						_, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: [32]byte{6, byte(n), byte(i)}, AllowAnyDevice: true})
						failed <- err
					}()
				}
			}
			for range 4 * each {
				require.NoError(t, <-failed)
			}
			for what, count := range transactionsByData(t, c) {
				require.Equal(t, 1, count, "transactions of %.80s", what)
			}
			for n := range chains {
				for i := range each {
					allowed, err := c.IsHashAllowed(t.Context(), app, [32]byte{5, byte(n), byte(i)})
					require.NoError(t, err)
					require.True(t, allowed)
				}
			}
		})
	}
}
