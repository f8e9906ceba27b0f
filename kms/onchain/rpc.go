package onchain

import (
	"context"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// RPC is a JSON-RPC endpoint of a node. [*rpc.Client] implements it; [Dial] returns one with limits, and
// [FromBackend] one that uses one of go-ethereum's clients.
type RPC interface {
	CallContext(ctx context.Context, result any, method string, args ...any) error
	BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error
}

// request returns one element of a batch, with its result decoded into result.
func request(result any, method string, args ...any) rpc.BatchElem {
	return rpc.BatchElem{Method: method, Args: args, Result: result}
}

// ethCall returns an eth_call at a block.
func ethCall(result *hexutil.Bytes, to common.Address, data []byte, block string) rpc.BatchElem {
	return request(result, "eth_call", callArgs{To: to, Data: data}, block)
}

// callArgs are the arguments of eth_call and eth_estimateGas.
type callArgs struct {
	From  *common.Address `json:"from,omitempty"`
	To    common.Address  `json:"to"`
	Value *hexutil.Big    `json:"value,omitempty"`
	Data  hexutil.Bytes   `json:"data"`
}

// header is the part of a block that is read.
type header struct {
	Number  hexutil.Uint64 `json:"number"`
	Hash    common.Hash    `json:"hash"`
	Parent  common.Hash    `json:"parentHash"`
	Time    hexutil.Uint64 `json:"timestamp"`
	BaseFee *hexutil.Big   `json:"baseFeePerGas"`
}

func (h *header) tag() string { return blockTag(uint64(h.Number)) }

func blockTag(number uint64) string { return hexutil.EncodeUint64(number) }
