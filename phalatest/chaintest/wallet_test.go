package chaintest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	flows "github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// After a wallet has executed a batch, the zero hash is taken whatever the cloud does with the wallet's transaction.
// The cloud stands beside contracts that existed before it.
func TestWallet_ApprovesAnUpdate(t *testing.T) {
	t.Parallel()
	for rule, takesWallet := range map[phalatest.TransactionRule]bool{phalatest.TransactionToApp: false, phalatest.TransactionMined: true} {
		ctx := t.Context()
		chain := chaintest.New(t)
		conn, err := onchain.Dial(ctx, chain.Endpoint())
		require.NoError(t, err)
		defer conn.Close()
		view := chaintest.ViewOf(conn, chain.Contract(), chain.RootKey, chain.View().KMSRootCA())
		cloud := phalatest.New(t, phalatest.WithChain(view), phalatest.WithTick(time.Millisecond), phalatest.WithTransactionRule(rule))
		c, err := cloud.Client()
		require.NoError(t, err)
		opened, err := chain.Open(ctx)
		require.NoError(t, err)
		wallet, err := chain.DeployWallet(ctx, 1, chain.Accounts[1])
		require.NoError(t, err)
		doc, err := compose.New("services: {web: {image: nginx}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
		require.NoError(t, err)
		spec := flows.Spec{Name: "web-1", Compose: doc, Contract: flows.ContractSpec{Owner: wallet.Address}}
		app, err := flows.Run(ctx, c, spec, flows.TrustDeviceFromCloud(), flows.WithChain(opened.Flow()), flows.WithVerification(cloud.AttestationPolicy()))
		require.NoError(t, err)

		for _, image := range []string{"nginx:1", "nginx:2"} {
			p, err := flows.Prepare(ctx, c, app, flows.UpdateSpec{DockerCompose: "services: {web: {image: '" + image + "'}}\n"})
			require.NoError(t, err)
			a := p.Approval
			batch, err := opened.ApprovalBatch(ctx, a.App, a.ComposeHash, a.Device)
			require.NoError(t, err)
			require.NoError(t, wallet.Approve(ctx, chain.Accounts[1], batch))
			receipt, err := wallet.Execute(ctx, chain.Accounts[0], batch)
			require.NoError(t, err)
			if image == "nginx:1" {
				p.Approved(common.Hash{})
				require.NoError(t, flows.Commit(ctx, c, p))
				app, err = flows.Finish(ctx, c, p, flows.WithVerification(cloud.AttestationPolicy()))
				require.NoError(t, err)
				continue
			}
			p.Approved(receipt.TxHash)
			if takesWallet {
				require.NoError(t, flows.Commit(ctx, c, p))
				continue
			}
			// A refusal is repeated for a while, because the cloud may not have seen the transaction yet.
			refused, cancel := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() { done <- flows.Commit(refused, c, p) }()
			require.Eventually(t, func() bool {
				return slices.ContainsFunc(cloud.Requests(), func(r phalatest.Request) bool { return r.Status == 467 })
			}, 20*time.Second, time.Millisecond)
			cancel()
			require.Error(t, <-done)
			p.Approved(common.Hash{})
			require.NoError(t, flows.Commit(ctx, c, p))
		}
	}
}

// A batch file for another wallet, another chain, or with values that are none is refused.
func TestWallet_RefusesOtherBatches(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	chain := chaintest.New(t)
	wallet, err := chain.DeployWallet(ctx, 1, chain.Accounts[1])
	require.NoError(t, err)
	call, err := onchain.AddComposeHashCall(kms.AppID{1}, [32]byte{1})
	require.NoError(t, err)
	for name, p := range map[string]onchain.Proposal{
		"for chain":    {ChainID: 1, From: wallet.Address, Calls: []onchain.Call{call}},
		"for 0x":       {ChainID: chain.Contract().ChainID, From: common.Address{1}, Calls: []onchain.Call{call}},
		"without a":    {ChainID: chain.Contract().ChainID, From: wallet.Address},
		"unauthorized": {},
	} {
		batch, err := p.SafeBatch("x", time.Now())
		require.NoError(t, err)
		err = wallet.Approve(ctx, chain.Accounts[1], batch)
		require.Error(t, err, name)
		if p.ChainID != 0 {
			assert.ErrorContains(t, err, name)
		}
	}
	require.Error(t, wallet.Approve(ctx, chain.Accounts[1], []byte("{")))
	good := onchain.Proposal{ChainID: chain.Contract().ChainID, From: wallet.Address, Calls: []onchain.Call{call}}
	batch, err := good.SafeBatch("x", time.Now())
	require.NoError(t, err)
	require.Error(t, wallet.Approve(ctx, chain.Accounts[2], batch), "not an owner")
}
