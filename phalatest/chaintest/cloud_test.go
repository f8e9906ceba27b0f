package chaintest_test

import (
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	flows "github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/chaintest"
)

var _ phalatest.Chain = chaintest.View{}

// onCloud is a fake cloud whose KMS is on the chain, with a CVM under it.
func onCloud(t *testing.T, chain *chaintest.Chain) (*client.Client, *flows.App) {
	t.Helper()
	cloud := phalatest.New(t, phalatest.WithChain(chain.View()), phalatest.WithTick(time.Millisecond))
	c, err := cloud.Client()
	require.NoError(t, err)
	opened, err := chain.Open(t.Context())
	require.NoError(t, err)
	app, err := compose.New("services: {web: {image: nginx}}\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	r, err := flows.Run(t.Context(), c, flows.Spec{Name: "web-1", Compose: app}, flows.TrustDeviceFromCloud(), flows.WithChain(opened.Flow()), flows.WithVerification(cloud.AttestationPolicy()))
	require.NoError(t, err)
	return c, r
}

// The answers of a cloud that are about the chain follow what the contracts say.
func TestCloud_OnTheChain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	chain := chaintest.New(t)
	c, r := onCloud(t, chain)
	app := r.ID.String()

	info, err := c.Apps.GetKMSInfo(ctx, app)
	require.NoError(t, err)
	assert.True(t, *info.IsOnchainKMS)
	assert.Equal(t, chain.KMS.Hex(), info.KMSContractAddress)
	assert.Equal(t, chain.Address(0).Hex(), info.DeployerAddress)

	allowed, err := c.Apps.CheckAllowed(ctx, app, openapi.CheckAllowedRequest{ComposeHash: r.ComposeHash.String(), DeviceID: openapi.Ptr(r.Devices[0].String())})
	require.NoError(t, err)
	assert.True(t, allowed.IsAllowed)
	other := compose.Sum([]byte("other")).String()
	allowed, err = c.Apps.CheckAllowed(ctx, app, openapi.CheckAllowedRequest{ComposeHash: other, DeviceID: openapi.Ptr(r.Devices[0].String())})
	require.NoError(t, err)
	assert.False(t, allowed.IsAllowed)

	all, err := c.Apps.CheckCVMsAllowed(ctx, app)
	require.NoError(t, err)
	assert.True(t, all.IsOnchain)
	assert.Equal(t, 1, *all.AllowedCount)

	devices, err := c.Apps.GetDeviceAllowlist(ctx, app)
	require.NoError(t, err)
	require.Len(t, devices.Devices, 1)
	assert.Equal(t, r.Devices[0].String(), devices.Devices[0].DeviceID)

	contracts, err := c.KMS.List(ctx, &openapi.KMSListParams{IsOnchain: openapi.Ptr(true)}, client.WithAPIVersion("2026-06-23"))
	require.NoError(t, err)
	require.Len(t, contracts.Items, 1)
	assert.Equal(t, chain.KMS.Hex(), contracts.Items[0].ContractAddress)
}

// What a commit claims is held against the chain.
func TestCloud_BelievesTheChainOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	chain := chaintest.New(t)
	c, r := onCloud(t, chain)
	id := r.CVMs[0].ID

	body := openapi.UpdateCVMRequest{DockerComposeFile: openapi.Ptr("services: {a: {image: b}}\n")}
	_, err := c.CVMs.Update(ctx, id, body, nil)
	require.ErrorIs(t, err, client.ErrHashRegistrationRequired)
	var required *client.HashRegistrationRequired
	require.ErrorAs(t, err, &required)
	assert.False(t, required.OnChainStatus.ComposeHashAllowed)
	assert.True(t, required.OnChainStatus.DeviceIDAllowed)
	hash, err := compose.ParseHash(required.ComposeHash)
	require.NoError(t, err)

	commit := func(tx string) error {
		_, err := c.CVMs.Update(ctx, id, openapi.UpdateCVMRequest{}, &openapi.CVMsUpdateParams{
			ComposeHash: openapi.Ptr(hash.String()), TransactionHash: &tx,
		})
		return err
	}
	require.ErrorIs(t, commit("already-registered"), client.ErrHashNotAllowed)
	opened, err := chain.Open(ctx)
	require.NoError(t, err)
	receipt, err := opened.AddComposeHash(ctx, r.ID, hash)
	require.NoError(t, err)
	require.ErrorIs(t, commit(common.Hash{1}.Hex()), client.ErrTxVerificationFailed, "no such transaction")
	require.ErrorIs(t, commit("0x12"), client.ErrTxVerificationFailed)
	require.ErrorIs(t, commit(chain.Sent()[0].Hex()), client.ErrTxVerificationFailed, "it called another contract")
	require.NoError(t, commit(receipt.Tx.Hex()))
}

func TestCloud_ChecksANewApp(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	chain := chaintest.New(t)
	cloud := phalatest.New(t, phalatest.WithChain(chain.View()))
	c, err := cloud.Client()
	require.NoError(t, err)
	p, err := c.CVMs.Provision(ctx, openapi.ProvisionRequest{
		Name: "web-1", KMSContract: openapi.Ptr(chain.KMS.Hex()),
		ComposeFile: openapi.AppCompose{DockerComposeFile: openapi.Ptr("services: {}\n"), PreLaunchScript: openapi.Ptr("#!/bin/sh\n")},
	})
	require.NoError(t, err)
	assert.Empty(t, p.AppID)
	assert.Empty(t, p.AppEnvEncryptPublicKey)
	create := func(app kms.AppID, deployer common.Address) error {
		_, err := c.CVMs.Create(ctx, openapi.CreateCVMRequest{
			AppID: app.String(), ComposeHash: p.ComposeHash, ContractAddress: openapi.Ptr(app.Address().Hex()), DeployerAddress: openapi.Ptr(deployer.Hex()),
		})
		return err
	}
	require.ErrorIs(t, create(kms.AppID{1}, chain.Address(0)), client.ErrTxVerificationFailed, "the KMS knows no such app")

	opened, err := chain.Open(ctx)
	require.NoError(t, err)
	hash, err := compose.ParseHash(p.ComposeHash)
	require.NoError(t, err)
	device, err := kms.ParseDeviceID(p.DeviceID)
	require.NoError(t, err)
	flow := opened.Flow()
	bare, _, err := flow.DeployApp(ctx, kms.AppContract{ComposeHash: [32]byte{1}, Device: device}, kms.Journal{})
	require.NoError(t, err)
	require.ErrorIs(t, create(bare, chain.Address(0)), client.ErrHashNotAllowed)
	elsewhere, _, err := flow.DeployApp(ctx, kms.AppContract{ComposeHash: hash, Device: kms.DeviceID{2}}, kms.Journal{})
	require.NoError(t, err)
	require.ErrorIs(t, create(elsewhere, chain.Address(0)), client.ErrHashNotAllowed)
	good, _, err := flow.DeployApp(ctx, kms.AppContract{ComposeHash: hash, Device: device}, kms.Journal{})
	require.NoError(t, err)
	require.ErrorIs(t, create(good, chain.Address(1)), client.ErrBadRequest, "deployed by another")
	require.NoError(t, create(good, chain.Address(0)))
	require.NoError(t, create(good, chain.Address(0)), "the same again is the same CVM")
}
