package chaintest

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

var errNotSimulated = errors.New("chaintest: only a simulated chain can be mined and reorganised")

// Mine mines blocks with the transactions in the pool.
func (c *Chain) Mine(blocks int) error {
	if c.sim == nil {
		return errNotSimulated
	}
	c.mining.Lock()
	defer c.mining.Unlock()
	for range blocks {
		c.sim.Commit()
	}
	return nil
}

// AutoMine sets whether each transaction is mined at once.
func (c *Chain) AutoMine(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.manual = !on
}

// Drop drops the transactions in the pool, as a node under load does.
func (c *Chain) Drop() error {
	if c.sim == nil {
		return errNotSimulated
	}
	c.mining.Lock()
	defer c.mining.Unlock()
	c.sim.Rollback()
	return nil
}

// Reorg replaces the newest blocks by one more. Their transactions are mined again, in other blocks.
func (c *Chain) Reorg(depth int) error { return c.reorg(depth, true) }

// ReorgDropping replaces the newest blocks by one more, without their transactions. These are removed from the pool too.
func (c *Chain) ReorgDropping(depth int) error { return c.reorg(depth, false) }

func (c *Chain) reorg(depth int, keep bool) error {
	if c.sim == nil {
		return errNotSimulated
	}
	c.mining.Lock()
	defer c.mining.Unlock()
	ctx := context.Background()
	head, err := c.head(ctx)
	if err != nil {
		return err
	}
	if depth < 1 || uint64(depth) > head {
		return fmt.Errorf("chaintest: a reorganisation of %d blocks, want 1 to %d", depth, head)
	}
	var dropped []hexutil.Bytes
	for number := head - uint64(depth) + 1; number <= head; number++ {
		raws, err := c.rawTransactions(ctx, number)
		if err != nil {
			return err
		}
		dropped = append(dropped, raws...)
	}
	var parent struct {
		Hash common.Hash `json:"hash"`
	}
	if err := c.inner.CallContext(ctx, &parent, "eth_getBlockByNumber", hexutil.EncodeUint64(head-uint64(depth)), false); err != nil {
		return err
	}
	c.sim.Rollback()
	if err := c.sim.Fork(parent.Hash); err != nil {
		return err
	}
	// The node puts the transactions of the old blocks back into its pool. An empty block comes first, so that
	// no new block can be one of the old ones.
	c.sim.Rollback()
	c.sim.Commit()
	if keep {
		for _, raw := range dropped {
			if err := c.inner.CallContext(ctx, nil, "eth_sendRawTransaction", raw); err != nil {
				return err
			}
		}
	}
	for range depth {
		c.sim.Commit()
	}
	return nil
}

func (c *Chain) rawTransactions(ctx context.Context, number uint64) ([]hexutil.Bytes, error) {
	var block struct {
		Transactions []common.Hash `json:"transactions"`
	}
	if err := c.inner.CallContext(ctx, &block, "eth_getBlockByNumber", hexutil.EncodeUint64(number), false); err != nil {
		return nil, err
	}
	raws := make([]hexutil.Bytes, len(block.Transactions))
	for i, hash := range block.Transactions {
		if err := c.inner.CallContext(ctx, &raws[i], "eth_getRawTransactionByHash", hash); err != nil {
			return nil, err
		}
	}
	return raws, nil
}
