package chaintest_test

import (
	"encoding/json"
	"testing"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// TestMain finds goroutines that are left over. Two kinds are of the simulated node: one ends some seconds
// after the node, the other is for the whole process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain"),
		goleak.IgnoreAnyFunction("github.com/ethereum/go-ethereum/core.(*txSenderCacher).cache"),
	)
}

func deploy(t *testing.T, c *chaintest.Chain) *onchain.Deployment {
	t.Helper()
	chain, err := c.Open(t.Context())
	require.NoError(t, err)
	done, err := chain.DeployApp(t.Context(), kms.AppContract{ComposeHash: [32]byte{1}, AllowAnyDevice: true, RequireTCBUpToDate: true})
	require.NoError(t, err)
	return done
}

// The contracts decide in the documented order, with the documented words.
func TestDecisions(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	app := deploy(t, c).App
	k, a := dstackkms.NewKms(), dstackapp.NewApp()
	boot := dstackkms.AppBootInfo{AppId: app.Address()}
	ask := func(method string, change func(*dstackkms.AppBootInfo)) string {
		change(&boot)
		data := k.PackIsAppAllowed(boot)
		if method == "isKmsAllowed" {
			data = k.PackIsKmsAllowed(boot)
		}
		var answer hexutil.Bytes
		require.NoError(t, c.CallContext(ctx, &answer, "eth_call", map[string]any{"to": c.KMS, "data": hexutil.Bytes(data)}, "latest"))
		out, err := k.UnpackIsAppAllowed(answer)
		require.NoError(t, err)
		require.Equal(t, out.Reason == "", out.IsAllowed)
		return out.Reason
	}
	execute := func(to kms.AppID, data []byte) {
		_, err := c.Execute(ctx, c.Accounts[0], to.Address(), data)
		require.NoError(t, err)
	}
	contract := kms.AppID(c.KMS)
	same := func(*dstackkms.AppBootInfo) {}

	assert.Equal(t, "App not registered", ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.AppId[0] ^= 1 }))
	assert.Equal(t, "OS image is not allowed", ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.AppId[0] ^= 1; b.OsImageHash = [32]byte{5} }))
	execute(contract, k.PackAddOsImageHash([32]byte{5}))
	assert.Equal(t, "TCB status is not up to date", ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.TcbStatus = "uptodate" }))
	assert.Equal(t, "Compose hash not allowed", ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.TcbStatus = "UpToDate" }))
	assert.Empty(t, ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.ComposeHash = [32]byte{1} }))
	execute(app, a.PackSetAllowAnyDevice(false))
	assert.Equal(t, "Device not allowed", ask("isAppAllowed", same))
	execute(app, a.PackAddDevice([32]byte{}))
	assert.Empty(t, ask("isAppAllowed", same))
	execute(app, a.PackRemoveDevice([32]byte{}))
	assert.Equal(t, "Device not allowed", ask("isAppAllowed", same))

	assert.Equal(t, "Aggregated MR not allowed", ask("isKmsAllowed", same))
	execute(contract, k.PackAddKmsAggregatedMr([32]byte{}))
	assert.Equal(t, "KMS is not allowed to boot on this device", ask("isKmsAllowed", same))
	execute(contract, k.PackAddKmsDevice([32]byte{}))
	assert.Empty(t, ask("isKmsAllowed", same))
	execute(contract, k.PackRegisterApp(c.Address(3)))
	assert.Equal(t, "App not deployed or invalid address", ask("isAppAllowed", func(b *dstackkms.AppBootInfo) { b.AppId = c.Address(3) }))
}

func TestRequires(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	app := deploy(t, c).App
	k, a := dstackkms.NewKms(), dstackapp.NewApp()
	implementation, err := c.Deploy(ctx, "DstackAppHead")
	require.NoError(t, err)
	execute := func(contract kms.AppID, data []byte, want string) {
		t.Helper()
		_, err := c.Execute(ctx, c.Accounts[0], contract.Address(), data)
		if want == "" {
			require.NoError(t, err)
			return
		}
		require.ErrorContains(t, err, want)
	}
	execute(kms.AppID(c.KMS), k.PackRegisterApp([20]byte{}), "Invalid app ID")
	execute(kms.AppID(c.KMS), k.PackSetAppImplementation([20]byte{}), "Invalid implementation address")
	execute(kms.AppID(c.KMS), k.PackDeployAndRegisterApp([20]byte{}, false, true, [32]byte{}, [32]byte{}), "Invalid owner address")
	execute(kms.AppID(c.KMS), k.PackInitialize(c.Address(0), implementation), "reverted")
	execute(app, a.PackUpgradeToAndCall(implementation, nil), "")
	execute(app, a.PackUpgradeToAndCall(c.Address(1), nil), "reverted")
	execute(app, a.PackDisableUpgrades(), "")
	execute(app, a.PackUpgradeToAndCall(implementation, nil), "Upgrades are permanently disabled")
	_, err = c.Deploy(ctx, "NoSuchContract")
	require.ErrorContains(t, err, "NoSuchContract")
}

func TestReorg(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	done := deploy(t, c)
	tx := done.Receipt.Tx
	require.NoError(t, c.Reorg(1))
	moved, err := c.Receipt(ctx, tx)
	require.NoError(t, err)
	require.NotNil(t, moved)
	assert.NotEqual(t, done.Receipt.BlockHash, moved.BlockHash)
	require.NoError(t, c.ReorgDropping(1))
	lost, err := c.Receipt(ctx, tx)
	require.NoError(t, err)
	assert.Nil(t, lost)
	require.NoError(t, c.Mine(2))
	lost, err = c.Receipt(ctx, tx)
	require.NoError(t, err)
	assert.Nil(t, lost, "it is not in the pool either")
	require.Error(t, c.Reorg(1000))
	require.Error(t, c.Reorg(0))
}

func TestManualMiningAndDrop(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t, chaintest.WithManualMining())
	ctx := t.Context()
	chain, err := c.Open(ctx)
	require.NoError(t, err)
	call, err := chain.DeployAppCall(kms.AppContract{Owner: c.Address(0), ComposeHash: [32]byte{1}, AllowAnyDevice: true})
	require.NoError(t, err)
	intent, err := chain.Prepare(ctx, call)
	require.NoError(t, err)
	send := func() {
		require.NoError(t, c.CallContext(ctx, nil, "eth_sendRawTransaction", intent.Transactions[0].Raw))
	}
	send()
	require.NoError(t, c.Drop())
	require.NoError(t, c.Mine(1))
	receipt, err := c.Receipt(ctx, intent.Transactions[0].Hash)
	require.NoError(t, err)
	assert.Nil(t, receipt)
	send()
	require.NoError(t, c.Mine(1))
	receipt, err = c.Receipt(ctx, intent.Transactions[0].Hash)
	require.NoError(t, err)
	assert.NotNil(t, receipt)
	assert.Len(t, c.Sent(), 1)
}

func TestLag(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	ctx := t.Context()
	done := deploy(t, c)
	ask := func(result any, method string, params ...any) {
		t.Helper()
		require.NoError(t, c.CallContext(ctx, result, method, params...))
	}
	var number, behind string
	ask(&number, "eth_blockNumber")
	c.Lag(1)
	ask(&behind, "eth_blockNumber")
	assert.NotEqual(t, number, behind)
	var receipt json.RawMessage
	ask(&receipt, "eth_getTransactionReceipt", done.Receipt.Tx)
	assert.Equal(t, "null", string(receipt))
	var code string
	ask(&code, "eth_getCode", done.App.Address(), "latest")
	assert.Equal(t, "0x", code)
	var logs []json.RawMessage
	ask(&logs, "eth_getLogs", map[string]any{"fromBlock": number, "toBlock": "latest", "address": c.KMS})
	assert.Empty(t, logs)
	c.Lag(0)
	ask(&logs, "eth_getLogs", map[string]any{"fromBlock": number, "toBlock": "latest", "address": c.KMS})
	assert.NotEmpty(t, logs)
}
