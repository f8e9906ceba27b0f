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
	RootKey(ctx context.Context) (kms.Signer, error)
	RootCA(ctx context.Context) ([]byte, error)
	Allowed(ctx context.Context, app kms.AppID, hash, device [32]byte) (hashOK, deviceOK bool, owner common.Address, err error)
	DeployApp(ctx context.Context, owner common.Address, hash, device [32]byte, anyDevice, requireTCB bool, saved []byte, save func([]byte) error) (kms.AppID, common.Hash, error)
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, saved []byte, save func([]byte) error) (common.Hash, error)
	AddDevice(ctx context.Context, app kms.AppID, device [32]byte, saved []byte, save func([]byte) error) (common.Hash, error)
	Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (kms.AppID, error)
}

var _ plainChain = onchain.Flow{}

func TestFlow(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	var flow plainChain = open(t, c).Flow()
	assert.Equal(t, c.Contract(), onchain.Contract{ChainID: flow.ChainID(), Address: flow.KMS()})
	root, err := flow.RootKey(ctx)
	require.NoError(t, err)
	assert.Equal(t, c.Root(), root)
	ca, err := flow.RootCA(ctx)
	require.NoError(t, err)
	assert.Equal(t, c.View().KMSRootCA(), ca)

	var saved []byte
	save := func(data []byte) error { saved = data; return nil }
	app, tx, err := flow.DeployApp(ctx, flow.Sender(), hash1, device1, false, true, nil, save)
	require.NoError(t, err)
	again, txAgain, err := flow.DeployApp(ctx, flow.Sender(), hash1, device1, false, true, saved, save)
	require.NoError(t, err)
	assert.Equal(t, app, again)
	assert.Equal(t, tx, txAgain)
	again, err = flow.Deployed(ctx, tx, flow.Sender())
	require.NoError(t, err)
	assert.Equal(t, app, again)

	tx, err = flow.AddComposeHash(ctx, app, hash2, nil, nil)
	require.NoError(t, err)
	assert.NotZero(t, tx)
	tx, err = flow.AddComposeHash(ctx, app, hash2, nil, nil)
	require.NoError(t, err)
	assert.Zero(t, tx)
	_, err = flow.AddDevice(ctx, app, device2, nil, save)
	require.NoError(t, err)
	hashOK, deviceOK, owner, err := flow.Allowed(ctx, app, hash2, device2)
	require.NoError(t, err)
	assert.True(t, hashOK && deviceOK)
	assert.Equal(t, flow.Sender(), owner)
	_, err = flow.AddDevice(ctx, app, [32]byte{9}, []byte("{"), nil)
	require.ErrorContains(t, err, "intent")
	_, err = flow.AddDevice(ctx, app, [32]byte{9}, saved, nil)
	require.ErrorContains(t, err, "the intent to resume")
}
