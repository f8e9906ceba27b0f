package onchain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// patience is the number of consecutive polls that must show the same contradiction before it is reported: nodes
// behind one endpoint are seldom at the same block.
const patience = 5

// Receipt is a confirmed transaction that succeeded.
type Receipt struct {
	// Tx is zero if AlreadySo.
	Tx        common.Hash
	Block     uint64
	BlockHash common.Hash
	GasUsed   uint64
	Logs      []*types.Log
	// AlreadySo reports that the contract already was in the requested state, so that nothing was sent.
	AlreadySo bool
}

// wireReceipt is a receipt as nodes encode it.
type wireReceipt struct {
	Tx        common.Hash     `json:"transactionHash"`
	Block     hexutil.Uint64  `json:"blockNumber"`
	BlockHash common.Hash     `json:"blockHash"`
	GasUsed   hexutil.Uint64  `json:"gasUsed"`
	Status    *hexutil.Uint64 `json:"status"`
	Logs      []*types.Log    `json:"logs"`
}

// tracker follows transactions of which at most one can be mined, and checks all data of the endpoint about them.
type tracker struct {
	c *Chain
	// contract is the one whose logs are compared.
	contract common.Address
	// last is the last observation, and lastErr the last error.
	last    string
	lastErr error
	// odd is the number of contradictory polls in a row.
	odd int
}

// read sends requests in one batch with those for the newest blocks. It notes an error; ok is then false.
func (t *tracker) read(ctx context.Context, elems []rpc.BatchElem) (h heads, ok bool) {
	err := t.c.reader.all(ctx, append(t.c.headRequests(&h), elems...))
	if err == nil {
		err = t.c.checkHeads(&h)
	}
	if err != nil {
		t.fail(ctx, err)
	}
	return h, err == nil
}

// note records an observation for the error of a wait that ends.
func (t *tracker) note(format string, args ...any) { t.last = fmt.Sprintf(format, args...) }

// fail records an error of the endpoint, which may be transient. An error that the end of the wait caused does not
// replace an earlier one.
func (t *tracker) fail(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, context.DeadlineExceeded):
		if t.lastErr == nil {
			t.lastErr = err
		}
	default:
		t.lastErr = err
		t.note("the endpoint fails")
	}
}

// contradiction counts a contradictory poll, and returns the error when patience is exhausted.
func (t *tracker) contradiction(err *ReceiptError) error {
	t.note("%v", err)
	if t.odd++; t.odd < patience {
		return nil
	}
	return err
}

// confirm checks a receipt. It returns nil if the wait continues.
func (t *tracker) confirm(ctx context.Context, r *wireReceipt, asked common.Hash, h heads) (*wireReceipt, error) {
	head := uint64(h.latest.Number)
	switch {
	case r.Tx != asked:
		return nil, t.contradiction(&ReceiptError{Tx: asked, What: "the transaction hash", Got: r.Tx.String(), Want: asked.String()})
	case r.Status == nil || *r.Status > 1:
		return nil, t.contradiction(&ReceiptError{Tx: asked, What: "the status", Got: "not known", Want: "0 or 1"})
	case head < uint64(r.Block):
		t.note("in block %d, while the endpoint is at block %d", r.Block, head)
		return nil, nil
	}
	if confirmed, ok := t.c.confirmed(h); !ok || confirmed < uint64(r.Block) {
		t.note("%d of %d confirmations, the %s block is %d", head-uint64(r.Block)+1, t.c.cfg.confirmations, t.c.cfg.tag, uint64(h.tagged.Number))
		return nil, nil
	}
	var canonical *header
	if err := t.c.reader.call(ctx, &canonical, "eth_getBlockByNumber", blockTag(uint64(r.Block)), false); err != nil || canonical == nil {
		t.fail(ctx, err)
		return nil, nil
	}
	if canonical.Hash != r.BlockHash {
		// A reorganisation, or nodes that disagree. Both are transient.
		t.note("in block %d with hash %s, while the chain has %s there", r.Block, r.BlockHash, canonical.Hash)
		return nil, nil
	}
	var logs []*types.Log
	if err := t.c.reader.call(ctx, &logs, "eth_getLogs", map[string]any{"blockHash": r.BlockHash, "address": t.contract}); err != nil {
		t.fail(ctx, err)
		return nil, nil
	}
	if err := compareLogs(r, logs, t.contract); err != nil {
		return nil, t.contradiction(err)
	}
	t.c.reached.reach(uint64(r.Block))
	return r, nil
}

// compareLogs compares the logs of a receipt with those of its block.
func compareLogs(r *wireReceipt, block []*types.Log, contract common.Address) *ReceiptError {
	own := func(l *types.Log) bool { return l != nil && l.Address == contract && l.TxHash == r.Tx }
	got, want := slices.DeleteFunc(slices.Clone(r.Logs), func(l *types.Log) bool { return !own(l) }),
		slices.DeleteFunc(slices.Clone(block), func(l *types.Log) bool { return !own(l) })
	same := slices.EqualFunc(got, want, func(a, b *types.Log) bool {
		return a.Index == b.Index && slices.Equal(a.Topics, b.Topics) && bytes.Equal(a.Data, b.Data)
	})
	if same && (*r.Status == 1 || len(want) == 0) {
		return nil
	}
	return &ReceiptError{
		Tx: r.Tx, What: fmt.Sprintf("the number of logs of %s with status %d", contract, *r.Status),
		Got: fmt.Sprint(len(got)), Want: fmt.Sprintf("the %d logs of the block", len(want)),
	}
}

func (r *wireReceipt) receipt() *Receipt {
	return &Receipt{Tx: r.Tx, Block: uint64(r.Block), BlockHash: r.BlockHash, GasUsed: uint64(r.GasUsed), Logs: r.Logs}
}

// reverted returns the reason of a failed transaction. It tries the call at the block before it and at its own block.
// limit is the gas that the transaction had.
func (c *Chain) reverted(ctx context.Context, from common.Address, call Call, r *wireReceipt, limit uint64) error {
	args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
	e := &RevertError{Contract: call.To, Call: call.Description, Tx: r.Tx, Text: "no reason found"}
	if limit > 0 && uint64(r.GasUsed) == limit {
		e.Text = fmt.Sprintf("all of its gas was used (%d)", limit)
	}
	for _, block := range []uint64{max(uint64(r.Block), 1) - 1, uint64(r.Block)} {
		var result hexutil.Bytes
		err := c.reader.call(ctx, &result, "eth_call", args, blockTag(block))
		if data, reverted := revertData(err); reverted && len(data) > 0 {
			e.Data = data
			e.Name, e.Text, e.err = decodeRevert(data)
			break
		}
	}
	return e
}
