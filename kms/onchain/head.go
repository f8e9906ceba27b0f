package onchain

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
)

// maxLag is how many blocks the nodes behind one endpoint are apart. Free endpoints were seen 0 to 2 apart.
const maxLag = 2

// maxPatience limits the wait for data that a node may not have seen yet: a mistyped address must not take long.
const maxPatience = 15 * time.Second

// HeadError is returned when the newest block of the endpoint is unusable: it is too old, so that the endpoint or the
// chain has stopped, or it is below a known block. Nothing was sent.
type HeadError struct {
	// Number and Time are of the newest block.
	Number uint64
	Time   time.Time
	// Want is the lowest sufficient number, or 0 if the block is too old.
	Want uint64
	// Age is the age of the block, and MaxAge its limit.
	Age, MaxAge time.Duration
}

func (e *HeadError) Error() string {
	if e.Want > 0 {
		return fmt.Sprintf("the newest block of the endpoint is %d, want %d or later: it lags", e.Number, e.Want)
	}
	return fmt.Sprintf("the newest block of the endpoint is %d of %s, %s old, at most %s is allowed: it has stopped, or the clock here is wrong",
		e.Number, e.Time.UTC().Format(time.RFC3339), e.Age.Round(time.Second), e.MaxAge)
}

// height is the highest block that a result was based on. A node below it would return older state.
type height struct{ block atomic.Uint64 }

func (h *height) reach(block uint64) {
	for {
		old := h.block.Load()
		if block <= old || h.block.CompareAndSwap(old, block) {
			return
		}
	}
}

// heads are the newest block, and the newest one that counts under the block tag of the chain.
type heads struct{ latest, tagged *header }

// confirmed returns the newest block that has the confirmations of the chain; ok is false if there is none yet.
func (c *Chain) confirmed(h heads) (block uint64, ok bool) {
	latest := uint64(h.latest.Number)
	if latest+1 < c.cfg.confirmations {
		return 0, false
	}
	return min(latest+1-c.cfg.confirmations, uint64(h.tagged.Number)), true
}

// headRequests returns the requests for the heads, for a batch of the caller.
func (c *Chain) headRequests(h *heads) []rpc.BatchElem {
	elems := []rpc.BatchElem{request(&h.latest, "eth_getBlockByNumber", string(Latest), false)}
	if c.cfg.tag != Latest {
		elems = append(elems, request(&h.tagged, "eth_getBlockByNumber", string(c.cfg.tag), false))
	}
	return elems
}

// checkHeads completes the result of headRequests, and refuses a head that is too old or too low.
func (c *Chain) checkHeads(h *heads) error {
	if c.cfg.tag == Latest {
		h.tagged = h.latest
	}
	if h.latest == nil || h.tagged == nil {
		return &EndpointError{Method: "eth_getBlockByNumber", Attempts: 1, Err: fmt.Errorf("no %s block", c.cfg.tag)}
	}
	e := &HeadError{Number: uint64(h.latest.Number), Time: time.Unix(int64(h.latest.Time), 0), MaxAge: c.cfg.maxHeadAge}
	e.Age = time.Since(e.Time)
	if e.MaxAge > 0 && e.Age > e.MaxAge {
		return e
	}
	if known := c.reached.block.Load(); uint64(h.tagged.Number) < known {
		e.Number, e.Want = uint64(h.tagged.Number), known
		return e
	}
	return nil
}

// heads requests the newest blocks until a node that is not behind responds, for a limited time.
func (c *Chain) heads(ctx context.Context) (heads, error) {
	var last error
	for try := 1; try <= readAttempts; try++ {
		var h heads
		if err := c.reader.all(ctx, c.headRequests(&h)); err != nil {
			return heads{}, err
		}
		if last = c.checkHeads(&h); last == nil {
			return h, nil
		}
		if err := pause.For(ctx, backoff(c.cfg.poll, try)); err != nil {
			return heads{}, fmt.Errorf("%w: %w", err, last)
		}
	}
	return heads{}, last
}

// view returns the block at which state is read.
func (c *Chain) view(ctx context.Context) (*header, error) {
	h, err := c.heads(ctx)
	if err != nil {
		return nil, err
	}
	return h.tagged, nil
}

// advance waits until block want is confirmed, and returns the view then. A chain of unknown pace may mine only if there
// is a transaction: there the wait ends if the head does not change for several polls.
func (c *Chain) advance(ctx context.Context, want uint64) (*header, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.wait)
	defer cancel()
	var last common.Hash
	for still := 0; ; {
		h, err := c.heads(ctx)
		if err != nil {
			return nil, err
		}
		if block, ok := c.confirmed(h); ok && block >= want {
			return h.tagged, nil
		}
		if still++; h.latest.Hash != last {
			still, last = 0, h.latest.Hash
		}
		if still >= patience && c.pace.block == 0 {
			return h.tagged, nil
		}
		if err := pause.For(ctx, c.cfg.poll); err != nil {
			return nil, fmt.Errorf("%w: %w", err, &HeadError{Number: uint64(h.latest.Number), Want: want})
		}
	}
}

// again repeats a read a few blocks later if something is missing, because a node may not have seen it yet. The wait is
// limited.
func (c *Chain) again(ctx context.Context, missing func(at *header) (bool, error)) error {
	at, err := c.view(ctx)
	if err != nil {
		return err
	}
	first, until := uint64(at.Number), time.Now().Add(max(patience*c.cfg.poll, min(maxLag*c.pace.block, maxPatience)))
	for {
		absent, err := missing(at)
		if !absent || uint64(at.Number) >= first+maxLag || !time.Now().Before(until) {
			if err == nil {
				c.reached.reach(uint64(at.Number))
			}
			return err
		}
		if err := pause.For(ctx, c.cfg.poll); err != nil {
			return err
		}
		if at, err = c.view(ctx); err != nil {
			return err
		}
	}
}

func (c *Chain) block(ctx context.Context, tag string) (*header, error) {
	for try := 1; ; try++ {
		var head *header
		if err := c.reader.call(ctx, &head, "eth_getBlockByNumber", tag, false); err != nil {
			return nil, err
		}
		if head != nil {
			return head, nil
		}
		// A node that lags does not have it.
		if try == patience {
			return nil, &EndpointError{Method: "eth_getBlockByNumber", Attempts: try, Err: fmt.Errorf("no block %s", tag)}
		}
		if err := pause.For(ctx, backoff(c.cfg.poll, try)); err != nil {
			return nil, err
		}
	}
}
