package onchain

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	// searchStep is how far back the search for an older block goes at a time.
	searchStep = 1000
	// maxScan is the number of blocks that are read whole when the endpoint has no state to search in: what took the
	// nonce of an intent most likely came soon after it was prepared.
	maxScan = 256
	// scanBatch is the number of whole blocks in one batch.
	scanBatch = 8
)

// nonceUser finds the transaction that used the nonce of an intent, up to block high. used reports that it is used
// there; by is zero if the endpoint cannot search the block that has it.
func (c *Chain) nonceUser(ctx context.Context, intent *Intent, high uint64) (used bool, by common.Hash, err error) {
	usedAt := func(block uint64) (bool, error) {
		var count hexutil.Uint64
		err := c.reader.call(ctx, &count, "eth_getTransactionCount", intent.From, blockTag(block))
		return uint64(count) > intent.Nonce, err
	}
	if used, err = usedAt(high); err != nil || !used {
		return false, by, err
	}
	block, err := firstUse(min(intent.Block, high), high, usedAt)
	if err == nil {
		by, err = c.transactionOf(ctx, intent, block, block)
		return err == nil, by, err
	}
	if !isHistoryError(err) {
		return false, by, err
	}
	by, err = c.transactionOf(ctx, intent, intent.Block, min(high, intent.Block+maxScan))
	return err == nil, by, err
}

// isHistoryError reports whether a node may no longer have a state. There are many texts for it, and some nodes
// only fail.
func isHistoryError(err error) bool {
	var endpoint *EndpointError
	if !errors.As(err, &endpoint) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var answered rpc.Error
	return errors.As(err, &answered) && classify(err) != throttled
}

// firstUse searches for the block after which used holds, which it does at high. low is where it is first looked
// for.
func firstUse(low, high uint64, used func(uint64) (bool, error)) (uint64, error) {
	// An endpoint that lagged returns a nonce that was used before.
	for low > 0 {
		yes, err := used(low)
		if err != nil {
			return 0, err
		}
		if !yes {
			break
		}
		high, low = low, low-min(low, searchStep)
	}
	for low < high {
		middle := low + (high-low)/2
		yes, err := used(middle)
		if err != nil {
			return 0, err
		}
		if yes {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// transactionOf reads whole blocks and returns the transaction with the nonce of an intent, or zero.
func (c *Chain) transactionOf(ctx context.Context, intent *Intent, from, to uint64) (common.Hash, error) {
	type whole struct {
		Transactions []struct {
			Hash  common.Hash    `json:"hash"`
			From  common.Address `json:"from"`
			Nonce hexutil.Uint64 `json:"nonce"`
		} `json:"transactions"`
	}
	for ; from <= to; from += scanBatch {
		var elems []rpc.BatchElem
		blocks := make([]*whole, min(scanBatch, to-from+1))
		for i := range blocks {
			elems = append(elems, request(&blocks[i], "eth_getBlockByNumber", blockTag(from+uint64(i)), true))
		}
		if err := errors.Join(c.reader.batch(ctx, elems), firstError(elems)); err != nil {
			return common.Hash{}, err
		}
		for _, block := range blocks {
			if block == nil {
				continue
			}
			for _, tx := range block.Transactions {
				if tx.From == intent.From && uint64(tx.Nonce) == intent.Nonce {
					return tx.Hash, nil
				}
			}
		}
	}
	return common.Hash{}, nil
}
