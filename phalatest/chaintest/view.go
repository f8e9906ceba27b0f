package chaintest

import (
	"context"
	"crypto/ecdsa"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// View reads a chain as a cloud does, without the faults of the endpoint. It is the argument of phalatest.WithChain.
type View struct {
	rpc      onchain.RPC
	contract onchain.Contract
	rootKey  *ecdsa.PrivateKey
	rootCA   []byte
}

// View returns the chain as a cloud reads it.
func (c *Chain) View() View {
	return View{c.inner, onchain.Contract{ChainID: c.chainID, Address: c.KMS}, c.RootKey, c.rootCA}
}

// ViewOf returns an external chain as a cloud reads it, so that a fake cloud works with existing contracts. The fake cloud
// is their KMS: rootKey is its root key, and rootCA the public key of its CA.
func ViewOf(rpc onchain.RPC, contract onchain.Contract, rootKey *ecdsa.PrivateKey, rootCA []byte) View {
	return View{rpc, contract, rootKey, rootCA}
}

// ChainID returns the EIP-155 id of the chain.
func (v View) ChainID() uint64 { return v.contract.ChainID }

// KMSContract returns the address of the KMS's contract.
func (v View) KMSContract() common.Address { return v.contract.Address }

// KMSKey returns the root key of the KMS.
func (v View) KMSKey() *ecdsa.PrivateKey { return v.rootKey }

// KMSRootCA returns the public key of the root CA of the KMS.
func (v View) KMSRootCA() []byte { return v.rootCA }

func (v View) call(ctx context.Context, to common.Address, data []byte) ([]byte, error) {
	var answer hexutil.Bytes
	err := v.rpc.CallContext(ctx, &answer, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, "latest")
	return answer, err
}

// App reads whether the KMS has registered an app, and the deployer and owner of its contract. The deployer is zero
// if the contract was not deployed through the factory of the KMS.
func (v View) App(ctx context.Context, app kms.AppID) (registered bool, deployer, owner common.Address, err error) {
	k, a := dstackkms.NewKms(), dstackapp.NewApp()
	answer, err := v.call(ctx, v.contract.Address, k.PackRegisteredApps(app.Address()))
	if err != nil {
		return false, deployer, owner, err
	}
	if registered, err = k.UnpackRegisteredApps(answer); err != nil || !registered {
		return false, deployer, owner, err
	}
	if answer, err = v.call(ctx, app.Address(), a.PackOwner()); err != nil {
		return false, deployer, owner, err
	}
	if owner, err = a.UnpackOwner(answer); err != nil {
		return false, deployer, owner, err
	}
	deployed := crypto.Keccak256Hash([]byte("AppDeployedViaFactory(address,address)"))
	var logs []types.Log
	err = v.rpc.CallContext(ctx, &logs, "eth_getLogs", map[string]any{
		"fromBlock": "0x0", "toBlock": "latest", "address": v.contract.Address,
		"topics": []common.Hash{deployed, common.BytesToHash(app[:])},
	})
	if err != nil {
		return false, deployer, owner, err
	}
	for _, log := range logs {
		if len(log.Topics) == 3 {
			deployer = common.BytesToAddress(log.Topics[2][:])
		}
	}
	return true, deployer, owner, nil
}

// Allowance reads what the contract of an app allows.
func (v View) Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (out kms.Allowance, err error) {
	a := dstackapp.NewApp()
	for _, read := range []struct {
		into   *bool
		data   []byte
		unpack func([]byte) (bool, error)
	}{
		{&out.ComposeHash, a.PackAllowedComposeHashes(hash), a.UnpackAllowedComposeHashes},
		{&out.Device, a.PackAllowedDeviceIds(device), a.UnpackAllowedDeviceIds},
		{&out.AnyDevice, a.PackAllowAnyDevice(), a.UnpackAllowAnyDevice},
	} {
		answer, err := v.call(ctx, app.Address(), read.data)
		if err != nil {
			return kms.Allowance{}, err
		}
		if *read.into, err = read.unpack(answer); err != nil {
			return kms.Allowance{}, err
		}
	}
	answer, err := v.call(ctx, app.Address(), a.PackOwner())
	if err != nil {
		return kms.Allowance{}, err
	}
	if out.Owner, err = a.UnpackOwner(answer); err != nil {
		return kms.Allowance{}, err
	}
	// Contracts before dstack 0.5.9 do not have the flag.
	if answer, err := v.call(ctx, app.Address(), a.PackRequireTcbUpToDate()); err == nil {
		if required, err := a.UnpackRequireTcbUpToDate(answer); err == nil {
			out.RequireTCBUpToDate = &required
		}
	}
	return out, nil
}

// Transaction reads whether a transaction is mined and succeeded, and which contract it called.
func (v View) Transaction(ctx context.Context, tx common.Hash) (mined, succeeded bool, to common.Address, err error) {
	var receipt *types.Receipt
	if err := v.rpc.CallContext(ctx, &receipt, "eth_getTransactionReceipt", tx); err != nil || receipt == nil {
		return false, false, to, err
	}
	var sent struct {
		To common.Address `json:"to"`
	}
	if err := v.rpc.CallContext(ctx, &sent, "eth_getTransactionByHash", tx); err != nil {
		return false, false, to, err
	}
	return true, receipt.Status == types.ReceiptStatusSuccessful, sent.To, nil
}
