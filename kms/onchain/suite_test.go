package onchain_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"math/big"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/phalatest/chaintest"
)

var generations = map[string]chaintest.Generation{"head": chaintest.Head, "0.5.9": chaintest.V059, "0.5.4": chaintest.V054}

var (
	hash1, hash2     = [32]byte{1, 1}, [32]byte{2, 2}
	device1, device2 = kms.DeviceID{31: 1}, kms.DeviceID{31: 2}
)

// fundedMu keeps two tests from taking the same nonce of the account with the money.
var fundedMu sync.Mutex

// each runs a test on every generation of the contracts: on the simulated chain, and on the node that
// PHALA_TEST_RPC names, with the money of the account whose key is in PHALA_TEST_KEY.
func each(t *testing.T, test func(t *testing.T, c *chaintest.Chain, g chaintest.Generation)) {
	for name, g := range generations {
		t.Run("simulated/"+name, func(t *testing.T) {
			t.Parallel()
			test(t, chaintest.New(t, chaintest.WithGeneration(g)), g)
		})
		t.Run("node/"+name, func(t *testing.T) {
			url, key := os.Getenv("PHALA_TEST_RPC"), os.Getenv("PHALA_TEST_KEY")
			if url == "" {
				t.Skip("PHALA_TEST_RPC names no node")
			}
			funded, err := crypto.HexToECDSA(strings.TrimPrefix(key, "0x"))
			require.NoError(t, err, "PHALA_TEST_KEY")
			fundedMu.Lock()
			chain := chaintest.Dial(t, url, funded, chaintest.WithGeneration(g))
			fundedMu.Unlock()
			test(t, chain, g)
		})
	}
}

func open(t testing.TB, c *chaintest.Chain, opts ...onchain.Option) *onchain.Chain {
	t.Helper()
	chain, err := c.Open(t.Context(), opts...)
	require.NoError(t, err)
	return chain
}

func as(t testing.TB, key *ecdsa.PrivateKey) onchain.Option {
	t.Helper()
	signer, err := onchain.PrivateKeySigner(key)
	require.NoError(t, err)
	return onchain.WithSigner(signer)
}

func deploy(t testing.TB, chain *onchain.Chain) kms.AppID {
	t.Helper()
	done, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1})
	require.NoError(t, err)
	return done.App
}

func TestVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		chain := open(t, c)
		assert.Equal(t, map[chaintest.Generation]onchain.Version{
			chaintest.Head: {App: 2, TwoStepOwnership: true, PlainFactory: true, TCBFactory: true},
			chaintest.V059: {App: 2, PlainFactory: true, TCBFactory: true}, chaintest.V054: {App: 1, PlainFactory: true},
		}[g], chain.Version())
		assert.Equal(t, g != chaintest.V054, chain.Version().HasTCBFlag())
		assert.Equal(t, c.Contract(), chain.Contract())
		assert.Equal(t, c.Address(0), chain.Sender())
		info, err := chain.KMSInfo(t.Context())
		require.NoError(t, err)
		require.NoError(t, kms.CheckSigner(c.Root(), info.RootKey))
	})
}

func TestDeployAndAllow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		done, err := chain.DeployApp(ctx, kms.AppContract{Owner: c.Address(0), ComposeHash: hash1, Device: device1})
		require.NoError(t, err)
		app := done.App

		allowed, err := chain.Allowance(ctx, app, hash1, device1)
		require.NoError(t, err)
		var flag *bool
		if g != chaintest.V054 {
			flag = new(bool)
		}
		assert.Equal(t, kms.Allowance{ComposeHash: true, Device: true, RequireTCBUpToDate: flag, Owner: c.Address(0)}, allowed)
		assert.True(t, allowed.OK())
		allowed, err = chain.Allowance(ctx, app, hash2, device2)
		require.NoError(t, err)
		assert.Equal(t, kms.Allowance{RequireTCBUpToDate: flag, Owner: c.Address(0)}, allowed)

		receipt, err := chain.AddComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		assert.NotZero(t, receipt.Tx)
		receipt, err = chain.AddComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)
		_, err = chain.AddDevice(ctx, app, device2)
		require.NoError(t, err)
		receipt, err = chain.AddDevice(ctx, app, device2)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)
		allowed, err = chain.Allowance(ctx, app, hash2, device2)
		require.NoError(t, err)
		assert.True(t, allowed.OK())

		_, err = chain.SetAllowAnyDevice(ctx, app, true)
		require.NoError(t, err)
		allowed, err = chain.Allowance(ctx, app, hash2, kms.DeviceID{9})
		require.NoError(t, err)
		assert.True(t, allowed.OK() && allowed.AnyDevice && !allowed.Device)
		receipt, err = chain.SetAllowAnyDevice(ctx, app, true)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)

		// The contract itself decides as the documents say.
		ok, err := c.IsHashAllowed(ctx, app, hash2)
		require.NoError(t, err)
		assert.True(t, ok)
		receipt, err = chain.RemoveComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		assert.NotZero(t, receipt.Tx)
		ok, err = c.IsHashAllowed(ctx, app, hash2)
		require.NoError(t, err)
		assert.False(t, ok)
		receipt, err = chain.RemoveComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)
		_, err = chain.RemoveDevice(ctx, app, device2)
		require.NoError(t, err)
		receipt, err = chain.RemoveDevice(ctx, app, device2)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)
		allowed, err = chain.Allowance(ctx, app, hash2, device2)
		require.NoError(t, err)
		assert.False(t, allowed.ComposeHash || allowed.Device)
	})
}

func TestTCBFlag(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		before := len(c.Sent())
		_, err := open(t, c).DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, AllowAnyDevice: true, RequireTCBUpToDate: true})
		if g == chaintest.V054 {
			require.ErrorIs(t, err, onchain.ErrNoTCBFlag)
			assert.Len(t, c.Sent(), before)
			return
		}
		require.NoError(t, err)
	})
}

func TestOwnership(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		next := open(t, c, as(t, c.Accounts[1]))
		app := deploy(t, chain)
		_, err := chain.TransferOwnership(ctx, app.Address(), c.Address(1))
		require.NoError(t, err)
		is, err := chain.Ownership(ctx, app.Address())
		require.NoError(t, err)
		if g != chaintest.Head {
			assert.Equal(t, onchain.Ownership{Owner: c.Address(1)}, is)
			_, err = next.AcceptOwnership(ctx, app.Address())
			require.ErrorIs(t, err, onchain.ErrOneStep)
		} else {
			assert.Equal(t, onchain.Ownership{Owner: c.Address(0), Pending: c.Address(1), TwoStep: true}, is)
			var unauthorized *onchain.UnauthorizedAccountError
			_, err = open(t, c, as(t, c.Accounts[2])).AcceptOwnership(ctx, app.Address())
			require.ErrorAs(t, err, &unauthorized)
			_, err = next.AcceptOwnership(ctx, app.Address())
			require.NoError(t, err)
		}
		_, err = next.AddComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		_, err = chain.AddComposeHash(ctx, app, [32]byte{3})
		var unauthorized *onchain.UnauthorizedAccountError
		require.ErrorAs(t, err, &unauthorized)
		assert.Equal(t, c.Address(0), unauthorized.Account)
		var reverted *onchain.RevertError
		require.ErrorAs(t, err, &reverted)
		assert.Equal(t, "OwnableUnauthorizedAccount", reverted.Name)
		assert.Zero(t, reverted.Tx, "it was tried before sending")
	})
}

func TestIntentIsJSON(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, _ chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		app := deploy(t, chain)
		call, err := onchain.AddComposeHashCall(app, hash2)
		require.NoError(t, err)
		intent, err := chain.Prepare(ctx, call)
		require.NoError(t, err)
		data, err := json.Marshal(intent)
		require.NoError(t, err)

		// Another process goes on, twice; the chain sees one transaction.
		sent := len(c.Sent())
		var first common.Hash
		for range 2 {
			var read onchain.Intent
			require.NoError(t, json.Unmarshal(data, &read))
			receipt, err := open(t, c).Send(ctx, &read)
			require.NoError(t, err)
			if first == (common.Hash{}) {
				first = receipt.Tx
			}
			assert.Equal(t, first, receipt.Tx)
		}
		assert.Len(t, c.Sent(), sent+1)
	})
}

func TestManyInFlight(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, _ chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		app := deploy(t, chain)
		const n = 8
		failed := make(chan error, n)
		for i := range n {
			go func() {
				_, err := chain.AddComposeHash(ctx, app, [32]byte{7, byte(i)})
				failed <- err
			}()
		}
		for range n {
			require.NoError(t, <-failed)
		}
		for i := range n {
			ok, err := c.IsHashAllowed(ctx, app, [32]byte{7, byte(i)})
			require.NoError(t, err)
			assert.True(t, ok)
		}
	})
}

func TestWatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		chain := open(t, c)
		done, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: hash1, Device: device1})
		require.NoError(t, err)
		_, err = chain.AddComposeHash(t.Context(), done.App, hash2)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var names []string
		last := false
		for event, err := range chain.Watch(ctx, onchain.WatchOptions{From: done.Receipt.Block, Apps: []kms.AppID{done.App}}) {
			require.NoError(t, err)
			switch value := event.Value.(type) {
			case *dstackkms.KmsAppDeployedViaFactory:
				assert.Equal(t, done.App.Address(), value.AppId)
				assert.Equal(t, c.Address(0), value.Deployer)
				assert.Equal(t, done.Receipt.Tx, event.Tx)
			case *dstackkms.KmsPolicyChanged, *dstackapp.AppPolicyChanged:
				assert.Equal(t, chaintest.Head, g)
				continue
			case *dstackapp.AppComposeHashAdded:
				last = value.ComposeHash == hash2
			}
			if names = append(names, event.Value.ContractEventName()); last {
				break
			}
		}
		assert.Equal(t, []string{
			"Upgraded", "DeviceAdded", "ComposeHashAdded", "OwnershipTransferred", "Initialized", "AppRegistered", "AppDeployedViaFactory", "ComposeHashAdded",
		}, names)
	})
}

func TestOwnerThatIsAContract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, _ chaintest.Generation) {
		ctx := t.Context()
		safe, err := c.Deploy(ctx, "Account")
		require.NoError(t, err)
		chain, err := onchain.Open(ctx, c, c.Contract(), onchain.WithPollInterval(20*time.Millisecond)) // no signer
		require.NoError(t, err)
		execute := func(p *onchain.Proposal) common.Hash {
			data, err := c.Pack("Account", "execute", p.Calls[0].To, common.Big0, []byte(p.Calls[0].Data))
			require.NoError(t, err)
			receipt, err := c.Execute(ctx, c.Accounts[0], safe, data)
			require.NoError(t, err)
			return receipt.TxHash
		}

		call, err := chain.DeployAppCall(kms.AppContract{Owner: safe, ComposeHash: hash1, AllowAnyDevice: true})
		require.NoError(t, err)
		proposal, err := chain.Propose(ctx, safe, call)
		require.NoError(t, err)
		tx := execute(proposal)
		done, err := chain.Deployed(ctx, tx, safe)
		require.NoError(t, err)
		var receipt *onchain.ReceiptError
		_, err = chain.Deployed(ctx, tx, c.Address(0))
		require.ErrorAs(t, err, &receipt, "the factory was called by the safe")

		is, err := chain.Ownership(ctx, done.App.Address())
		require.NoError(t, err)
		assert.True(t, is.IsContract)
		call, err = onchain.AddComposeHashCall(done.App, hash2)
		require.NoError(t, err)
		var unauthorized *onchain.UnauthorizedAccountError
		_, err = chain.Propose(ctx, c.Address(0), call)
		require.ErrorAs(t, err, &unauthorized)
		proposal, err = chain.Propose(ctx, safe, call)
		require.NoError(t, err)
		execute(proposal)
		allowed, err := chain.Allowance(ctx, done.App, hash2, device1)
		require.NoError(t, err)
		assert.True(t, allowed.OK())

		_, err = chain.AddDevice(ctx, done.App, device1)
		require.ErrorIs(t, err, onchain.ErrNoSigner)
		_, err = chain.DeployApp(ctx, kms.AppContract{})
		require.ErrorIs(t, err, onchain.ErrNoSigner)
	})
}

func TestSigners(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, _ chaintest.Generation) {
		opts := bind.NewKeyedTransactor(c.Accounts[1], new(big.Int).SetUint64(c.Contract().ChainID))
		signer, err := onchain.TransactOptsSigner(opts)
		require.NoError(t, err)
		chain := open(t, c, onchain.WithSigner(signer))
		assert.Equal(t, c.Address(1), chain.Sender())
		deploy(t, chain)
	})
}
