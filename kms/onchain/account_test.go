package onchain_test

import (
	"context"
	"encoding/json"
	"math/big"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// A replaced intent is resolved by a node that has no history, whether the transaction that took the nonce is near
// enough to be found or not.
func TestReplaced_OnANodeWithoutHistory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before int
		found  bool
	}{"in a block that is read": {5, true}, "too far away": {400, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			c := chaintest.New(t)
			mine := open(t, c)
			app := deploy(t, mine)
			intent, err := mine.Prepare(ctx, addHash(t, app, hash2))
			require.NoError(t, err)
			require.NoError(t, c.Mine(tt.before))
			other, err := c.Execute(ctx, c.Accounts[0], app.Address(), dstackapp.NewApp().PackAddDevice(device2))
			require.NoError(t, err)
			require.NoError(t, c.Mine(200))
			sent := len(c.Sent())
			bad := newBadNode(c, 8, faults{history: 128})
			_, err = dialed(t, c, bad.dial(t), onchain.WithWait(2*time.Minute)).Send(ctx, intent)
			var replaced *onchain.ReplacedError
			require.ErrorAs(t, err, &replaced)
			assert.True(t, replaced.Mined)
			assert.Len(t, c.Sent(), sent)
			if tt.found {
				assert.Equal(t, other.TxHash, replaced.By)
				return
			}
			assert.Zero(t, replaced.By)
			// Prepared anew it is sent.
			_, err = dialed(t, c, bad.dial(t), onchain.WithWait(2*time.Minute)).AddComposeHash(ctx, app, hash2, onchain.ResumeIntent(intent))
			require.NoError(t, err)
			assert.Len(t, c.Sent(), sent+1)
		})
	}
}

// An intent that was mined long ago is found by its receipt, also without history.
func TestResumed_OnANodeWithoutHistory(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := chaintest.New(t)
	mine := open(t, c)
	app := deploy(t, mine)
	var saved *onchain.Intent
	_, err := mine.AddComposeHash(ctx, app, hash2, onchain.Checkpoint(func(i *onchain.Intent) error { saved = i; return nil }))
	require.NoError(t, err)
	require.NoError(t, c.Mine(500))
	sent := len(c.Sent())
	receipt, err := dialed(t, c, newBadNode(c, 9, faults{history: 128}).dial(t)).AddComposeHash(ctx, app, hash2, onchain.ResumeIntent(saved))
	require.NoError(t, err)
	assert.Equal(t, saved.Transactions[0].Hash, receipt.Tx)
	assert.Len(t, c.Sent(), sent)
}

// slowSigner signs when it is let.
type slowSigner struct {
	onchain.Signer
	let   chan struct{}
	asked atomic.Int64
}

func (s *slowSigner) SignTx(ctx context.Context, tx *types.Transaction, id *big.Int) (*types.Transaction, error) {
	if s.asked.Add(1) == 1 {
		select {
		case <-s.let:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return s.Signer.SignTx(ctx, tx, id)
}

// A signature that takes its time holds up only its own transaction, and one that never comes leaves no gap.
func TestSlowSigner_BlocksOnlyItself(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	app := deploy(t, open(t, c))
	key, err := onchain.PrivateKeySigner(c.Accounts[0])
	require.NoError(t, err)
	slow := &slowSigner{Signer: key, let: make(chan struct{})}
	shared := onchain.SharedNonces(slow)
	chain, second := open(t, c, onchain.WithSigner(shared)), open(t, c, onchain.WithSigner(shared))
	first := make(chan error, 1)
	go func() {
		_, err := chain.AddComposeHash(t.Context(), app, hash2)
		first <- err
	}()
	eventually(t, "the signer is asked", func() bool { return slow.asked.Load() == 1 })
	// Others are signed and confirmed meanwhile.
	for i, other := range []*onchain.Chain{chain, second, chain} {
		_, err := other.AddDevice(t.Context(), app, kms.DeviceID{4, byte(i)})
		require.NoError(t, err)
	}
	select {
	case err := <-first:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	close(slow.let)
	require.NoError(t, <-first)
	allowed, err := c.IsHashAllowed(t.Context(), app, hash2)
	require.NoError(t, err)
	assert.True(t, allowed)

	never := &slowSigner{Signer: key, let: make(chan struct{})}
	chain = open(t, c, onchain.WithSigner(never))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := chain.AddComposeHash(ctx, app, [32]byte{3})
		first <- err
	}()
	eventually(t, "the signer is asked", func() bool { return never.asked.Load() == 1 })
	cancel()
	require.ErrorIs(t, <-first, context.Canceled)
	_, err = chain.AddComposeHash(t.Context(), app, [32]byte{3})
	require.NoError(t, err)
}

// What a node does not take yet is waited for, and is not given up.
func TestBroadcast_TooEarly(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"Nonce too high. Expected nonce to be 5 but got 7. Note that transactions can't be queued when automining.",
		"gapped-nonce tx from delegated accounts", "in-flight transaction limit reached for delegated accounts", "txpool is full",
	} {
		c := chaintest.New(t)
		chain := open(t, c)
		app := deploy(t, chain)
		refused := 0
		c.Intercept("eth_sendRawTransaction", func(_ []any, next func() (json.RawMessage, error)) (json.RawMessage, error) {
			if refused++; refused <= 3 {
				return nil, answered{-32000, text}
			}
			return next()
		})
		_, err := chain.AddComposeHash(t.Context(), app, hash2)
		require.NoError(t, err, text)
		assert.Equal(t, 4, refused)
		c.Intercept("eth_sendRawTransaction", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
			return nil, answered{-32000, text}
		})
		_, err = open(t, c, onchain.WithWait(time.Second)).AddDevice(t.Context(), app, device2)
		var pending *onchain.PendingError
		require.ErrorAs(t, err, &pending, text)
		assert.Contains(t, pending.Last, "does not accept it yet")
	}
}

// An intent whose answer was lost is not given up for another, even if the node refuses it the second time.
func TestRejected_AfterALostAnswer(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t, chaintest.WithManualMining())
	chain := open(t, c, onchain.WithWait(2*time.Second))
	var broadcasts atomic.Int64
	c.Intercept("eth_sendRawTransaction", func(_ []any, next func() (json.RawMessage, error)) (json.RawMessage, error) {
		switch broadcasts.Add(1) {
		case 1:
			_, _ = next()
			return nil, errCrash
		case 2:
			return nil, answered{-32000, "insufficient funds for gas * price + value"}
		}
		return next()
	})
	// The node that is asked does not know the transaction.
	c.Intercept("eth_getTransactionByHash", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.RawMessage("null"), nil
	})
	done := make(chan error, 1)
	go func() {
		_, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, AllowAnyDevice: true})
		done <- err
	}()
	eventually(t, "it is sent again", func() bool { return broadcasts.Load() >= 3 })
	require.NoError(t, c.Mine(1))
	require.NoError(t, <-done)
	assert.Len(t, c.Sent(), 1)
	assert.NotEqual(t, common.Hash{}, c.Sent()[0])
}
