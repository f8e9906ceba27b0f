package onchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// answered is an error that a node gives, other than one of the way to it.
type answered struct {
	code int
	text string
}

func (e answered) Error() string  { return e.text }
func (e answered) ErrorCode() int { return e.code }

// rewriteReceipt lets a test change the receipts that the endpoint gives.
func rewriteReceipt(c *chaintest.Chain, change func(map[string]any)) {
	c.Intercept("eth_getTransactionReceipt", func(_ []any, next func() (json.RawMessage, error)) (json.RawMessage, error) {
		raw, err := next()
		var receipt map[string]any
		if err != nil || json.Unmarshal(raw, &receipt) != nil || receipt == nil {
			return raw, err
		}
		change(receipt)
		return json.Marshal(receipt)
	})
}

// eventually waits for what another goroutine brings about.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, 2*time.Millisecond, what)
}

func addHash(t testing.TB, app kms.AppID, hash [32]byte) onchain.Call {
	t.Helper()
	call, err := onchain.AddComposeHashCall(app, hash)
	require.NoError(t, err)
	return call
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	old, err := c.Deploy(ctx, "KmsAuth")
	require.NoError(t, err)
	everything, err := c.Deploy(ctx, "Everything")
	require.NoError(t, err)
	app := deploy(t, open(t, c))
	id := c.Contract().ChainID
	for name, tt := range map[string]struct {
		contract onchain.Contract
		want     error
	}{
		"an account":        {onchain.Contract{ChainID: id, Address: c.Address(0)}, onchain.ErrNoCode},
		"dstack 0.5.3":      {onchain.Contract{ChainID: id, Address: old}, onchain.ErrOldContract},
		"an app":            {onchain.Contract{ChainID: id, Address: app.Address()}, onchain.ErrNotKMS},
		"one that says yes": {onchain.Contract{ChainID: id, Address: everything}, onchain.ErrNotKMS},
		"another chain":     {onchain.Contract{ChainID: 8453, Address: c.KMS}, &onchain.ChainError{Got: id, Want: 8453}},
		"no chain named":    {onchain.Contract{Address: c.KMS}, nil},
		"no address":        {onchain.Contract{ChainID: id}, nil},
	} {
		_, err := onchain.Open(ctx, c, tt.contract)
		require.Error(t, err, name)
		var chain *onchain.ChainError
		switch want := tt.want.(type) {
		case nil:
		case *onchain.ChainError:
			require.ErrorAs(t, err, &chain, name)
			assert.Equal(t, want, chain, name)
		default:
			var contract *onchain.ContractError
			require.ErrorIs(t, err, want, name)
			require.ErrorAs(t, err, &contract, name)
			assert.Equal(t, tt.contract.Address, contract.Address, name)
		}
	}
	c.Intercept("eth_call", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return nil, answered{-32005, "rate limit"}
	})
	_, err = c.Open(ctx)
	require.ErrorContains(t, err, "rate limit", "an endpoint that fails says nothing of the contract")
	require.NotErrorIs(t, err, onchain.ErrNotKMS)
}

func TestChain_ThatChangesUnderneath(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	app := deploy(t, chain)
	sent := len(c.Sent())
	c.Intercept("eth_chainId", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.RawMessage(`"0x2105"`), nil
	})
	_, err := chain.AddComposeHash(t.Context(), app, hash2)
	var other *onchain.ChainError
	require.ErrorAs(t, err, &other)
	assert.Equal(t, &onchain.ChainError{Got: 8453, Want: c.Contract().ChainID}, other)
	assert.Len(t, c.Sent(), sent)
}

func TestDeployApp_OnlyAppsOfTheKMS(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c)
	stranger, err := c.Deploy(ctx, "DstackAppHead")
	require.NoError(t, err)
	sent := len(c.Sent())
	for app, want := range map[kms.AppID]error{kms.AppID(stranger): onchain.ErrNotRegistered, {1, 2, 3}: onchain.ErrNoCode} {
		_, err = chain.AddComposeHash(ctx, app, hash1)
		require.ErrorIs(t, err, want)
		_, err = chain.AddDevice(ctx, app, device1)
		require.ErrorIs(t, err, want)
		_, err = chain.Allowance(ctx, app, hash1, device1)
		require.ErrorIs(t, err, want)
	}
	assert.Len(t, c.Sent(), sent)
}

func TestForeignEvent(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t, chaintest.WithGeneration(chaintest.V054))
	ctx := t.Context()
	impostor, err := c.Deploy(ctx, "ImpostorApp")
	require.NoError(t, err)
	_, err = c.Execute(ctx, c.Accounts[0], c.KMS, dstackkms.NewKms().PackSetAppImplementation(impostor))
	require.NoError(t, err)
	chain := open(t, c)
	call, err := chain.DeployAppCall(kms.AppContract{Owner: c.Address(0), ComposeHash: hash1, Device: device1})
	require.NoError(t, err)
	intent, err := chain.Prepare(ctx, call)
	require.NoError(t, err)
	receipt, err := chain.Send(ctx, intent)
	require.NoError(t, err)

	// The transaction has the event twice, the impostor's first; only the KMS's counts.
	done, err := chain.Deployed(ctx, receipt.Tx, c.Address(0))
	require.NoError(t, err)
	assert.NotEqual(t, common.HexToAddress("0xbad"), done.App.Address())
	assert.Equal(t, common.HexToAddress("0xbad"), common.BytesToAddress(receipt.Logs[1].Topics[1][:]), "the impostor's event is there")

	// What was deployed is not what was asked for, and is no success.
	sent := len(c.Sent())
	_, err = chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, Device: device1})
	require.ErrorContains(t, err, "its effect cannot be read")
	assert.Len(t, c.Sent(), sent+1)
}

func TestReceipts_Tampered(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(map[string]any)
		what   string
	}{
		"a failure that was none": {func(r map[string]any) { r["status"] = "0x0" }, "logs"},
		"another transaction":     {func(r map[string]any) { r["transactionHash"] = common.Hash{7}.String() }, "hash"},
		"no status":               {func(r map[string]any) { delete(r, "status") }, "status"},
		"no logs":                 {func(r map[string]any) { r["logs"] = []any{} }, "logs"},
		"the event of another contract": {func(r map[string]any) {
			for _, l := range r["logs"].([]any) {
				l.(map[string]any)["address"] = "0x0000000000000000000000000000000000000bad"
			}
		}, "logs"},
		"another app": {func(r map[string]any) {
			logs := r["logs"].([]any)
			logs[len(logs)-1].(map[string]any)["topics"].([]any)[1] = common.Hash{31: 7}.String()
		}, "logs"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			chain := open(t, c)
			rewriteReceipt(c, tt.change)
			var saved *onchain.Intent
			spec := kms.AppContract{ComposeHash: hash1, Device: device1}
			_, err := chain.DeployApp(t.Context(), spec, onchain.Checkpoint(func(i *onchain.Intent) error { saved = i; return nil }))
			var lie *onchain.ReceiptError
			require.ErrorAs(t, err, &lie)
			assert.Contains(t, lie.What, tt.what)
			require.Len(t, c.Sent(), 1)

			// With an honest endpoint the same intent ends well, and nothing new is sent.
			c.Intercept("eth_getTransactionReceipt", nil)
			done, err := chain.DeployApp(t.Context(), spec, onchain.ResumeIntent(saved))
			require.NoError(t, err)
			assert.Equal(t, []common.Hash{done.Receipt.Tx}, c.Sent())
		})
	}
}

func TestSend_FalseSuccess(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	app := deploy(t, chain)
	// The endpoint swallows the transaction and makes up a receipt, with the hash of a true block.
	c.Intercept("eth_sendRawTransaction", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.Marshal(common.Hash{})
	})
	var block struct {
		Hash   common.Hash `json:"hash"`
		Number string      `json:"number"`
	}
	require.NoError(t, c.CallContext(t.Context(), &block, "eth_getBlockByNumber", "latest", false))
	c.Intercept("eth_getTransactionReceipt", func(params []any, _ func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.Marshal(map[string]any{"transactionHash": params[0], "blockHash": block.Hash, "blockNumber": block.Number, "status": "0x1", "logs": []any{}})
	})
	_, err := chain.AddComposeHash(t.Context(), app, hash2)
	var lie *onchain.ReceiptError
	require.ErrorAs(t, err, &lie)
	assert.Contains(t, lie.What, "compose hash")

	block.Hash = common.Hash{1} // a block that is not in the chain
	_, err = open(t, c, onchain.WithWait(2*time.Second)).AddComposeHash(t.Context(), app, hash2)
	var pending *onchain.PendingError
	require.ErrorAs(t, err, &pending)
	assert.Contains(t, pending.Last, "while the chain has")
}

func TestMinedAndReverted(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t, chaintest.WithGeneration(chaintest.V059))
	ctx, chain := t.Context(), open(t, c)
	app := deploy(t, chain)
	c.AutoMine(false)
	sent := len(c.Sent())
	give, err := onchain.TransferOwnershipCall(app.Address(), c.Address(1))
	require.NoError(t, err)
	first, err := chain.Prepare(ctx, give)
	require.NoError(t, err)
	second, err := chain.Prepare(ctx, addHash(t, app, hash2)) // still the owner
	require.NoError(t, err)
	assert.Equal(t, first.Nonce+1, second.Nonce)

	failed := make(chan error, 2)
	for _, intent := range []*onchain.Intent{first, second} {
		go func() { _, err := chain.Send(ctx, intent); failed <- err }()
	}
	eventually(t, "both sent", func() bool { return len(c.Sent()) == sent+2 })
	require.NoError(t, c.Mine(1))
	err = errors.Join(<-failed, <-failed)
	var reverted *onchain.RevertError
	require.ErrorAs(t, err, &reverted)
	assert.Equal(t, second.Transactions[0].Hash, reverted.Tx)
	var unauthorized *onchain.UnauthorizedAccountError
	require.ErrorAs(t, err, &unauthorized)

	_, err = chain.Send(ctx, second)
	require.ErrorAs(t, err, &reverted, "a failed intent stays failed")
	assert.Len(t, c.Sent(), sent+2)
}

func TestNonceTakenByAnother(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c, onchain.WithConfirmations(2), onchain.WithWait(5*time.Second))
	app := deploy(t, open(t, c))
	intent, err := chain.Prepare(ctx, addHash(t, app, hash2))
	require.NoError(t, err)
	other, err := c.Execute(ctx, c.Accounts[0], app.Address(), dstackapp.NewApp().PackAddDevice(device2))
	require.NoError(t, err)
	require.NoError(t, c.Mine(3))
	sent := len(c.Sent())
	_, err = chain.Send(ctx, intent)
	var replaced *onchain.ReplacedError
	require.ErrorAs(t, err, &replaced)
	assert.Equal(t, other.TxHash, replaced.By)
	assert.True(t, replaced.Mined && replaced.Nonce == intent.Nonce && replaced.From == c.Address(0))
	assert.Len(t, c.Sent(), sent)

	// It was used before already, which an endpoint that lagged did not know.
	c.Intercept("eth_getTransactionCount", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.Marshal(fmt.Sprintf("%#x", intent.Nonce))
	})
	late, err := open(t, c).Prepare(ctx, addHash(t, app, hash2))
	require.NoError(t, err)
	c.Intercept("eth_getTransactionCount", nil)
	_, err = chain.Send(ctx, late)
	require.ErrorAs(t, err, &replaced)
	assert.Equal(t, other.TxHash, replaced.By)
	assert.Len(t, c.Sent(), sent)

	// The other one only waits.
	c.AutoMine(false)
	intent, err = chain.Prepare(ctx, addHash(t, app, hash2))
	require.NoError(t, err)
	rival, err := open(t, c).Prepare(ctx, addHash(t, app, [32]byte{9})) // another process with the same key
	require.NoError(t, err)
	require.Equal(t, intent.Nonce, rival.Nonce)
	short, err := c.Open(ctx, onchain.WithWait(time.Second))
	require.NoError(t, err)
	var pending *onchain.PendingError
	_, err = short.Send(ctx, rival)
	require.ErrorAs(t, err, &pending)
	_, err = chain.Send(ctx, intent)
	require.ErrorAs(t, err, &replaced)
	assert.Zero(t, replaced.By)
}

func TestReorganisation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reorg func(*chaintest.Chain) error
		mine  int
	}{
		"the transaction is lost": {func(c *chaintest.Chain) error { return c.ReorgDropping(2) }, 3},
		"the transaction moves":   {func(c *chaintest.Chain) error { return c.Reorg(2) }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			app := deploy(t, open(t, c))
			chain := open(t, c, onchain.WithConfirmations(4))
			c.AutoMine(false)
			sent := len(c.Sent())
			type result struct {
				receipt *onchain.Receipt
				err     error
			}
			done := make(chan result, 1)
			go func() {
				receipt, err := chain.AddComposeHash(t.Context(), app, hash2)
				done <- result{receipt, err}
			}()
			eventually(t, "sent", func() bool { return len(c.Sent()) == sent+1 })
			tx := c.Sent()[sent]
			require.NoError(t, c.Mine(2))
			before, err := c.Receipt(t.Context(), tx)
			require.NoError(t, err)
			require.NotNil(t, before)
			require.NoError(t, tt.reorg(c))
			after, err := c.Receipt(t.Context(), tx)
			require.NoError(t, err)
			assert.True(t, after == nil || after.BlockHash != before.BlockHash)
			// A lost transaction is sent again, the same one.
			var got result
			eventually(t, "confirmed", func() bool {
				require.NoError(t, c.Mine(1))
				select {
				case got = <-done:
					return true
				default:
					return false
				}
			})
			require.NoError(t, got.err)
			assert.Equal(t, tx, got.receipt.Tx)
			assert.NotEqual(t, before.BlockHash, got.receipt.BlockHash)
			assert.Len(t, c.Sent(), sent+1)
		})
	}
}

func TestEndpoint_ThatLags(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	app := deploy(t, open(t, c))
	require.NoError(t, c.Mine(10))
	c.Lag(5)
	chain := open(t, c, onchain.WithWait(3*time.Second))
	sent := len(c.Sent())
	var saved *onchain.Intent
	_, err := chain.AddComposeHash(t.Context(), app, hash2, onchain.Checkpoint(func(i *onchain.Intent) error { saved = i; return nil }))
	var pending *onchain.PendingError
	require.ErrorAs(t, err, &pending)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Equal(t, saved, pending.Intent)
	assert.Len(t, c.Sent(), sent+1)
	c.Lag(0)
	receipt, err := chain.AddComposeHash(t.Context(), app, hash2, onchain.ResumeIntent(saved))
	require.NoError(t, err)
	assert.Equal(t, []common.Hash{receipt.Tx}, c.Sent()[sent:])
}

func TestEndpoint_ThatForgetsReceipts(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	app := deploy(t, open(t, c))
	null := func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return json.RawMessage("null"), nil
	}
	c.Intercept("eth_getTransactionReceipt", null)
	c.Intercept("eth_getTransactionByHash", null)
	sent := len(c.Sent())
	_, err := open(t, c, onchain.WithWait(3*time.Second)).AddComposeHash(t.Context(), app, hash2)
	var pending *onchain.PendingError
	require.ErrorAs(t, err, &pending, "the nonce is used, but by the transaction itself")
	assert.Contains(t, pending.Last, "no receipt")
	assert.Len(t, c.Sent(), sent+1)
}

// errCrash is how a test ends a process at one place.
var errCrash = errors.New("crash")

func TestCrashes(t *testing.T) {
	t.Parallel()
	spec := kms.AppContract{ComposeHash: hash1, Device: device1}
	for name, run := range map[string]func(t *testing.T, c *chaintest.Chain, save onchain.SendOption){
		"between signing and broadcast": func(t *testing.T, c *chaintest.Chain, save onchain.SendOption) {
			c.Intercept("eth_sendRawTransaction", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) { return nil, errCrash })
			_, err := open(t, c, onchain.WithWait(2*time.Second)).DeployApp(t.Context(), spec, save)
			require.ErrorIs(t, err, errCrash)
			assert.Empty(t, c.Sent())
		},
		"while the answer to the broadcast is on its way": func(t *testing.T, c *chaintest.Chain, save onchain.SendOption) {
			c.Intercept("eth_sendRawTransaction", func(_ []any, next func() (json.RawMessage, error)) (json.RawMessage, error) {
				_, err := next()
				c.Intercept("eth_getTransactionReceipt", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) { return nil, errCrash })
				return nil, errors.Join(errCrash, err)
			})
			_, err := open(t, c, onchain.WithWait(2*time.Second)).DeployApp(t.Context(), spec, save)
			require.ErrorIs(t, err, errCrash)
			assert.Len(t, c.Sent(), 1)
		},
		"between broadcast and receipt": func(t *testing.T, c *chaintest.Chain, save onchain.SendOption) {
			c.AutoMine(false)
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				for len(c.Sent()) == 0 {
					time.Sleep(time.Millisecond)
				}
				cancel()
			}()
			_, err := open(t, c).DeployApp(ctx, spec, save)
			require.ErrorIs(t, err, context.Canceled)
			assert.Len(t, c.Sent(), 1)
			c.AutoMine(true)
			require.NoError(t, c.Mine(1))
		},
		"after the receipt": func(t *testing.T, c *chaintest.Chain, save onchain.SendOption) {
			_, err := open(t, c).DeployApp(t.Context(), spec, save)
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := chaintest.New(t)
			var file []byte
			run(t, c, onchain.Checkpoint(func(i *onchain.Intent) (err error) {
				file, err = json.Marshal(i)
				return err
			}))
			c.Intercept("eth_sendRawTransaction", nil)
			c.Intercept("eth_getTransactionReceipt", nil)
			for range 2 {
				var intent onchain.Intent
				require.NoError(t, json.Unmarshal(file, &intent))
				done, err := open(t, c).DeployApp(t.Context(), spec, onchain.ResumeIntent(&intent))
				require.NoError(t, err)
				assert.Equal(t, []common.Hash{done.Receipt.Tx}, c.Sent())
			}
			var logs []*types.Log
			require.NoError(t, c.CallContext(t.Context(), &logs, "eth_getLogs", map[string]any{
				"fromBlock": "0x0", "toBlock": "latest", "address": c.KMS,
				"topics": []any{dstackkms.NewKms().GetABI().Events["AppDeployedViaFactory"].ID},
			}))
			assert.Len(t, logs, 1, "one app was deployed")
		})
	}
}

func TestCheckpoint_ThatFails(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	_, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1}, onchain.Checkpoint(func(*onchain.Intent) error { return errCrash }))
	require.ErrorIs(t, err, errCrash)
	assert.Empty(t, c.Sent(), "what cannot be saved is not sent")
	deploy(t, chain) // the nonce is not lost
}

func TestStuckTransaction_IsReplaced(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	app := deploy(t, open(t, c))
	c.AutoMine(false)
	chain := open(t, c, onchain.WithReplaceAfter(30*time.Millisecond))
	sent := len(c.Sent())
	saves := make(chan []byte, 100)
	failed := make(chan error, 1)
	go func() {
		_, err := chain.AddComposeHash(t.Context(), app, hash2, onchain.Checkpoint(func(i *onchain.Intent) error {
			data, err := json.Marshal(i)
			saves <- data
			return err
		}))
		failed <- err
	}()
	eventually(t, "replaced twice", func() bool { return len(c.Sent()) >= sent+3 })
	require.NoError(t, c.Mine(1))
	require.NoError(t, <-failed)
	var last onchain.Intent
	for len(saves) > 0 {
		require.NoError(t, json.Unmarshal(<-saves, &last))
	}
	hashes := c.Sent()[sent:]
	mined := 0
	var fee *big.Int
	for i, signed := range last.Transactions {
		var tx types.Transaction
		require.NoError(t, tx.UnmarshalBinary(signed.Raw))
		assert.Equal(t, last.Nonce, tx.Nonce())
		if i < len(hashes) {
			assert.Equal(t, hashes[i], signed.Hash, "each was saved before it was sent")
		}
		if fee != nil {
			assert.Equal(t, 1, tx.GasFeeCap().Cmp(fee))
		}
		fee = tx.GasFeeCap()
		receipt, err := c.Receipt(t.Context(), signed.Hash)
		require.NoError(t, err)
		if receipt != nil {
			mined++
		}
	}
	assert.Equal(t, 1, mined)

	// Without a checkpoint there is nowhere to save a replacement, so there is none.
	sent = len(c.Sent())
	_, err := open(t, c, onchain.WithReplaceAfter(time.Millisecond), onchain.WithWait(time.Second)).AddDevice(t.Context(), app, device2)
	var pending *onchain.PendingError
	require.ErrorAs(t, err, &pending)
	assert.Len(t, c.Sent(), sent+1)
}

func TestHighestFee(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	app := deploy(t, open(t, c))
	sent := len(c.Sent())
	_, err := open(t, c, onchain.WithMaxFee(big.NewInt(1000))).AddComposeHash(t.Context(), app, hash2)
	var fee *onchain.FeeError
	require.ErrorAs(t, err, &fee)
	assert.Equal(t, big.NewInt(1000), fee.Max)
	assert.Len(t, c.Sent(), sent)
}

func TestBalance(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	poor, err := crypto.GenerateKey()
	require.NoError(t, err)
	_, err = open(t, c, as(t, poor)).DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1})
	var balance *onchain.BalanceError
	require.ErrorAs(t, err, &balance)
	assert.Equal(t, crypto.PubkeyToAddress(poor.PublicKey), balance.Account)
	assert.Zero(t, balance.Have.Sign())
	assert.ErrorContains(t, err, "has 0 ETH")
	assert.Empty(t, c.Sent())
}

func TestSend_RejectedByTheNode(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	c.Intercept("eth_sendRawTransaction", func([]any, func() (json.RawMessage, error)) (json.RawMessage, error) {
		return nil, answered{-32000, "intrinsic gas too low"}
	})
	var saved *onchain.Intent
	spec := kms.AppContract{ComposeHash: hash1, Device: device1}
	_, err := chain.DeployApp(t.Context(), spec, onchain.Checkpoint(func(i *onchain.Intent) error { saved = i; return nil }))
	var rejected *onchain.RejectedError
	require.ErrorAs(t, err, &rejected)
	assert.Equal(t, saved.Transactions[0].Hash, rejected.Tx)
	c.Intercept("eth_sendRawTransaction", nil)

	// Whoever prepares anew gets the same nonce, so that one of the two at most takes effect.
	deploy(t, chain)
	_, err = chain.DeployApp(t.Context(), spec, onchain.ResumeIntent(saved))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(c.Sent()), 2)
}

// A saved deployment whose nonce another transaction has used is dropped and made anew, and the new one is saved: nobody
// edits what was saved to go on.
func TestDeployApp_MakesAReplacedIntentAnew(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c)
	app := deploy(t, chain)
	crash := errors.New("crash")
	var saved []byte
	spec := kms.AppContract{ComposeHash: hash2, Device: device1}
	_, _, err := chain.Flow().DeployApp(ctx, spec, kms.Journal{Save: func(data []byte) error { saved = data; return crash }})
	require.ErrorIs(t, err, crash)
	other, err := c.Execute(ctx, c.Accounts[0], app.Address(), dstackapp.NewApp().PackAddDevice(device2))
	require.NoError(t, err)
	require.NoError(t, c.Mine(3))
	sent, stale := len(c.Sent()), saved
	made, tx, err := open(t, c).Flow().DeployApp(ctx, spec, kms.Journal{Saved: saved, Save: func(data []byte) error { saved = data; return nil }})
	require.NoError(t, err)
	assert.NotEqual(t, other.TxHash, tx)
	assert.NotEqual(t, stale, saved)
	assert.Len(t, c.Sent(), sent+1)
	again, _, err := open(t, c).Flow().DeployApp(ctx, spec, kms.Journal{Saved: saved})
	require.NoError(t, err)
	assert.Equal(t, made, again)
	assert.Len(t, c.Sent(), sent+1)
}

func TestSigner_ReturnsAnotherTransaction(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	id := new(big.Int).SetUint64(c.Contract().ChainID)
	other := bind.NewKeyedTransactor(c.Accounts[1], id)
	for name, sign := range map[string]bind.SignerFn{
		"signs with another key": func(_ common.Address, tx *types.Transaction) (*types.Transaction, error) {
			return other.Signer(other.From, tx)
		},
		"changes the transaction": func(_ common.Address, tx *types.Transaction) (*types.Transaction, error) {
			to := common.HexToAddress("0xbad")
			return types.SignNewTx(c.Accounts[0], types.LatestSignerForChainID(id), &types.DynamicFeeTx{ChainID: id, Nonce: tx.Nonce(), To: &to, Gas: 21000, GasFeeCap: tx.GasFeeCap(), GasTipCap: tx.GasTipCap()})
		},
		"signs nothing": func(common.Address, *types.Transaction) (*types.Transaction, error) { return nil, nil },
	} {
		signer, err := onchain.TransactOptsSigner(&bind.TransactOpts{From: c.Address(0), Signer: sign})
		require.NoError(t, err)
		_, err = open(t, c, onchain.WithSigner(signer)).DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1})
		var refused *onchain.SignatureError
		require.ErrorAs(t, err, &refused, name)
	}
	assert.Empty(t, c.Sent())
}

func TestIntent_ThatWasChanged(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c)
	app := deploy(t, chain)
	sent := len(c.Sent())
	for name, change := range map[string]func(*onchain.Intent){
		"call":           func(i *onchain.Intent) { i.Call.Data[5] ^= 1 },
		"contract":       func(i *onchain.Intent) { i.Call.To[0] ^= 1 },
		"account":        func(i *onchain.Intent) { i.From[0] ^= 1 },
		"nonce":          func(i *onchain.Intent) { i.Nonce++ },
		"chain":          func(i *onchain.Intent) { i.ChainID++ },
		"hash":           func(i *onchain.Intent) { i.Transactions[0].Hash[0] ^= 1 },
		"transaction":    func(i *onchain.Intent) { i.Transactions[0].Raw[10] ^= 1 },
		"no transaction": func(i *onchain.Intent) { i.Transactions = nil },
	} {
		intent, err := chain.Prepare(ctx, addHash(t, app, hash2))
		require.NoError(t, err)
		chain.Abandon(intent)
		data, err := json.Marshal(intent)
		require.NoError(t, err)
		var changed onchain.Intent
		require.NoError(t, json.Unmarshal(data, &changed))
		change(&changed)
		_, err = chain.Send(ctx, &changed)
		require.ErrorContains(t, err, "intent", name)
	}
	_, err := chain.Send(ctx, nil)
	require.Error(t, err)
	intent, err := chain.Prepare(ctx, addHash(t, app, hash2))
	require.NoError(t, err)
	_, err = chain.AddComposeHash(ctx, app, [32]byte{3}, onchain.ResumeIntent(intent))
	require.ErrorContains(t, err, "the intent to resume")
	assert.Len(t, c.Sent(), sent)
}

func TestWatchSees_AReorganisation(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	chain := open(t, c)
	app := deploy(t, chain)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for event, err := range chain.Watch(ctx, onchain.WatchOptions{From: 1, Apps: []kms.AppID{app}}) {
		if err != nil {
			var reorg *onchain.ReorgError
			require.ErrorAs(t, err, &reorg)
			return
		}
		if event.Value.ContractEventName() == "AppDeployedViaFactory" {
			require.NoError(t, c.ReorgDropping(1))
		}
	}
	t.Fatal("the watch ended without an error")
}
