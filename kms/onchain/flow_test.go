package onchain_test

import (
	"context"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// plainChain is what a package that does not import onchain can ask for.
type plainChain interface {
	ChainID() uint64
	KMS() common.Address
	Sender() common.Address
	RootKey(ctx context.Context) (kms.RootKey, error)
	RootCA(ctx context.Context) ([]byte, error)
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	DeployApp(ctx context.Context, spec kms.AppContract, j kms.Journal) (kms.AppID, common.Hash, error)
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error)
	RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error)
	AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error)
	RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error)
	Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (kms.AppID, error)
}

var _ plainChain = onchain.Flow{}

func TestFlow(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	var flow plainChain = open(t, c).Flow()
	assert.Equal(t, onchain.Contract{ChainID: flow.ChainID(), Address: flow.KMS()}, c.Contract())
	root, err := flow.RootKey(ctx)
	require.NoError(t, err)
	assert.Equal(t, c.Root(), root)
	ca, err := flow.RootCA(ctx)
	require.NoError(t, err)
	assert.Equal(t, c.View().KMSRootCA(), ca)

	var saved []byte
	save := func(data []byte) error { saved = data; return nil }
	spec := kms.AppContract{ComposeHash: hash1, Device: device1, RequireTCBUpToDate: true}
	app, tx, err := flow.DeployApp(ctx, spec, kms.Journal{Save: save})
	require.NoError(t, err)
	again, txAgain, err := flow.DeployApp(ctx, spec, kms.Journal{Saved: saved, Save: save})
	require.NoError(t, err)
	assert.Equal(t, app, again)
	assert.Equal(t, tx, txAgain)
	again, err = flow.Deployed(ctx, tx, flow.Sender())
	require.NoError(t, err)
	assert.Equal(t, app, again)

	tx, err = flow.AddComposeHash(ctx, app, hash2, kms.Journal{})
	require.NoError(t, err)
	assert.NotZero(t, tx)
	tx, err = flow.AddComposeHash(ctx, app, hash2, kms.Journal{})
	require.NoError(t, err)
	assert.Zero(t, tx)
	_, err = flow.AddDevice(ctx, app, device2, kms.Journal{Save: save})
	require.NoError(t, err)
	allowed, err := flow.Allowance(ctx, app, hash2, device2)
	require.NoError(t, err)
	assert.True(t, allowed.OK() && *allowed.RequireTCBUpToDate)
	assert.Equal(t, flow.Sender(), allowed.Owner)
	_, err = flow.AddDevice(ctx, app, kms.DeviceID{9}, kms.Journal{Saved: []byte("{")})
	require.ErrorContains(t, err, "intent")
	_, err = flow.AddDevice(ctx, app, kms.DeviceID{9}, kms.Journal{Saved: saved})
	require.ErrorContains(t, err, "the intent to resume")
	tx, err = flow.RemoveDevice(ctx, app, device2, kms.Journal{})
	require.NoError(t, err)
	assert.NotZero(t, tx)
	tx, err = flow.RemoveComposeHash(ctx, app, hash2, kms.Journal{})
	require.NoError(t, err)
	assert.NotZero(t, tx)
	allowed, err = flow.Allowance(ctx, app, hash2, device2)
	require.NoError(t, err)
	assert.False(t, allowed.ComposeHash || allowed.Device)
}
