package chaintest

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Wallet is a contract that owns apps, like a Safe. If enough of its owners have approved a batch of calls, anybody can
// execute it, completely or not at all. It accepts the batch files of the Safe transaction builder.
type Wallet struct {
	Address common.Address
	chain   *Chain
}

// DeployWallet deploys a wallet with a threshold of approvals.
func (c *Chain) DeployWallet(ctx context.Context, threshold int, owners ...*ecdsa.PrivateKey) (*Wallet, error) {
	addresses := make([]common.Address, len(owners))
	for i, owner := range owners {
		addresses[i] = crypto.PubkeyToAddress(owner.PublicKey)
	}
	address, err := c.Deploy(ctx, "Wallet", addresses, big.NewInt(int64(threshold)))
	if err != nil {
		return nil, err
	}
	return &Wallet{Address: address, chain: c}, nil
}

// Approve approves a batch file as one of the owners. It uses the displayed values of the file.
func (w *Wallet) Approve(ctx context.Context, owner *ecdsa.PrivateKey, batch []byte) error {
	calls, err := w.calls(batch)
	if err != nil {
		return err
	}
	data, err := w.chain.Pack("Wallet", "hashOf", calls)
	if err != nil {
		return err
	}
	hash, err := w.chain.View().call(ctx, w.Address, data)
	if err != nil {
		return err
	}
	if data, err = w.chain.Pack("Wallet", "approve", [32]byte(common.BytesToHash(hash))); err != nil {
		return err
	}
	_, err = w.chain.Execute(ctx, owner, w.Address, data)
	return err
}

// Execute makes the calls of a batch file that enough owners approved. Any account may send it.
func (w *Wallet) Execute(ctx context.Context, from *ecdsa.PrivateKey, batch []byte) (*types.Receipt, error) {
	calls, err := w.calls(batch)
	if err != nil {
		return nil, err
	}
	data, err := w.chain.Pack("Wallet", "execute", calls)
	if err != nil {
		return nil, err
	}
	return w.chain.Execute(ctx, from, w.Address, data)
}

// walletCall is a call in the ABI of the wallet.
type walletCall struct {
	To    common.Address
	Value *big.Int
	Data  []byte
}

// calls reads a batch file. It returns an error if the file is for another chain or wallet.
func (w *Wallet) calls(file []byte) ([]walletCall, error) {
	var batch struct {
		Version string `json:"version"`
		ChainID string `json:"chainId"`
		Meta    struct {
			From common.Address `json:"createdFromSafeAddress"`
		} `json:"meta"`
		Transactions []batchCall `json:"transactions"`
	}
	if err := json.Unmarshal(file, &batch); err != nil {
		return nil, fmt.Errorf("batch file: %w", err)
	}
	switch {
	case batch.Version != "1.0":
		return nil, fmt.Errorf("batch file of version %q, want 1.0", batch.Version)
	case batch.ChainID != fmt.Sprint(w.chain.chainID):
		return nil, fmt.Errorf("batch file for chain %q, want %d", batch.ChainID, w.chain.chainID)
	case batch.Meta.From != w.Address:
		return nil, fmt.Errorf("batch file for %s, want %s", batch.Meta.From, w.Address)
	case len(batch.Transactions) == 0:
		return nil, errors.New("batch file without a transaction")
	}
	calls := make([]walletCall, len(batch.Transactions))
	for i, tx := range batch.Transactions {
		data, err := tx.encode()
		if err != nil {
			return nil, fmt.Errorf("batch file: transaction %d: %w", i, err)
		}
		value, ok := new(big.Int).SetString(tx.Value, 10)
		if !ok {
			return nil, fmt.Errorf("batch file: transaction %d: value %.40q", i, tx.Value)
		}
		calls[i] = walletCall{tx.To, value, data}
	}
	return calls, nil
}

// batchCall is a transaction of a batch file: a function with values, or data.
type batchCall struct {
	To     common.Address `json:"to"`
	Value  string         `json:"value"`
	Data   *hexutil.Bytes `json:"data"`
	Method *struct {
		Name   string `json:"name"`
		Inputs []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"inputs"`
	} `json:"contractMethod"`
	Values map[string]string `json:"contractInputsValues"`
}

func (b batchCall) encode() ([]byte, error) {
	if b.Data != nil {
		return *b.Data, nil
	}
	if b.Method == nil {
		return nil, errors.New("neither data nor a function")
	}
	var inputs abi.Arguments
	var values []any
	for _, in := range b.Method.Inputs {
		kind, err := abi.NewType(in.Type, "", nil)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, abi.Argument{Name: in.Name, Type: kind})
		switch text := b.Values[in.Name]; {
		case in.Type == "address" && common.IsHexAddress(text):
			values = append(values, common.HexToAddress(text))
		case in.Type == "bool" && (text == "true" || text == "false"):
			values = append(values, text == "true")
		case in.Type == "bytes32" && len(text) == 66:
			values = append(values, [32]byte(common.HexToHash(text)))
		default:
			return nil, fmt.Errorf("%s: %.80q is no %s", in.Name, text, in.Type)
		}
	}
	packed, err := inputs.Pack(values...)
	if err != nil {
		return nil, err
	}
	return append(abi.NewMethod(b.Method.Name, b.Method.Name, abi.Function, "nonpayable", false, false, inputs, nil).ID, packed...), nil
}
