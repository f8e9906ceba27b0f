package onchain_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

func tick() <-chan time.Time { return time.After(4 * time.Millisecond) }

// dialed opens the KMS through an endpoint, with the first account.
func dialed(t testing.TB, c *chaintest.Chain, conn onchain.RPC, opts ...onchain.Option) *onchain.Chain {
	t.Helper()
	all := append([]onchain.Option{as(t, c.Accounts[0]), onchain.WithPollInterval(4 * time.Millisecond), onchain.WithWait(time.Minute)}, opts...)
	chain, err := onchain.Open(t.Context(), conn, c.Contract(), all...)
	require.NoError(t, err)
	return chain
}

// Everything that the package promises holds on each bad endpoint.
func TestBadEndpoints(t *testing.T) {
	t.Parallel()
	for name, f := range endpoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := chaintest.New(t)
			require.NoError(t, c.Mine(4)) // so that the KMS is there for a node that lags, too
			mining(t, c)
			conn := newBadNode(c, 1, f).dial(t)
			chain := dialed(t, c, conn)
			done, err := chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, Device: device1})
			require.NoError(t, err)
			app := done.App
			// Another process, which does not know of the deployment.
			other := dialed(t, c, conn)
			_, err = other.AddComposeHash(ctx, app, hash2)
			require.NoError(t, err)
			receipt, err := other.AddComposeHash(ctx, app, hash2)
			require.NoError(t, err)
			assert.True(t, receipt.AlreadySo)
			receipt, err = dialed(t, c, conn).RemoveComposeHash(ctx, app, hash1)
			require.NoError(t, err)
			assert.False(t, receipt.AlreadySo, "it was allowed")
			_, err = dialed(t, c, conn).SetRequireTCBUpToDate(ctx, app, true)
			require.NoError(t, err)
			hashes, err := other.AllowedHashes(ctx, app, onchain.AllowedHashes{Cursor: onchain.Cursor{Block: done.Receipt.Block}})
			require.NoError(t, err)
			assert.Equal(t, []common.Hash{hash2}, hashes.Hashes)

			stranger := dialed(t, c, conn, as(t, c.Accounts[1]))
			_, err = stranger.AddDevice(ctx, app, device2)
			var unauthorized *onchain.UnauthorizedAccountError
			require.ErrorAs(t, err, &unauthorized)
			assert.Equal(t, c.Address(1), unauthorized.Account)

			failed := make(chan error, 4)
			for i := range 4 {
				go func() {
					_, err := chain.AddDevice(ctx, app, kms.DeviceID{9, byte(i)})
					failed <- err
				}()
			}
			for range 4 {
				require.NoError(t, <-failed)
			}
			assert.Len(t, c.Sent(), 1+1+1+1+4, "one transaction for each change")
		})
	}
}

// A watch that is stopped and resumed at any place yields each event once, in order.
func TestWatch_OnBadEndpoints(t *testing.T) {
	t.Parallel()
	const changes = 12
	for name, f := range endpoints() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			chain := open(t, c)
			done, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1})
			require.NoError(t, err)
			app := done.App
			for i := range changes {
				_, err := chain.AddComposeHash(t.Context(), app, [32]byte{7, byte(i)})
				require.NoError(t, err)
				require.NoError(t, c.Mine(7))
			}
			mining(t, c)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			watching := dialed(t, c, newBadNode(c, 2, f).dial(t))
			options := onchain.WatchOptions{From: done.Receipt.Block, Apps: []kms.AppID{app}, Range: 50}
			var got []string
			places := map[onchain.Cursor]bool{}
			for len(got) < 2*(changes+1)+8 && ctx.Err() == nil {
				taken := 0
				for event, err := range watching.Watch(ctx, options) {
					require.NoError(t, err)
					got = append(got, event.Value.ContractEventName())
					place := onchain.Cursor{Block: event.Block, Hash: common.BigToHash(common.Big0), Index: nil}
					place.Hash[0] = byte(event.Index)
					require.False(t, places[place], "an event was yielded twice")
					places[place] = true
					options.After = event.Cursor()
					if taken++; taken == 5 || len(got) == 2*(changes+1)+8 {
						break
					}
				}
			}
			var hashes int
			for _, name := range got {
				if name == "ComposeHashAdded" {
					hashes++
				}
			}
			assert.Equal(t, changes+1, hashes)
		})
	}
}

// An outage is waited for, whatever its length, and a quiet chain shows progress.
func TestWatch_WaitsOutAnOutage(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	app := deploy(t, chain)
	bad := newBadNode(c, 3, faults{})
	watching := dialed(t, c, bad.dial(t))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	bad.set(faults{down: 1})
	var outages int
	var reached []onchain.Cursor
	options := onchain.WatchOptions{From: 1, Apps: []kms.AppID{app}, Progress: func(at onchain.Cursor) { reached = append(reached, at) }}
	options.OnError = func(err error) {
		var endpoint *onchain.EndpointError
		require.ErrorAs(t, err, &endpoint)
		if outages++; outages == 3 {
			bad.set(faults{})
		}
	}
	for event, err := range watching.Watch(ctx, options) {
		require.NoError(t, err)
		if event.Value.ContractEventName() == "AppDeployedViaFactory" {
			break
		}
	}
	assert.Equal(t, 3, outages)

	require.NoError(t, c.Mine(30))
	reached = nil
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	options.From = 0
	options.Progress = func(at onchain.Cursor) {
		if reached = append(reached, at); len(reached) == 3 {
			cancel()
		}
	}
	go func() {
		for ctx.Err() == nil {
			_ = c.Mine(1)
			<-tick()
		}
	}()
	for _, err := range watching.Watch(ctx, options) {
		require.ErrorIs(t, err, context.Canceled)
	}
	require.GreaterOrEqual(t, len(reached), 3)
	assert.Less(t, reached[0].Block, reached[2].Block)
}

// What will not pass ends a watch.
func TestWatch_EndsWhenTheEndpointRefusesForGood(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	c.Intercept("eth_getLogs", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return nil, answered{-32601, "the method eth_getLogs does not exist/is not available"}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, err := range chain.Watch(ctx, onchain.WatchOptions{From: 1}) {
		var endpoint *onchain.EndpointError
		require.ErrorAs(t, err, &endpoint)
		assert.Equal(t, "eth_getLogs", endpoint.Method)
		return
	}
	t.Fatal("no error")
}

// The ranges become as long as the endpoint takes, and not longer.
func TestWatch_FindsTheRange(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	require.NoError(t, c.Mine(800))
	bad := newBadNode(c, 4, faults{rangeLimit: 10})
	watching := dialed(t, c, bad.dial(t))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lengths := map[uint64]int{}
	var last uint64
	options := onchain.WatchOptions{From: 1, Progress: func(at onchain.Cursor) {
		lengths[at.Block-last]++
		if last = at.Block; last > 780 {
			cancel()
		}
	}}
	for _, err := range watching.Watch(ctx, options) {
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
		}
	}
	assert.Greater(t, lengths[10], 40, "%v", lengths)
	assert.Less(t, bad.count("eth_getLogs"), 160)
}

// A transport failure is never a statement about a contract.
func TestEndpointError_IsNoContractError(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]faults{
		"down": {down: 1}, "busy": {busy: 1}, "limited": {limited: 1}, "silent": {lost: 1}, "dropping": {dropped: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			app := deploy(t, open(t, c))
			bad := newBadNode(c, 5, faults{})
			conn := bad.dial(t)
			chain := dialed(t, c, conn, onchain.WithWait(time.Second))
			bad.set(f)
			sent := len(c.Sent())
			ctx := t.Context()
			_, allowance := chain.Allowance(ctx, app, hash1, device1)
			_, change := chain.AddComposeHash(ctx, app, hash2)
			_, ownership := chain.Ownership(ctx, app.Address())
			_, info := chain.KMSInfo(ctx)
			_, boot := chain.DecideBoot(ctx, onchain.Boot{App: app})
			_, proposal := chain.ProposeAllowance(ctx, app, hash2, device2)
			_, opened := onchain.Open(ctx, conn, c.Contract(), onchain.WithPollInterval(time.Millisecond))
			for call, err := range map[string]error{
				"Allowance": allowance, "AddComposeHash": change, "Ownership": ownership, "KMSInfo": info, "DecideBoot": boot,
				"ProposeAllowance": proposal, "Open": opened,
			} {
				var endpoint *onchain.EndpointError
				var contract *onchain.ContractError
				require.ErrorAs(t, err, &endpoint, call)
				assert.Greater(t, endpoint.Attempts, 1, call)
				require.NotErrorAs(t, err, &contract, call)
				assert.NotContains(t, err.Error(), "/key", call)
			}
			assert.Len(t, c.Sent(), sent)
		})
	}
}

// The size of batches follows what the endpoint takes.
func TestBatches_BecomeSmaller(t *testing.T) {
	t.Parallel()
	for _, style := range []string{"http", "object", "each"} {
		c := chaintest.New(t)
		bad := newBadNode(c, 6, faults{batchLimit: 3, batchStyle: style})
		chain := dialed(t, c, bad.dial(t))
		app := deploy(t, chain)
		bad.mu.Lock()
		bad.largest = 0
		bad.mu.Unlock()
		_, err := chain.Allowance(t.Context(), app, hash1, device1)
		require.NoError(t, err)
		assert.LessOrEqual(t, bad.largest, 3, style)
		assert.Greater(t, bad.largest, 1, style)
	}
}

// An endpoint that has stopped, or is behind what it showed, is an error, and nothing is concluded or sent.
func TestHeadError(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	bad := newBadNode(c, 7, faults{})
	chain := dialed(t, c, bad.dial(t), onchain.WithMaxHeadAge(time.Hour))
	app := deploy(t, chain)
	sent := len(c.Sent())
	bad.set(faults{stopped: true})
	_, change := chain.AddComposeHash(ctx, app, hash2)
	_, removal := chain.RemoveComposeHash(ctx, app, hash2)
	_, read := chain.Allowance(ctx, app, hash1, device1)
	for _, err := range []error{change, removal, read} {
		var head *onchain.HeadError
		require.ErrorAs(t, err, &head)
		assert.Greater(t, head.Age, head.MaxAge)
		require.ErrorContains(t, err, "has stopped")
	}
	// Without a bound the age does not matter.
	_, err := dialed(t, c, bad.dial(t), onchain.WithMaxHeadAge(0)).Allowance(ctx, app, hash1, device1)
	require.NoError(t, err)
	bad.set(faults{})
	_, err = chain.Allowance(ctx, app, hash1, device1)
	require.NoError(t, err)
	assert.Len(t, c.Sent(), sent)

	c2 := chaintest.New(t)
	lagging := open(t, c2)
	app = deploy(t, lagging)
	_, err = lagging.AddComposeHash(ctx, app, hash2)
	require.NoError(t, err)
	c2.Lag(1)
	_, err = lagging.RemoveComposeHash(ctx, app, hash2)
	var head *onchain.HeadError
	require.ErrorAs(t, err, &head, "at that block the hash is not allowed yet")
	assert.Equal(t, head.Want, head.Number+1)
	c2.Lag(0)
	receipt, err := lagging.RemoveComposeHash(ctx, app, hash2)
	require.NoError(t, err)
	assert.False(t, receipt.AlreadySo)
}

// A removal is not left out because a node of an endpoint that another process used has not seen the hash yet.
func TestRemoveComposeHash_OnANodeThatIsBehind(t *testing.T) {
	t.Parallel()
	for range 5 {
		c := chaintest.New(t)
		mine := open(t, c)
		app := deploy(t, mine)
		require.NoError(t, c.Mine(3))
		_, err := mine.AddComposeHash(t.Context(), app, hash2)
		require.NoError(t, err)
		_, err = mine.AddDevice(t.Context(), app, device2)
		require.NoError(t, err)
		// All nodes are two blocks behind at first, and then go on as the chain does.
		c.Lag(2)
		mining(t, c)
		other := open(t, c)
		receipt, err := other.RemoveDevice(t.Context(), app, device2)
		require.NoError(t, err)
		assert.False(t, receipt.AlreadySo)
		receipt, err = open(t, c).RemoveComposeHash(t.Context(), app, hash2)
		require.NoError(t, err)
		assert.False(t, receipt.AlreadySo)
		c.Lag(0)
		allowed, err := c.IsHashAllowed(t.Context(), app, hash2)
		require.NoError(t, err)
		assert.False(t, allowed)
	}
}
