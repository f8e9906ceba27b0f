package onchain

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
)

const (
	// readAttempts with their pauses take about 25 poll intervals.
	readAttempts = 8
	// firstBatch is more than any read here needs.
	firstBatch = 64
	// maxRetryAfter is the longest pause that an endpoint can request.
	maxRetryAfter = 30 * time.Second
)

// reader repeats a request until the endpoint responds. Its requests change nothing, so they can be sent twice.
type reader struct {
	rpc  RPC
	poll time.Duration
	// size is the number of requests in a batch, halved each time that the endpoint refuses as many.
	size atomic.Int64
}

func newReader(client RPC, poll time.Duration) *reader {
	r := &reader{rpc: client, poll: poll}
	r.size.Store(firstBatch)
	return r
}

// batch sends requests until each has its response. A final error of a contract or a node is the error of the
// element; any other is an [*EndpointError], or the error of the context.
func (r *reader) batch(ctx context.Context, elems []rpc.BatchElem) error {
	todo := make([]int, len(elems))
	for i := range elems {
		todo[i] = i
	}
	for try := 1; ; try++ {
		r.round(ctx, elems, todo, try)
		var after time.Duration
		left := todo[:0]
		for _, i := range todo {
			if err := elems[i].Error; err != nil && classify(err).passes() {
				after = max(after, pauseAsked(err))
				left = append(left, i)
			}
		}
		todo = left
		if len(todo) == 0 {
			return nil
		}
		failed := elems[todo[0]]
		if try == readAttempts || after > maxRetryAfter || ctx.Err() != nil {
			return &EndpointError{Method: failed.Method, Attempts: try, Err: errors.Join(ctx.Err(), failed.Error)}
		}
		if err := pause.For(ctx, max(after, backoff(r.poll, try))); err != nil {
			return &EndpointError{Method: failed.Method, Attempts: try, Err: errors.Join(err, failed.Error)}
		}
	}
}

// round sends each request once, in batches that the endpoint accepts.
func (r *reader) round(ctx context.Context, elems []rpc.BatchElem, todo []int, try int) {
	for len(todo) > 0 {
		n := min(len(todo), int(r.size.Load()))
		chunk := todo[:n]
		if n == 1 {
			e := &elems[chunk[0]]
			e.Error = r.rpc.CallContext(ctx, e.Result, e.Method, e.Args...)
			todo = todo[1:]
			continue
		}
		sent := make([]rpc.BatchElem, n)
		for i, at := range chunk {
			sent[i] = elems[at]
			sent[i].Error = nil
		}
		err := r.rpc.BatchCallContext(ctx, sent)
		if r.mustShrink(err, sent, try) {
			r.size.Store(min(r.size.Load(), int64(max(n/2, 1))))
			continue
		}
		for i, at := range chunk {
			elems[at].Error = sent[i].Error
			if err != nil {
				elems[at].Error = err
			}
		}
		todo = todo[n:]
	}
}

// mustShrink reports whether the endpoint refuses that many requests in one batch. An endpoint that fails repeatedly
// without a reason gets smaller ones, too.
func (r *reader) mustShrink(err error, sent []rpc.BatchElem, try int) bool {
	if err != nil {
		kind := classify(err)
		return kind == batchTooLarge || kind == final && !errors.Is(err, context.Canceled) || kind == outage && try > 2
	}
	for _, e := range sent {
		if e.Error == nil {
			return false
		}
		if !errors.Is(e.Error, rpc.ErrMissingBatchResponse) && classify(e.Error) != batchTooLarge {
			return false
		}
	}
	return true
}

// call repeats one request until it succeeds.
func (r *reader) call(ctx context.Context, result any, method string, args ...any) error {
	elems := []rpc.BatchElem{request(result, method, args...)}
	if err := r.batch(ctx, elems); err != nil {
		return err
	}
	return firstError(elems)
}

// backoff is the pause after an attempt: a quarter of the poll interval, doubled each time, up to eight of them,
// half of it at random.
func backoff(poll time.Duration, try int) time.Duration {
	d := min(poll/4<<min(try-1, 6), 8*poll)
	return d/2 + rand.N(d/2+1)
}

// pauseAsked returns the pause that the endpoint requested with Retry-After.
func pauseAsked(err error) time.Duration {
	var busy *busyError
	if errors.As(err, &busy) {
		return busy.After
	}
	return 0
}

// firstError returns the first error among the elements.
func firstError(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error != nil {
			return &EndpointError{Method: e.Method, Attempts: 1, Err: e.Error}
		}
	}
	return nil
}

// notReverts returns the first error that is not a contract's refusal.
func notReverts(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error == nil {
			continue
		}
		if _, reverted := revertData(e.Error); !reverted {
			return &EndpointError{Method: e.Method, Attempts: 1, Err: e.Error}
		}
	}
	return nil
}
