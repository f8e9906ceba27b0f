package onchain

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
)

// What the transaction builder 1.18.2 exported: an allowance of a token on Ethereum.
const exportedBatch = `{"version":"1.0","chainId":"1","createdAt":1761326849944,"meta":{"name":"Transactions Batch","description":"","txBuilderVersion":"1.18.2","createdFromSafeAddress":"0xA77DE01e157f9f57C7c4A326eeE9C4874D0598b6","createdFromOwnerAddress":"","checksum":"0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989"},"transactions":[{"to":"0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48","value":"0","data":null,"contractMethod":{"inputs":[{"internalType":"address","name":"spender","type":"address"},{"internalType":"uint256","name":"value","type":"uint256"}],"name":"approve","payable":false},"contractInputsValues":{"spender":"0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8","value":"100000000000"}}]}`

func TestSafeChecksum_OfAnExportedBatch(t *testing.T) {
	t.Parallel()
	sum, err := safeChecksum([]byte(exportedBatch))
	require.NoError(t, err)
	assert.Equal(t, "0x8b5032f716845c8b08bab3d63dbd9ba92e056f3557793cd041e59b84e16aa989", sum)
	for _, changed := range []string{"100000000001", "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C9", "transfer"} {
		old := map[string]string{"100000000001": "100000000000", "transfer": "approve"}[changed]
		if old == "" {
			old = "0x474e5Ded6b5D078163BFB8F6dBa355C3aA5478C8"
		}
		other, err := safeChecksum(bytes.Replace([]byte(exportedBatch), []byte(old), []byte(changed), 1))
		require.NoError(t, err)
		assert.NotEqual(t, sum, other)
	}
	renamed, err := safeChecksum(bytes.Replace([]byte(exportedBatch), []byte("Transactions Batch"), []byte("another name"), 1))
	require.NoError(t, err)
	assert.Equal(t, sum, renamed, "the name does not count")
	for _, broken := range []string{"", "{}", "[]", `{"meta":1}`} {
		_, err := safeChecksum([]byte(broken))
		require.Error(t, err, broken)
	}
}

// What the builder encodes from names and values is the data of the call, for every call of this package.
func TestSafeBatch_ValuesEncodeToTheCall(t *testing.T) {
	t.Parallel()
	app, owner := kms.AppID{1}, common.Address{2}
	c := &Chain{contract: Contract{8453, common.Address{3}}, version: ContractVersion{App: 2, PlainFactory: true, TCBFactory: true}}
	var calls []Call
	for _, make := range []func() (Call, error){
		func() (Call, error) { return AddComposeHashCall(app, [32]byte{4}) },
		func() (Call, error) { return RemoveComposeHashCall(app, [32]byte{4}) },
		func() (Call, error) { return AddDeviceCall(app, kms.DeviceID{5}) },
		func() (Call, error) { return RemoveDeviceCall(app, kms.DeviceID{5}) },
		func() (Call, error) { return SetAllowAnyDeviceCall(app, true) },
		func() (Call, error) { return SetRequireTCBUpToDateCall(app, false) },
		func() (Call, error) { return DisableUpgradesCall(app) },
		func() (Call, error) { return TransferOwnershipCall(app.Address(), owner) },
		func() (Call, error) { return AcceptOwnershipCall(app.Address()) },
		func() (Call, error) {
			return c.DeployAppCall(kms.AppContract{Owner: owner, ComposeHash: [32]byte{4}, AllowAnyDevice: true})
		},
		func() (Call, error) {
			return c.DeployAppCall(kms.AppContract{Owner: owner, ComposeHash: [32]byte{4}, Device: kms.DeviceID{5}, RequireTCBUpToDate: true, DisableUpgrades: true})
		},
	} {
		call, err := make()
		require.NoError(t, err)
		calls = append(calls, call)
	}
	proposal := Proposal{ChainID: 8453, From: owner, Calls: calls}
	file, err := proposal.SafeBatch("<all> & \u2028 more", time.UnixMilli(1))
	require.NoError(t, err)
	var batch safeBatch
	require.NoError(t, json.Unmarshal(file, &batch))
	sum, err := safeChecksum(file)
	require.NoError(t, err)
	assert.Equal(t, sum, batch.Meta.Checksum, "as the builder computes it from the file")
	assert.Contains(t, batch.Meta.Description, "WARNING: the contract can never be upgraded again")
	require.Len(t, batch.Transactions, len(calls))
	for i, tx := range batch.Transactions {
		assert.Nil(t, tx.Data, calls[i].Description)
		require.NotNil(t, tx.Method, calls[i].Description)
		assert.False(t, tx.Method.Payable)
		assert.Equal(t, []byte(calls[i].Data), encodeAsBuilder(t, tx), calls[i].Description)
	}
}

// encodeAsBuilder encodes a transaction from its names and values alone.
func encodeAsBuilder(t *testing.T, tx safeTransaction) []byte {
	t.Helper()
	var inputs abi.Arguments
	var values []any
	for _, in := range tx.Method.Inputs {
		kind, err := abi.NewType(in.Type, in.InternalType, nil)
		require.NoError(t, err)
		inputs = append(inputs, abi.Argument{Name: in.Name, Type: kind})
		text := tx.Values[in.Name]
		switch in.Type {
		case "address":
			require.True(t, common.IsHexAddress(text))
			values = append(values, common.HexToAddress(text))
		case "bool":
			require.Contains(t, []string{"true", "false"}, text)
			values = append(values, text == "true")
		case "bytes32":
			require.Len(t, text, 66)
			values = append(values, [32]byte(common.HexToHash(text)))
		default:
			t.Fatalf("type %s", in.Type)
		}
	}
	method := abi.NewMethod(tx.Method.Name, tx.Method.Name, abi.Function, "nonpayable", false, false, inputs, nil)
	packed, err := inputs.Pack(values...)
	require.NoError(t, err)
	return append(method.ID, packed...)
}

// A call that is none of the contracts' is shown as data, not guessed at.
func TestSafeBatch_UnknownCallIsData(t *testing.T) {
	t.Parallel()
	for _, data := range []hexutil.Bytes{{1, 2, 3, 4}, {}, append(hexutil.Bytes{0x4f, 0x1e, 0xf2, 0x86}, make([]byte, 96)...)} {
		tx, err := safeTransactionOf(Call{Data: data})
		require.NoError(t, err)
		assert.Nil(t, tx.Method)
		assert.Equal(t, data, *tx.Data)
	}
	call, err := AddComposeHashCall(kms.AppID{1}, [32]byte{1})
	require.NoError(t, err)
	call.Data = append(call.Data, 7)
	_, err = safeTransactionOf(call)
	require.ErrorContains(t, err, "not what its values encode to")
}
