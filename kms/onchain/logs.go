package onchain

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

const (
	// defaultRange is the usual limit of public endpoints for one eth_getLogs. Some have a limit of 10.
	defaultRange = 1000
	// tailBlocks is the number of newest blocks that are read one by one and by hash, so that a lagging node returns an
	// error instead of no logs. It is more than maxLag, for endpoints that lag more than those that were measured.
	tailBlocks = 8
	// readsAtOnce is the number of ranges or blocks that are read at the same time.
	readsAtOnce = 4
	// growAfter is the number of successful ranges in a row after which a longer one is tried.
	growAfter = 8
	// forgetAfter is the number of such ranges after which a length that was refused is tried again.
	forgetAfter = 256
	// maxPause bounds the pauses in an outage.
	maxPause = 30 * time.Second
)

// logReader reads the logs of some contracts block by block, in order, each block once.
type logReader struct {
	c         *Chain
	addresses []common.Address
	// at is the last block that was read, whole or up to a log. Before the first read only its number may be set.
	at Cursor
	// span is the number of blocks of a range, from 1 to limit. worked is the longest successful one, and refused the
	// last one that the endpoint refused.
	span, limit, worked, refused uint64
	// good is the number of successful ranges since the last refusal.
	good int
}

func newLogReader(c *Chain, addresses []common.Address, limit uint64) *logReader {
	if limit == 0 {
		limit = defaultRange
	}
	return &logReader{c: c, addresses: addresses, span: limit, limit: limit}
}

// part is the result for some consecutive blocks.
type part struct {
	from, to uint64
	last     *header
	logs     []*types.Log
	err      error
}

// next reads the next blocks up to the newest confirmed one, several ranges at once. The parts before an error are
// returned with it. more reports that confirmed blocks are left.
func (r *logReader) next(ctx context.Context) (parts []part, more bool, err error) {
	h, err := r.c.heads(ctx)
	if err != nil {
		return nil, false, err
	}
	confirmed, ok := r.c.confirmed(h)
	from := r.at.Block + 1
	if r.at.Index != nil {
		from = r.at.Block
	}
	if !ok || confirmed < from {
		return nil, false, r.checkPosition(ctx, h)
	}
	latest := uint64(h.latest.Number)
	for start := from; start <= confirmed && len(parts) < readsAtOnce; {
		p := part{from: start, to: start}
		if start+tailBlocks <= latest {
			p.to = min(confirmed, start+r.span-1, latest-tailBlocks)
		}
		parts = append(parts, p)
		start = p.to + 1
	}
	var reads sync.WaitGroup
	for i := range parts {
		reads.Go(func() { r.read(ctx, &parts[i]) })
	}
	reads.Wait()
	for i, p := range parts {
		if p.err == nil {
			p.err = r.join(ctx, &parts[i])
		}
		if p.err != nil {
			r.shorten(p)
			return parts[:i], true, p.err
		}
		r.lengthen(p)
	}
	return parts, parts[len(parts)-1].to < confirmed, nil
}

// read fills a part: its last block, and its logs. A single block is read by its hash.
func (r *logReader) read(ctx context.Context, p *part) {
	if p.from == p.to {
		if p.last, p.err = r.c.block(ctx, blockTag(p.to)); p.err == nil {
			p.err = r.c.reader.call(ctx, &p.logs, "eth_getLogs", map[string]any{"blockHash": p.last.Hash, "address": r.addresses})
		}
		return
	}
	query := map[string]any{"fromBlock": blockTag(p.from), "toBlock": blockTag(p.to), "address": r.addresses}
	// A node that does not have the last block would omit logs silently. It is requested in the same batch, which
	// endpoints send to one node, before and after.
	var before, after *header
	elems := []rpc.BatchElem{
		request(&before, "eth_getBlockByNumber", blockTag(p.to), false),
		request(&p.logs, "eth_getLogs", query),
		request(&after, "eth_getBlockByNumber", blockTag(p.to), false),
	}
	if p.err = r.c.reader.all(ctx, elems); p.err != nil {
		return
	}
	if before == nil || after == nil || before.Hash != after.Hash {
		p.err = &EndpointError{Method: "eth_getLogs", Attempts: 1, Err: fmt.Errorf("block %d changed meanwhile, or a node does not have it", p.to)}
	}
	p.last = before
}

// join appends a part to what was read, if its blocks follow. It drops the logs that were read before.
func (r *logReader) join(ctx context.Context, p *part) error {
	if p.from == r.at.Block && r.at.Index != nil {
		// The rest of a block of which some logs were read.
		if err := r.checkBlock(ctx, p.from, p); err != nil {
			return err
		}
		read := *r.at.Index
		p.logs = slices.DeleteFunc(p.logs, func(l *types.Log) bool { return l.BlockNumber == p.from && l.Index <= read })
	} else if r.at.Hash != (common.Hash{}) {
		if p.from == p.to && p.last.Parent == r.at.Hash {
			return r.advance(p)
		}
		if err := r.checkBlock(ctx, r.at.Block, p); err != nil {
			return err
		}
	}
	return r.advance(p)
}

func (r *logReader) advance(p *part) error {
	for _, l := range p.logs {
		if l == nil || l.BlockNumber < p.from || l.BlockNumber > p.to || p.from == p.to && l.BlockHash != p.last.Hash {
			return &EndpointError{Method: "eth_getLogs", Attempts: 1, Err: fmt.Errorf("a log that is not of blocks %d to %d", p.from, p.to)}
		}
	}
	r.at = Cursor{Block: p.to, Hash: p.last.Hash}
	return nil
}

// checkBlock returns an error if a block that was read before is no longer in the chain.
func (r *logReader) checkBlock(ctx context.Context, number uint64, p *part) error {
	now := p.last
	if number != p.to || now == nil {
		var err error
		if now, err = r.c.block(ctx, blockTag(number)); err != nil {
			return err
		}
	}
	if r.at.Hash != (common.Hash{}) && now.Hash != r.at.Hash {
		return &ReorgError{Block: number, Was: r.at.Hash, Now: now.Hash}
	}
	return nil
}

// checkPosition detects a reorganisation if no new block is confirmed.
func (r *logReader) checkPosition(ctx context.Context, h heads) error {
	if r.at.Hash == (common.Hash{}) || uint64(h.latest.Number) < r.at.Block {
		return nil
	}
	return r.checkBlock(ctx, r.at.Block, &part{})
}

// shorten shortens the ranges after an error that is about them.
func (r *logReader) shorten(p part) {
	length := p.to - p.from + 1
	kind := classify(p.err)
	if length == 1 || kind.transient() || kind == noMethod {
		return
	}
	r.good = 0
	// Too many results concern these blocks only. Every other final error is attributed to the length, because the texts
	// of the refusals differ.
	if kind == tooManyResults {
		r.worked = min(r.worked, length/2)
	} else {
		r.refused = length
	}
	if r.worked == 0 || r.worked >= length {
		r.worked = 0
		r.span = length / 2
		return
	}
	r.span = r.worked
}

// lengthen lengthens the ranges after enough successful ones, half the way to a length that was refused.
func (r *logReader) lengthen(p part) {
	length := p.to - p.from + 1
	if length == 1 || length < r.span {
		return
	}
	r.worked = max(r.worked, length)
	if r.good++; r.good%forgetAfter == 0 {
		r.refused = 0
	}
	switch {
	case r.good%growAfter != 0:
	case r.refused > r.span:
		r.span = (r.span + r.refused) / 2
	default:
		r.span = min(2*r.span, r.limit)
	}
}
