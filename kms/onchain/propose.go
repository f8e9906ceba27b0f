package onchain

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// Proposal is what an owner that is a contract (a Safe, a timelock) shall execute. It holds no transaction and
// no signature.
type Proposal struct {
	ChainID uint64 `json:"chain_id"`
	// From is the contract that shall make the calls.
	From  common.Address `json:"from"`
	Calls []Call         `json:"calls"`
}

// Propose tries each call as from would make it, and gives them as a proposal; it sends nothing and needs no
// signer. Calls are tried one by one, on the newest block: one that needs another of the same proposal done
// before it fails. The error is a [*RevertError] or a [*ContractError].
func (c *Chain) Propose(ctx context.Context, from common.Address, calls ...Call) (*Proposal, error) {
	if from == (common.Address{}) || len(calls) == 0 {
		return nil, errors.New("propose: want the address that shall execute, and at least one call")
	}
	for _, call := range calls {
		var code, result hexutil.Bytes
		if err := c.rpc.CallContext(ctx, &code, "eth_getCode", call.To, "latest"); err != nil {
			return nil, withoutAddress(err)
		}
		if len(code) == 0 {
			return nil, &ContractError{call.To, ErrNoCode}
		}
		args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
		if err := c.rpc.CallContext(ctx, &result, "eth_call", args, "latest"); err != nil {
			return nil, revert(call, err)
		}
	}
	return &Proposal{ChainID: c.contract.ChainID, From: from, Calls: calls}, nil
}

// SafeBatch is the proposal as a batch file of the Safe transaction builder, which a signer of the Safe loads
// and checks there. created is the time that it shows.
func (p *Proposal) SafeBatch(name string, created time.Time) ([]byte, error) {
	batch := safeBatch{
		Version: "1.0", ChainID: strconv.FormatUint(p.ChainID, 10), CreatedAt: created.UnixMilli(),
		Meta: safeMeta{Name: name, CreatedFrom: p.From.Hex()},
	}
	for i, call := range p.Calls {
		if i > 0 {
			batch.Meta.Description += "; "
		}
		batch.Meta.Description += call.Description
		batch.Transactions = append(batch.Transactions, safeTransaction{To: call.To.Hex(), Value: call.value().String(), Data: call.Data})
	}
	return json.MarshalIndent(batch, "", "  ")
}

// The format is that of the transaction builder's own exports, version 1.0.
type safeBatch struct {
	Version      string            `json:"version"`
	ChainID      string            `json:"chainId"`
	CreatedAt    int64             `json:"createdAt"`
	Meta         safeMeta          `json:"meta"`
	Transactions []safeTransaction `json:"transactions"`
}

type safeMeta struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	CreatedFrom string `json:"createdFromSafeAddress"`
}

type safeTransaction struct {
	To    string        `json:"to"`
	Value string        `json:"value"`
	Data  hexutil.Bytes `json:"data"`
	// Both are null where the calldata is given as it is.
	Method *struct{} `json:"contractMethod"`
	Inputs *struct{} `json:"contractInputsValues"`
}
