package chaintest

import (
	"context"
	"crypto/ecdsa"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// The compiled contracts of kms/onchain/testdata/solidity.
//
//go:embed contracts.gen.json
var compiled []byte

type contract struct {
	ABI      abi.ABI       `json:"abi"`
	Bytecode hexutil.Bytes `json:"bytecode"`
}

func contracts() (map[string]contract, error) {
	var file struct {
		Contracts map[string]contract `json:"contracts"`
	}
	if err := json.Unmarshal(compiled, &file); err != nil {
		return nil, fmt.Errorf("the compiled contracts: %w", err)
	}
	return file.Contracts, nil
}

// Generation is one of the generations of the contracts.
type Generation int

const (
	// Head is the newest: two-step ownership, PolicyChanged events.
	Head Generation = iota
	// V0511 is between dstack 0.5.11 and the newest: two-step ownership without the events.
	V0511
	// V059 is dstack 0.5.9 to 0.5.11: one-step ownership, the TCB flag.
	V059
	// SixArguments is a commit before dstack 0.5.9 that has the factory with six arguments only.
	SixArguments
	// V054 is dstack 0.5.4 to 0.5.8: one-step ownership, the factory with five arguments only.
	V054
)

func (g Generation) names() (kms, app string, err error) {
	switch g {
	case Head:
		return "DstackKmsHead", "DstackAppHead", nil
	case V0511:
		return "DstackKms0511", "DstackApp0511", nil
	case V059:
		return "DstackKms059", "DstackApp059", nil
	case SixArguments:
		return "DstackKmsSix", "DstackApp059", nil
	case V054:
		return "DstackKms054", "DstackApp054", nil
	}
	return "", "", fmt.Errorf("generation %d is not known", int(g))
}

// setUp deploys the KMS and publishes its root key.
func (c *Chain) setUp(ctx context.Context) error {
	if err := c.readChainID(ctx); err != nil {
		return err
	}
	kmsName, appName, err := c.cfg.generation.names()
	if err != nil {
		return err
	}
	app, err := c.Deploy(ctx, appName)
	if err != nil {
		return err
	}
	implementation, err := c.Deploy(ctx, kmsName)
	if err != nil {
		return err
	}
	k := dstackkms.NewKms()
	if c.KMS, err = c.Deploy(ctx, "Proxy", implementation, k.PackInitialize(c.Address(0), app)); err != nil {
		return err
	}
	_, err = c.Execute(ctx, c.Accounts[0], c.KMS, k.PackSetKmsInfo(dstackkms.KmsInfo{
		K256Pubkey: crypto.CompressPubkey(&c.RootKey.PublicKey), CaPubkey: c.rootCA,
	}))
	return err
}

// Deploy deploys one of the compiled contracts from the first account: "Account" is an owner that is a contract,
// "KmsAuth" a KMS before dstack 0.5.4, "ImpostorApp" an app implementation that imitates the KMS's event,
// "Everything" a contract that returns 1 for every call; "Proxy", and the contracts of the generations, are those
// that New deploys.
func (c *Chain) Deploy(ctx context.Context, name string, args ...any) (common.Address, error) {
	contract, ok := c.contracts[name]
	if !ok {
		return common.Address{}, fmt.Errorf("there is no compiled contract %q", name)
	}
	packed, err := contract.ABI.Constructor.Inputs.Pack(args...)
	if err != nil {
		return common.Address{}, fmt.Errorf("contract %s: %w", name, err)
	}
	receipt, err := c.transact(ctx, c.Accounts[0], nil, nil, append(append([]byte(nil), contract.Bytecode...), packed...))
	if err != nil {
		return common.Address{}, fmt.Errorf("contract %s: %w", name, err)
	}
	return receipt.ContractAddress, nil
}

// Pack encodes a call of one of the compiled contracts.
func (c *Chain) Pack(contract, method string, args ...any) ([]byte, error) {
	return c.contracts[contract].ABI.Pack(method, args...)
}

// Execute sends a call from any key and waits until it is mined. With manual mining it mines a block. It returns an
// error if the call reverts.
func (c *Chain) Execute(ctx context.Context, from *ecdsa.PrivateKey, to common.Address, data []byte) (*types.Receipt, error) {
	return c.transact(ctx, from, &to, nil, data)
}

// IsHashAllowed reports whether the contract of an app allows a compose hash. It bypasses the faults of the endpoint.
func (c *Chain) IsHashAllowed(ctx context.Context, app kms.AppID, hash [32]byte) (bool, error) {
	a := dstackapp.NewApp()
	answer, err := c.View().call(ctx, app.Address(), a.PackAllowedComposeHashes(hash))
	if err != nil {
		return false, err
	}
	return a.UnpackAllowedComposeHashes(answer)
}

// Receipt returns the receipt of a transaction, or nil if it is not mined. It bypasses the faults of the endpoint.
func (c *Chain) Receipt(ctx context.Context, tx common.Hash) (*types.Receipt, error) {
	var receipt *types.Receipt
	err := c.inner.CallContext(ctx, &receipt, "eth_getTransactionReceipt", tx)
	return receipt, err
}

// fund pays new accounts.
func (c *Chain) fund(ctx context.Context, funded *ecdsa.PrivateKey) error {
	for range accounts {
		key, err := crypto.GenerateKey()
		if err != nil {
			return err
		}
		address := crypto.PubkeyToAddress(key.PublicKey)
		if _, err := c.transact(ctx, funded, &address, big.NewInt(1e17), nil); err != nil {
			return err
		}
		c.Accounts = append(c.Accounts, key)
	}
	return nil
}

func (c *Chain) transact(ctx context.Context, from *ecdsa.PrivateKey, to *common.Address, value *big.Int, data []byte) (*types.Receipt, error) {
	sender := crypto.PubkeyToAddress(from.PublicKey)
	var nonce, gas hexutil.Uint64
	var tip, price hexutil.Big
	call := map[string]any{"from": sender, "to": to, "data": hexutil.Bytes(data)}
	if value != nil {
		call["value"] = (*hexutil.Big)(value)
	}
	for _, query := range []struct {
		result any
		method string
		args   []any
	}{
		{&nonce, "eth_getTransactionCount", []any{sender, "pending"}},
		{&gas, "eth_estimateGas", []any{call}},
		{&tip, "eth_maxPriorityFeePerGas", nil},
		{&price, "eth_gasPrice", nil},
	} {
		if err := c.inner.CallContext(ctx, query.result, query.method, query.args...); err != nil {
			return nil, fmt.Errorf("%s: %w", query.method, err)
		}
	}
	id := new(big.Int).SetUint64(c.chainID)
	tx, err := types.SignNewTx(from, types.LatestSignerForChainID(id), &types.DynamicFeeTx{
		ChainID: id, Nonce: uint64(nonce), To: to, Value: value, Data: data, Gas: uint64(gas) + uint64(gas)/4,
		GasTipCap: tip.ToInt(), GasFeeCap: new(big.Int).Lsh(price.ToInt(), 1),
	})
	if err != nil {
		return nil, err
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return nil, err
	}
	if err := c.inner.CallContext(ctx, nil, "eth_sendRawTransaction", hexutil.Bytes(raw)); err != nil {
		return nil, err
	}
	if c.sim != nil {
		if err := c.Mine(1); err != nil {
			return nil, err
		}
	}
	for {
		receipt, err := c.Receipt(ctx, tx.Hash())
		if err != nil {
			return nil, err
		}
		if receipt != nil && receipt.Status != types.ReceiptStatusSuccessful {
			return nil, errors.New("the transaction failed")
		}
		if receipt != nil {
			return receipt, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
