package chaintest

import (
	"context"
	"crypto/ecdsa"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// View is the chain as a cloud sees it, without a client between and without the faults of the endpoint:
// what phalatest.WithChain takes.
type View struct{ chain *Chain }

// View gives the chain as a cloud sees it.
func (c *Chain) View() View { return View{c} }

// ChainID is the EIP-155 id of the chain.
func (v View) ChainID() uint64 { return v.chain.chainID }

// KMSContract is the address of the KMS's contract.
func (v View) KMSContract() common.Address { return v.chain.KMS }

// KMSKey is the root key of the KMS.
func (v View) KMSKey() *ecdsa.PrivateKey { return v.chain.RootKey }

// KMSRootCA is the public key of the root CA of the KMS.
func (v View) KMSRootCA() []byte { return v.chain.rootCA }

func (v View) call(ctx context.Context, to common.Address, data []byte) ([]byte, error) {
	var answer hexutil.Bytes
	err := v.chain.inner.CallContext(ctx, &answer, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, "latest")
	return answer, err
}

// App reads whether the KMS knows an app, and who deployed and who owns its contract. The deployer is zero
// where the contract was not deployed through the factory of the KMS.
func (v View) App(ctx context.Context, app kms.AppID) (known bool, deployer, owner common.Address, err error) {
	k, a := dstackkms.NewKms(), dstackapp.NewApp()
	answer, err := v.call(ctx, v.chain.KMS, k.PackRegisteredApps(app.Address()))
	if err != nil {
		return false, deployer, owner, err
	}
	if known, err = k.UnpackRegisteredApps(answer); err != nil || !known {
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
	err = v.chain.inner.CallContext(ctx, &logs, "eth_getLogs", map[string]any{
		"fromBlock": "0x0", "toBlock": "latest", "address": v.chain.KMS,
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

// Allowed reads what the contract of an app allows.
func (v View) Allowed(ctx context.Context, app kms.AppID, hash, device [32]byte) (hashOK, deviceOK, anyDevice bool, err error) {
	a := dstackapp.NewApp()
	for _, read := range []struct {
		into   *bool
		data   []byte
		unpack func([]byte) (bool, error)
	}{
		{&hashOK, a.PackAllowedComposeHashes(hash), a.UnpackAllowedComposeHashes},
		{&deviceOK, a.PackAllowedDeviceIds(device), a.UnpackAllowedDeviceIds},
		{&anyDevice, a.PackAllowAnyDevice(), a.UnpackAllowAnyDevice},
	} {
		answer, err := v.call(ctx, app.Address(), read.data)
		if err != nil {
			return false, false, false, err
		}
		if *read.into, err = read.unpack(answer); err != nil {
			return false, false, false, err
		}
	}
	return hashOK, deviceOK, anyDevice, nil
}

// Transaction reads whether a transaction is mined and has worked, and what it called.
func (v View) Transaction(ctx context.Context, tx common.Hash) (mined, worked bool, to common.Address, err error) {
	receipt, err := v.chain.Receipt(ctx, tx)
	if err != nil || receipt == nil {
		return false, false, to, err
	}
	var sent struct {
		To *common.Address `json:"to"`
	}
	if err := v.chain.inner.CallContext(ctx, &sent, "eth_getTransactionByHash", tx); err != nil {
		return false, false, to, err
	}
	if sent.To != nil {
		to = *sent.To
	}
	return true, receipt.Status == types.ReceiptStatusSuccessful, to, nil
}
