package chaintest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain"
)

// Interceptor replaces the response of the node for one method. next calls the node; the client receives the
// interceptor's result.
type Interceptor func(params []any, next func() (json.RawMessage, error)) (json.RawMessage, error)

// Intercept sets the interceptor of a JSON-RPC method, such as "eth_getTransactionReceipt"; nil ends it.
func (c *Chain) Intercept(method string, fn Interceptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fn == nil {
		delete(c.intercepts, method)
		return
	}
	c.intercepts[method] = fn
}

// Lag makes the endpoint respond as it did some blocks ago; 0 ends it.
func (c *Chain) Lag(blocks uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag = blocks
}

// Behind returns a node of the chain without its newest blocks. Several such nodes make up a load-balanced endpoint.
func (c *Chain) Behind(blocks uint64) onchain.RPC { return laggingNode{c, blocks} }

type laggingNode struct {
	chain *Chain
	lag   uint64
}

func (n laggingNode) CallContext(ctx context.Context, result any, method string, args ...any) error {
	raw, err := n.chain.query(ctx, method, args, n.lag)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

func (n laggingNode) BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error {
	for i := range batch {
		batch[i].Error = n.CallContext(ctx, batch[i].Result, batch[i].Method, batch[i].Args...)
	}
	return nil
}

// CallContext makes a Chain an endpoint for onchain.Open.
func (c *Chain) CallContext(ctx context.Context, result any, method string, args ...any) error {
	raw, err := c.answer(ctx, method, args)
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(raw, result)
}

// BatchCallContext makes a Chain an endpoint for onchain.Open.
func (c *Chain) BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error {
	for i := range batch {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch[i].Error = c.CallContext(ctx, batch[i].Result, batch[i].Method, batch[i].Args...)
	}
	return nil
}

func (c *Chain) answer(ctx context.Context, method string, params []any) (json.RawMessage, error) {
	c.mu.Lock()
	intercept, lag := c.intercepts[method], c.lag
	c.mu.Unlock()
	next := func() (json.RawMessage, error) { return c.query(ctx, method, params, lag) }
	if intercept != nil {
		return intercept(params, next)
	}
	return next()
}

// query calls the node and returns its response of lag blocks ago.
func (c *Chain) query(ctx context.Context, method string, params []any, lag uint64) (json.RawMessage, error) {
	if method == "eth_sendRawTransaction" {
		return c.send(ctx, params)
	}
	if lag == 0 {
		return c.raw(ctx, method, params)
	}
	head, err := c.head(ctx)
	if err != nil {
		return nil, err
	}
	seen := head - min(head, lag) // the newest block of the response
	switch method {
	case "eth_blockNumber":
		return json.Marshal(hexutil.Uint64(seen))
	case "eth_getTransactionReceipt":
		return c.notAfter(ctx, method, params, seen)
	case "eth_getLogs":
		return c.logsUntil(ctx, params, seen)
	}
	behind := slices.Clone(params)
	for i, p := range behind {
		tag, isText := p.(string)
		if !isText || i != blockParam(method) {
			continue
		}
		number, err := hexutil.DecodeUint64(tag)
		switch {
		case tag == "latest", tag == "safe", tag == "finalized":
			behind[i] = hexutil.EncodeUint64(seen)
		case err == nil && number > seen && method == "eth_getBlockByNumber":
			return json.RawMessage("null"), nil
		case err == nil && number > seen:
			return nil, nodeError{-32000, "header not found"}
		}
	}
	return c.raw(ctx, method, behind)
}

// blockParam returns the index of the block among the parameters of a method, or -1.
func blockParam(method string) int {
	switch method {
	case "eth_getBlockByNumber":
		return 0
	case "eth_call", "eth_estimateGas", "eth_getCode", "eth_getBalance", "eth_getTransactionCount":
		return 1
	case "eth_getStorageAt":
		return 2
	}
	return -1
}

type nodeError struct {
	code int
	text string
}

func (e nodeError) Error() string  { return e.text }
func (e nodeError) ErrorCode() int { return e.code }

// logsUntil removes the logs of blocks that are not seen yet, as old nodes do, and returns an error for the hash of
// such a block.
func (c *Chain) logsUntil(ctx context.Context, params []any, seen uint64) (json.RawMessage, error) {
	var query struct {
		BlockHash *common.Hash `json:"blockHash"`
	}
	if text, err := json.Marshal(params[0]); err != nil || json.Unmarshal(text, &query) != nil {
		return nil, fmt.Errorf("eth_getLogs: %v", params)
	}
	if query.BlockHash != nil {
		var block *struct {
			Number hexutil.Uint64 `json:"number"`
		}
		if err := c.inner.CallContext(ctx, &block, "eth_getBlockByHash", query.BlockHash, false); err != nil {
			return nil, err
		}
		if block == nil || uint64(block.Number) > seen {
			return nil, nodeError{-32000, "unknown block"}
		}
	}
	raw, err := c.raw(ctx, "eth_getLogs", params)
	if err != nil {
		return nil, err
	}
	var logs []*types.Log
	if err := json.Unmarshal(raw, &logs); err != nil {
		return nil, err
	}
	return json.Marshal(slices.DeleteFunc(logs, func(l *types.Log) bool { return l.BlockNumber > seen }))
}

// notAfter returns null for a receipt in a later block.
func (c *Chain) notAfter(ctx context.Context, method string, params []any, seen uint64) (json.RawMessage, error) {
	raw, err := c.raw(ctx, method, params)
	if err != nil {
		return nil, err
	}
	var where *struct {
		Block hexutil.Uint64 `json:"blockNumber"`
	}
	if err := json.Unmarshal(raw, &where); err != nil {
		return nil, err
	}
	if where == nil || uint64(where.Block) > seen {
		return json.RawMessage("null"), nil
	}
	return raw, nil
}

func (c *Chain) raw(ctx context.Context, method string, params []any) (json.RawMessage, error) {
	var raw json.RawMessage
	err := c.inner.CallContext(ctx, &raw, method, params...)
	return raw, err
}

// send forwards a transaction, records it, and mines it.
func (c *Chain) send(ctx context.Context, params []any) (json.RawMessage, error) {
	c.mining.Lock()
	defer c.mining.Unlock()
	answer, err := c.raw(ctx, "eth_sendRawTransaction", params)
	if err != nil {
		return nil, err
	}
	var hash common.Hash
	if err := json.Unmarshal(answer, &hash); err != nil {
		return nil, fmt.Errorf("eth_sendRawTransaction: %w", err)
	}
	c.mu.Lock()
	if !slices.Contains(c.sent, hash) {
		c.sent = append(c.sent, hash)
	}
	manual := c.manual
	c.mu.Unlock()
	if c.sim != nil && !manual {
		c.sim.Commit()
	}
	return answer, nil
}

func (c *Chain) head(ctx context.Context) (uint64, error) {
	var number hexutil.Uint64
	err := c.inner.CallContext(ctx, &number, "eth_blockNumber")
	return uint64(number), err
}
