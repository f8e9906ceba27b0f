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
)

// Interceptor stands between a client and the node for one method. next asks the node; what the interceptor
// returns is what the client gets.
type Interceptor func(params []any, next func() (json.RawMessage, error)) (json.RawMessage, error)

// Intercept answers a JSON-RPC method, such as "eth_getTransactionReceipt", with fn; nil ends it.
func (c *Chain) Intercept(method string, fn Interceptor) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if fn == nil {
		delete(c.intercepts, method)
		return
	}
	c.intercepts[method] = fn
}

// Lag makes the endpoint answer as it would have some blocks ago; 0 ends it.
func (c *Chain) Lag(blocks uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lag = blocks
}

// CallContext makes a Chain an endpoint for onchain.Open.
func (c *Chain) CallContext(ctx context.Context, result any, method string, args ...any) error {
	raw, err := c.answer(ctx, method, args)
	if err != nil {
		return err
	}
	if result == nil {
		return nil
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
	next := func() (json.RawMessage, error) { return c.ask(ctx, method, params, lag) }
	if intercept != nil {
		return intercept(params, next)
	}
	return next()
}

// ask asks the node, as far behind as the lag says.
func (c *Chain) ask(ctx context.Context, method string, params []any, lag uint64) (json.RawMessage, error) {
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
	seen := head - min(head, lag)
	switch method {
	case "eth_blockNumber":
		return json.Marshal(hexutil.Uint64(seen))
	case "eth_getTransactionReceipt":
		return c.notAfter(ctx, method, params, seen)
	case "eth_getLogs":
		raw, err := c.raw(ctx, method, params)
		if err != nil {
			return nil, err
		}
		var logs []*types.Log
		if err := json.Unmarshal(raw, &logs); err != nil {
			return nil, err
		}
		return json.Marshal(slices.DeleteFunc(logs, func(l *types.Log) bool { return l.BlockNumber > seen }))
	}
	behind := slices.Clone(params)
	for i, p := range behind {
		if p == "latest" {
			behind[i] = hexutil.EncodeUint64(seen)
		}
	}
	return c.raw(ctx, method, behind)
}

// notAfter gives null for what is in a later block.
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

// send passes a transaction on, records it, and mines it.
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
