package onchain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// Backend is the interface of go-ethereum's clients: *ethclient.Client, the Client of package simulated, and most
// implementations of bind.ContractBackend, which by itself has neither receipts nor balances.
type Backend interface {
	ethereum.ChainIDReader
	ethereum.ChainReader
	ethereum.ChainStateReader
	ethereum.ContractCaller
	ethereum.GasEstimator
	ethereum.GasPricer1559
	ethereum.LogFilterer
	ethereum.TransactionReader
	ethereum.TransactionSender
	PendingNonceAt(ctx context.Context, account common.Address) (uint64, error)
}

// FromBackend returns an endpoint for [Open] that uses one of go-ethereum's clients. It supports the methods that
// this package calls. With an *ethclient.Client, Open(ctx, client.Client(), …) sends batches and is faster.
func FromBackend(backend Backend) RPC { return backendRPC{backend} }

type backendRPC struct{ backend Backend }

// methodError is returned for a method that FromBackend does not support.
type methodError struct{ method string }

func (e methodError) Error() string { return "method not found: " + e.method }
func (methodError) ErrorCode() int  { return codeNoMethod }

// BatchCallContext makes the calls one after the other.
func (b backendRPC) BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error {
	for i := range batch {
		batch[i].Error = b.CallContext(ctx, batch[i].Result, batch[i].Method, batch[i].Args...)
	}
	return nil
}

// CallContext returns the result of a method as a node does, through JSON.
func (b backendRPC) CallContext(ctx context.Context, result any, method string, args ...any) error {
	answer, err := b.answer(ctx, method, args)
	if errors.Is(err, ethereum.NotFound) {
		answer, err = nil, nil
	}
	if err != nil || result == nil {
		return err
	}
	data, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, result)
}

func (b backendRPC) answer(ctx context.Context, method string, args []any) (any, error) {
	p := params{args: args}
	switch method {
	case "eth_chainId":
		id, err := b.backend.ChainID(ctx)
		return (*hexutil.Big)(id), err
	case "eth_getCode":
		code, err := b.backend.CodeAt(ctx, p.address(0), p.block(1))
		return hexutil.Bytes(code), p.or(err)
	case "eth_getBalance":
		balance, err := b.backend.BalanceAt(ctx, p.address(0), p.block(1))
		return (*hexutil.Big)(balance), p.or(err)
	case "eth_getStorageAt":
		word, err := b.backend.StorageAt(ctx, p.address(0), p.hash(1), p.block(2))
		return common.BytesToHash(word), p.or(err)
	case "eth_getTransactionCount":
		if len(args) == 2 && args[1] == "pending" {
			nonce, err := b.backend.PendingNonceAt(ctx, p.address(0))
			return hexutil.Uint64(nonce), p.or(err)
		}
		nonce, err := b.backend.NonceAt(ctx, p.address(0), p.block(1))
		return hexutil.Uint64(nonce), p.or(err)
	case "eth_call":
		out, err := b.backend.CallContract(ctx, p.message(0), p.block(1))
		return hexutil.Bytes(out), p.or(err)
	case "eth_estimateGas":
		gas, err := b.backend.EstimateGas(ctx, p.message(0))
		return hexutil.Uint64(gas), p.or(err)
	case "eth_maxPriorityFeePerGas":
		tip, err := b.backend.SuggestGasTipCap(ctx)
		return (*hexutil.Big)(tip), err
	case "eth_getTransactionReceipt":
		receipt, err := b.backend.TransactionReceipt(ctx, p.hash(0))
		return receipt, p.or(err)
	case "eth_getTransactionByHash":
		tx, _, err := b.backend.TransactionByHash(ctx, p.hash(0))
		if err != nil || tx == nil {
			return nil, p.or(err)
		}
		return transaction{Hash: tx.Hash()}, nil
	case "eth_getBlockByNumber":
		return b.blockByNumber(ctx, p)
	case "eth_getLogs":
		logs, err := b.backend.FilterLogs(ctx, p.query(0))
		return logs, p.or(err)
	case "eth_sendRawTransaction":
		return b.send(ctx, p)
	}
	return nil, methodError{method}
}

func (b backendRPC) send(ctx context.Context, p params) (any, error) {
	raw, ok := p.at(0).(hexutil.Bytes)
	if !ok {
		return nil, fmt.Errorf("eth_sendRawTransaction: %T", p.at(0))
	}
	tx, err := decodeTx(raw)
	if err != nil {
		return nil, err
	}
	return tx.Hash(), b.backend.SendTransaction(ctx, tx)
}

func (b backendRPC) blockByNumber(ctx context.Context, p params) (any, error) {
	number := p.block(0)
	if p.err != nil {
		return nil, p.err
	}
	if full, _ := p.at(1).(bool); !full {
		head, err := b.backend.HeaderByNumber(ctx, number)
		if err != nil || head == nil {
			return nil, err
		}
		return headerOf(head), nil
	}
	block, err := b.backend.BlockByNumber(ctx, number)
	if err != nil || block == nil {
		return nil, err
	}
	full := fullBlock{header: *headerOf(block.Header())}
	for _, tx := range block.Transactions() {
		from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx)
		if err != nil {
			return nil, err
		}
		full.Transactions = append(full.Transactions, transaction{tx.Hash(), from, hexutil.Uint64(tx.Nonce())})
	}
	return full, nil
}

func headerOf(h *types.Header) *header {
	return &header{
		Number: hexutil.Uint64(h.Number.Uint64()), Hash: h.Hash(), Parent: h.ParentHash, Time: hexutil.Uint64(h.Time), BaseFee: (*hexutil.Big)(h.BaseFee),
	}
}

// params reads the arguments of a request. An argument of another type is an error.
type params struct {
	args []any
	err  error
}

func (p *params) or(err error) error { return errors.Join(p.err, err) }

func (p *params) at(i int) any {
	if i >= len(p.args) {
		return nil
	}
	return p.args[i]
}

func (p *params) refuse(i int) {
	p.err = errors.Join(p.err, fmt.Errorf("argument %d is a %T", i, p.at(i)))
}

func (p *params) address(i int) common.Address {
	address, ok := p.at(i).(common.Address)
	if !ok {
		p.refuse(i)
	}
	return address
}

func (p *params) hash(i int) common.Hash {
	hash, ok := p.at(i).(common.Hash)
	if !ok {
		p.refuse(i)
	}
	return hash
}

// block returns nil for the newest block, as go-ethereum does.
func (p *params) block(i int) *big.Int {
	text, ok := p.at(i).(string)
	if !ok {
		p.refuse(i)
		return nil
	}
	switch BlockTag(text) {
	case Latest:
		return nil
	case Safe:
		return big.NewInt(int64(rpc.SafeBlockNumber))
	case Finalized:
		return big.NewInt(int64(rpc.FinalizedBlockNumber))
	}
	number, err := hexutil.DecodeUint64(text)
	p.err = errors.Join(p.err, err)
	return new(big.Int).SetUint64(number)
}

func (p *params) message(i int) ethereum.CallMsg {
	args, ok := p.at(i).(callArgs)
	if !ok {
		p.refuse(i)
	}
	message := ethereum.CallMsg{To: &args.To, Data: args.Data, Value: args.Value.ToInt()}
	if args.From != nil {
		message.From = *args.From
	}
	return message
}

func (p *params) query(i int) ethereum.FilterQuery {
	args, ok := p.at(i).(map[string]any)
	if !ok {
		p.refuse(i)
	}
	var out ethereum.FilterQuery
	switch addresses := args["address"].(type) {
	case common.Address:
		out.Addresses = []common.Address{addresses}
	case []common.Address:
		out.Addresses = addresses
	}
	if hash, ok := args["blockHash"].(common.Hash); ok {
		out.BlockHash = &hash
		return out
	}
	bounds := params{args: []any{args["fromBlock"], args["toBlock"]}}
	out.FromBlock, out.ToBlock = bounds.block(0), bounds.block(1)
	p.err = errors.Join(p.err, bounds.err)
	return out
}
