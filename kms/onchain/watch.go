package onchain

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/phala-go/phala/kms"
)

// maxBlockRange is what public endpoints commonly take for one eth_getLogs.
const maxBlockRange = 1000

// WatchOptions says which events to watch.
type WatchOptions struct {
	// From is the first block; 0 is the one after the newest.
	From uint64
	// Apps are watched besides the contract of the KMS.
	Apps []kms.AppID
}

// Watch gives the events of the KMS's contract, and of apps, in order, each once and only when it has the
// confirmations of [WithConfirmations]. It polls, so any endpoint will do, and goes on until ctx ends or the
// loop breaks; an endpoint that fails is asked again, five times in a row. A [*ReorgError] says that what was
// given before no longer holds. Logs that are no events of the contracts are passed over.
func (c *Chain) Watch(ctx context.Context, options WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		w := &watch{c: c, next: options.From, span: maxBlockRange, addresses: []common.Address{c.contract.Address}}
		for _, app := range options.Apps {
			w.addresses = append(w.addresses, app.Address())
		}
		failed := 0
		for {
			logs, more, err := w.read(ctx)
			var reorg *ReorgError
			switch {
			case ctx.Err() != nil:
				yield(Event{}, ctx.Err())
				return
			case errors.As(err, &reorg) || err != nil && failed == patience-1:
				yield(Event{}, err)
				return
			case err != nil:
				failed++
			default:
				failed = 0
			}
			for _, log := range logs {
				event, err := c.DecodeEvent(log)
				if errors.Is(err, ErrUnknownEvent) {
					continue
				}
				if !yield(event, err) || err != nil {
					return
				}
			}
			if more {
				continue
			}
			select {
			case <-ctx.Done():
			case <-time.After(c.cfg.poll):
			}
		}
	}
}

// watch is the place that one Watch has reached.
type watch struct {
	c         *Chain
	addresses []common.Address
	// next is the block to read next, 0 before the first look.
	next, span uint64
	// last is the newest block that was read, to notice when it is replaced.
	last *header
}

// read reads the next blocks that are deep enough, and tells whether there are more.
func (w *watch) read(ctx context.Context) (logs []*types.Log, more bool, err error) {
	head, err := w.c.block(ctx, "latest")
	if err != nil {
		return nil, false, err
	}
	if w.next == 0 {
		w.next = uint64(head.Number) + 1
	}
	if w.last != nil {
		now, err := w.c.block(ctx, blockTag(uint64(w.last.Number)))
		if err != nil {
			return nil, false, err
		}
		if now.Hash != w.last.Hash {
			return nil, false, &ReorgError{Block: uint64(w.last.Number), Was: w.last.Hash, Now: now.Hash}
		}
	}
	if uint64(head.Number)+1 < w.next+w.c.cfg.confirmations {
		return nil, false, nil
	}
	deep := uint64(head.Number) + 1 - w.c.cfg.confirmations
	to := min(deep, w.next+w.span-1)
	last, err := w.c.block(ctx, blockTag(to))
	if err != nil {
		return nil, false, err
	}
	if err := w.c.rpc.CallContext(ctx, &logs, "eth_getLogs", map[string]any{
		"fromBlock": blockTag(w.next), "toBlock": blockTag(to), "address": w.addresses,
	}); err != nil {
		// Endpoints limit the range in ways of their own.
		w.span = max(1, w.span/2)
		return nil, false, fmt.Errorf("eth_getLogs: %w", withoutAddress(err))
	}
	// The block that was read to must be the one that is remembered.
	again, err := w.c.block(ctx, blockTag(to))
	if err != nil {
		return nil, false, err
	}
	if again.Hash != last.Hash {
		return nil, true, nil
	}
	w.next, w.last = to+1, last
	return logs, to < deep, nil
}

func (c *Chain) block(ctx context.Context, tag string) (*header, error) {
	var head *header
	if err := c.rpc.CallContext(ctx, &head, "eth_getBlockByNumber", tag, false); err != nil {
		return nil, fmt.Errorf("eth_getBlockByNumber: %w", withoutAddress(err))
	}
	if head == nil {
		return nil, fmt.Errorf("block %s: the endpoint has none", tag)
	}
	return head, nil
}
