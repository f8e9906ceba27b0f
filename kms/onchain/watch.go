package onchain

import (
	"context"
	"errors"
	"iter"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
)

// WatchOptions selects the events to watch.
type WatchOptions struct {
	// From is the first block; 0 is the one after the newest.
	From uint64
	// After is the cursor of an event, or of a progress, to continue from: nothing up to it is yielded again. It
	// takes precedence over From if it is not zero.
	After Cursor
	// Apps are watched besides the contract of the KMS.
	Apps []kms.AppID
	// Range is the maximum number of blocks per request, 1000 if it is 0. It is lowered automatically if the
	// endpoint's limit is lower, and raised again.
	Range uint64
	// Progress, if set, is called with the new position each time blocks were read, also if there was no event in
	// them.
	Progress func(Cursor)
	// OnError, if set, is called with each transient error, such as that of an endpoint that is down.
	OnError func(error)
}

// Watch yields the events of the KMS's contract, and of apps, in order, each once and only when it has the
// confirmations of [WithConfirmations] under the tag of [WithBlockTag]. It polls, so it works with any endpoint, and
// continues until ctx ends or the loop breaks. It waits while an endpoint is down, lags or limits the rate. The error
// is that of the context, a [*ReorgError] if yielded events are no longer in the chain, or an [*EndpointError] if the
// endpoint refuses permanently. Logs that are no events of the contracts are skipped.
func (c *Chain) Watch(ctx context.Context, options WatchOptions) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		addresses := []common.Address{c.contract.Address}
		for _, app := range options.Apps {
			addresses = append(addresses, app.Address())
		}
		w := &watch{c: c, options: options, logs: newLogReader(c, addresses, options.Range)}
		for {
			more, err := w.step(ctx, yield)
			switch {
			case errors.Is(err, errStopped):
				return
			case ctx.Err() != nil:
				yield(Event{}, ctx.Err())
				return
			case err != nil:
				yield(Event{}, err)
				return
			}
			if !more {
				_ = pause.For(ctx, c.cfg.poll)
			}
		}
	}
}

// errStopped: the loop over the events has ended.
var errStopped = errors.New("stopped")

// watch is one run of Watch.
type watch struct {
	c       *Chain
	options WatchOptions
	logs    *logReader
	begun   bool
	// failed is the number of failures in a row, and refused of those that are not likely to pass.
	failed, refused int
}

// step reads some blocks and yields their events. It waits after a transient failure.
func (w *watch) step(ctx context.Context, yield func(Event, error) bool) (more bool, err error) {
	if !w.begun {
		if err := w.begin(ctx); err != nil {
			return true, w.wait(ctx, err)
		}
	}
	parts, more, failure := w.logs.next(ctx)
	for _, p := range parts {
		w.failed, w.refused = 0, 0
		for _, log := range p.logs {
			event, err := w.c.DecodeEvent(log)
			if errors.Is(err, ErrUnknownEvent) {
				continue
			}
			if !yield(event, err) || err != nil {
				return false, errStopped
			}
		}
		if w.options.Progress != nil {
			w.options.Progress(Cursor{Block: p.to, Hash: p.last.Hash})
		}
	}
	if failure != nil {
		return true, w.wait(ctx, failure)
	}
	w.failed, w.refused = 0, 0
	return more, nil
}

// begin finds the start.
func (w *watch) begin(ctx context.Context) error {
	switch {
	case !w.options.After.IsZero():
		w.logs.at = w.options.After
	case w.options.From > 0:
		w.logs.at = Cursor{Block: w.options.From - 1}
	default:
		h, err := w.c.heads(ctx)
		if err != nil {
			return err
		}
		w.logs.at = Cursor{Block: uint64(h.latest.Number)}
	}
	w.begun = true
	return nil
}

// wait waits after a failure. It returns the failure if it is permanent.
func (w *watch) wait(ctx context.Context, failure error) error {
	var reorg *ReorgError
	if errors.As(failure, &reorg) || ctx.Err() != nil {
		return failure
	}
	var head *HeadError
	var endpoint *EndpointError
	ofRange := errors.As(failure, &endpoint) && endpoint.Method == "eth_getLogs" && w.logs.span > 1
	switch kind := classify(failure); {
	case kind == noMethod:
		return failure
	case errors.As(failure, &head) || kind.passes():
		w.refused = 0
	default:
		// A range that was refused was made shorter. When it cannot be shorter, it is not the range.
		if w.refused++; w.refused > patience && !ofRange {
			return failure
		}
	}
	if w.options.OnError != nil {
		w.options.OnError(failure)
	}
	w.failed++
	wait := min(w.c.cfg.poll<<min(w.failed-1, 8), maxPause)
	_ = pause.For(ctx, max(wait, pauseAsked(failure)))
	return nil
}
