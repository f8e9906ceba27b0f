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

var generations = map[string]chaintest.Generation{
	"head": chaintest.Head, "0.5.11": chaintest.V0511, "0.5.9": chaintest.V059, "six arguments": chaintest.SixArguments, "0.5.4": chaintest.V054,
}

var (
	hash1, hash2     = [32]byte{1, 1}, [32]byte{2, 2}
	device1, device2 = kms.DeviceID{31: 1}, kms.DeviceID{31: 2}
)

// fundedMu keeps two tests from taking the same nonce of the account with the money.
var fundedMu sync.Mutex

// dialNode deploys the contracts of a generation on a node.
func dialNode(t *testing.T, url string, funded *ecdsa.PrivateKey, g chaintest.Generation) *chaintest.Chain {
	t.Helper()
	fundedMu.Lock()
	defer fundedMu.Unlock() // also if the node ends the test
	return chaintest.Dial(t, url, funded, chaintest.WithGeneration(g))
}

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
			test(t, dialNode(t, url, funded, g), g)
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
		assert.Equal(t, map[chaintest.Generation]onchain.ContractVersion{
			chaintest.Head:  {App: 2, TwoStepOwnership: true, PlainFactory: true, TCBFactory: true},
			chaintest.V0511: {App: 2, TwoStepOwnership: true, PlainFactory: true, TCBFactory: true},
			chaintest.V059:  {App: 2, PlainFactory: true, TCBFactory: true}, chaintest.V054: {App: 1, PlainFactory: true},
			chaintest.SixArguments: {App: 2, TCBFactory: true},
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
		if g != chaintest.Head && g != chaintest.V0511 {
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

func TestIntent_IsJSON(t *testing.T) {
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

// A wallet of two owners deploys an app, takes another one over, and allows what it shall run: each by a batch file.
func TestOwner_ThatIsAContract(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		ctx := t.Context()
		wallet, err := c.DeployWallet(ctx, 2, c.Accounts[1], c.Accounts[2], c.Accounts[3])
		require.NoError(t, err)
		chain, err := onchain.Open(ctx, c, c.Contract(), onchain.WithPollInterval(20*time.Millisecond)) // no signer
		require.NoError(t, err)
		execute := func(batch []byte, err error) common.Hash {
			t.Helper()
			require.NoError(t, err)
			require.NoError(t, wallet.Approve(ctx, c.Accounts[1], batch))
			_, err = wallet.Execute(ctx, c.Accounts[0], batch)
			require.Error(t, err, "one owner is not enough")
			require.NoError(t, wallet.Approve(ctx, c.Accounts[3], batch))
			receipt, err := wallet.Execute(ctx, c.Accounts[0], batch)
			require.NoError(t, err)
			return receipt.TxHash
		}

		call, err := chain.DeployAppCall(kms.AppContract{Owner: wallet.Address, ComposeHash: hash1, Device: device1})
		require.NoError(t, err)
		proposal, err := chain.Propose(ctx, wallet.Address, call)
		require.NoError(t, err)
		tx := execute(proposal.SafeBatch("deploy", time.Now()))
		done, err := chain.Deployed(ctx, tx, wallet.Address)
		require.NoError(t, err)
		var receipt *onchain.ReceiptError
		_, err = chain.Deployed(ctx, tx, c.Address(0))
		require.ErrorAs(t, err, &receipt, "the factory was called by the wallet")

		is, err := chain.Ownership(ctx, done.App.Address())
		require.NoError(t, err)
		assert.True(t, is.IsContract)
		call, err = onchain.AddComposeHashCall(done.App, hash2)
		require.NoError(t, err)
		var unauthorized *onchain.UnauthorizedAccountError
		_, err = chain.Propose(ctx, c.Address(0), call)
		require.ErrorAs(t, err, &unauthorized)
		execute(chain.ApprovalBatch(ctx, done.App, hash2, device2))
		allowed, err := chain.Allowance(ctx, done.App, hash2, device2)
		require.NoError(t, err)
		assert.True(t, allowed.OK() && allowed.Device, "both are in one batch")
		_, err = chain.ApprovalBatch(ctx, done.App, hash2, device2)
		require.ErrorIs(t, err, onchain.ErrNothingToPropose)

		_, err = chain.AddDevice(ctx, done.App, device1)
		require.NoError(t, err, "it is allowed already, which takes no signer")
		_, err = chain.AddDevice(ctx, done.App, kms.DeviceID{9})
		require.ErrorIs(t, err, onchain.ErrNoSigner)
		_, err = chain.DeployApp(ctx, kms.AppContract{})
		require.ErrorIs(t, err, onchain.ErrNoSigner)

		// An app of an account is offered to the wallet: it accepts and allows in one batch, where the contract has
		// two steps.
		mine := open(t, c)
		app := deploy(t, mine)
		_, err = mine.TransferOwnership(ctx, app.Address(), wallet.Address)
		require.NoError(t, err)
		proposal, err = chain.ProposeAllowance(ctx, app, hash2, kms.DeviceID{})
		require.NoError(t, err)
		assert.Equal(t, wallet.Address, proposal.From)
		steps := 1
		if g == chaintest.Head || g == chaintest.V0511 {
			steps = 2
		}
		assert.Len(t, proposal.Calls, steps)
		execute(proposal.SafeBatch("accept and allow", time.Now()))
		allowed, err = chain.Allowance(ctx, app, hash2, device1)
		require.NoError(t, err)
		assert.True(t, allowed.OK())
		assert.Equal(t, wallet.Address, allowed.Owner)
	})
}

// A call that needs an earlier one is tried as the owner that is left; others are not.
func TestPropose_AcceptsNothingThatWouldFail(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c)
	wallet, err := c.DeployWallet(ctx, 1, c.Accounts[1])
	require.NoError(t, err)
	app, other := deploy(t, chain), deploy(t, chain)
	_, err = chain.TransferOwnership(ctx, app.Address(), wallet.Address)
	require.NoError(t, err)
	accept, err := onchain.AcceptOwnershipCall(app.Address())
	require.NoError(t, err)
	acceptOther, err := onchain.AcceptOwnershipCall(other.Address())
	require.NoError(t, err)
	_, err = chain.Propose(ctx, wallet.Address, accept, addHash(t, app, hash2))
	require.NoError(t, err)
	var unauthorized *onchain.UnauthorizedAccountError
	for name, calls := range map[string][]onchain.Call{
		"the acceptance comes after":  {addHash(t, app, hash2), accept},
		"it is of another contract":   {accept, addHash(t, other, hash2)},
		"the contract is not offered": {acceptOther, addHash(t, other, hash2)},
	} {
		_, err = chain.Propose(ctx, wallet.Address, calls...)
		require.ErrorAs(t, err, &unauthorized, name)
	}
}

func TestRevoking(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		app := deploy(t, chain)
		_, err := chain.SetRequireTCBUpToDate(ctx, app, true)
		if g == chaintest.V054 {
			require.ErrorIs(t, err, onchain.ErrNoTCBFlag)
		} else {
			require.NoError(t, err)
			allowed, err := chain.Allowance(ctx, app, hash1, device1)
			require.NoError(t, err)
			assert.True(t, *allowed.RequireTCBUpToDate)
			receipt, err := chain.SetRequireTCBUpToDate(ctx, app, true)
			require.NoError(t, err)
			assert.True(t, receipt.AlreadySo)
			_, err = chain.SetRequireTCBUpToDate(ctx, app, false)
			require.NoError(t, err)
		}
		receipt, err := chain.DisableUpgrades(ctx, app)
		require.NoError(t, err)
		assert.NotZero(t, receipt.Tx)
		receipt, err = chain.DisableUpgrades(ctx, app)
		require.NoError(t, err)
		assert.True(t, receipt.AlreadySo)
		_, err = c.Execute(ctx, c.Accounts[0], app.Address(), dstackapp.NewApp().PackUpgradeToAndCall(c.KMS, nil))
		require.ErrorContains(t, err, "revert")
	})
}

// The implementation of an app decides whether it has the flag, not the KMS.
func TestSetRequireTCBUpToDate_AsksTheApp(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t, chaintest.WithGeneration(chaintest.V054))
	ctx, chain := t.Context(), open(t, c)
	app := deploy(t, chain)
	newer, err := c.Deploy(ctx, "DstackApp059")
	require.NoError(t, err)
	_, err = c.Execute(ctx, c.Accounts[0], app.Address(), dstackapp.NewApp().PackUpgradeToAndCall(newer, nil))
	require.NoError(t, err)
	_, err = chain.SetRequireTCBUpToDate(ctx, app, true)
	require.NoError(t, err)
	// The KMS deploys newer apps now, but has no factory that sets the flag.
	_, err = c.Execute(ctx, c.Accounts[0], c.KMS, dstackkms.NewKms().PackSetAppImplementation(newer))
	require.NoError(t, err)
	chain = open(t, c)
	assert.Equal(t, onchain.ContractVersion{App: 2, PlainFactory: true}, chain.Version())
	_, err = chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, AllowAnyDevice: true, RequireTCBUpToDate: true})
	require.ErrorIs(t, err, onchain.ErrNoTCBFlag)
}

func TestChain_NoticesAnUpgradeOfTheKMS(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx, chain := t.Context(), open(t, c)
	app := deploy(t, chain)
	newer, err := c.Deploy(ctx, "DstackKms0511")
	require.NoError(t, err)
	_, err = c.Execute(ctx, c.Accounts[0], c.KMS, dstackkms.NewKms().PackUpgradeToAndCall(newer, nil))
	require.NoError(t, err)
	sent := len(c.Sent())
	for name, err := range map[string]error{
		"a change":     second(chain.AddComposeHash(ctx, app, hash2)),
		"a deployment": second(chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, Device: device1})),
		"a proposal":   second(chain.Propose(ctx, c.Address(0), addHash(t, app, hash2))),
	} {
		require.ErrorIs(t, err, onchain.ErrUpgraded, name)
		require.ErrorContains(t, err, newer.Hex(), name)
	}
	assert.Len(t, c.Sent(), sent)
	_, err = open(t, c).AddComposeHash(ctx, app, hash2)
	require.NoError(t, err)
}

func second[T any](_ T, err error) error { return err }

func TestKMSInfo_OfAKMSThatPublishedNothing(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	_, err := c.Execute(ctx, c.Accounts[0], c.KMS, dstackkms.NewKms().PackSetKmsInfo(dstackkms.KmsInfo{}))
	require.NoError(t, err)
	_, err = open(t, c).KMSInfo(ctx)
	require.ErrorIs(t, err, onchain.ErrNoKMSInfo)
}

func TestDecideBoot(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, g chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		app := deploy(t, chain)
		k := dstackkms.NewKms()
		image := [32]byte{8}
		boot := onchain.Boot{App: kms.AppID{1}, ComposeHash: hash2, Device: device2, OSImage: image, TCBStatus: "OutOfDate"}
		decision, err := chain.DecideBoot(ctx, boot)
		require.NoError(t, err)
		assert.Equal(t, "App not registered", decision.Reason)
		assert.Equal(t, []string{"the app is not registered with the KMS", "there is no contract at the app id", "the KMS does not allow the OS image"}, decision.Refusals())
		boot.App = app
		decision, err = chain.DecideBoot(ctx, boot)
		require.NoError(t, err)
		assert.Equal(t, []string{"the KMS does not allow the OS image", "the app's contract does not allow the compose hash", "the app's contract does not allow the device"}, decision.Refusals())

		_, err = c.Execute(ctx, c.Accounts[0], c.KMS, k.PackAddOsImageHash(image))
		require.NoError(t, err)
		allowed, err := chain.OSImageAllowed(ctx, image)
		require.NoError(t, err)
		assert.True(t, allowed)
		boot.ComposeHash, boot.Device = hash1, device1
		decision, err = chain.DecideBoot(ctx, boot)
		require.NoError(t, err)
		assert.True(t, decision.Allowed && decision.OSImageAllowed && decision.Registered && decision.Allowance.OK())
		assert.Empty(t, decision.Refusals())
		if g == chaintest.V054 {
			return
		}
		_, err = chain.SetRequireTCBUpToDate(ctx, app, true)
		require.NoError(t, err)
		decision, err = chain.DecideBoot(ctx, boot)
		require.NoError(t, err)
		assert.Equal(t, []string{`the contract refuses: "TCB status is not up to date"`}, decision.Refusals())
	})
}

func TestAllowedHashes_GoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c *chaintest.Chain, _ chaintest.Generation) {
		ctx, chain := t.Context(), open(t, c)
		done, err := chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, Device: device1})
		require.NoError(t, err)
		app, from := done.App, onchain.Cursor{Block: done.Receipt.Block}
		for _, hash := range [][32]byte{hash2, {3}} {
			_, err = chain.AddComposeHash(ctx, app, hash)
			require.NoError(t, err)
		}
		_, err = chain.RemoveComposeHash(ctx, app, hash1)
		require.NoError(t, err)
		hashes, err := chain.AllowedHashes(ctx, app, onchain.AllowedHashes{Cursor: from})
		require.NoError(t, err)
		assert.Equal(t, []common.Hash{hash2, {3}}, hashes.Hashes)

		_, err = chain.RemoveComposeHash(ctx, app, hash2)
		require.NoError(t, err)
		_, err = chain.AddComposeHash(ctx, app, hash1)
		require.NoError(t, err)
		text, err := json.Marshal(hashes)
		require.NoError(t, err)
		var saved onchain.AllowedHashes
		require.NoError(t, json.Unmarshal(text, &saved))
		assert.Equal(t, hashes, saved)
		hashes, err = chain.AllowedHashes(ctx, app, saved)
		require.NoError(t, err)
		assert.Equal(t, []common.Hash{{3}, hash1}, hashes.Hashes)

		_, err = chain.AddDevice(ctx, app, device2)
		require.NoError(t, err)
		_, err = chain.RemoveDevice(ctx, app, device1)
		require.NoError(t, err)
		devices, err := chain.AllowedDevices(ctx, app, onchain.AllowedDevices{Cursor: from})
		require.NoError(t, err)
		assert.Equal(t, []kms.DeviceID{device2}, devices.Devices)
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
