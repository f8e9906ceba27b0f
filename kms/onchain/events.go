package onchain

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// ErrUnknownEvent is returned when a log is none of the contracts' events.
var ErrUnknownEvent = errors.New("not an event of these contracts")

// Event is an event of a contract.
type Event struct {
	Contract  common.Address
	Block     uint64
	BlockHash common.Hash
	Tx        common.Hash
	// Index is the index among the logs of the block.
	Index uint
	// Value is one of the event types of dstackkms, if Contract is the KMS, or dstackapp, such as
	// *dstackapp.AppComposeHashAdded.
	Value bind.ContractEvent
}

// Cursor returns the position of the event: a watch that continues from it yields the next one.
func (e Event) Cursor() Cursor {
	index := e.Index
	return Cursor{Block: e.Block, Hash: e.BlockHash, Index: &index}
}

// Cursor is a position among the events of a chain. It serialises to JSON, so that another process can continue from
// it.
type Cursor struct {
	Block uint64 `json:"block"`
	// Hash is that of the block. A watch that continues from the cursor detects if the block was replaced. Zero is
	// not compared.
	Hash common.Hash `json:"hash"`
	// Index is the last log of the block that was read. Nil means that all of the block was read.
	Index *uint `json:"index,omitempty"`
}

// IsZero reports whether the cursor is no position.
func (c Cursor) IsZero() bool { return c.Block == 0 && c.Hash == common.Hash{} && c.Index == nil }

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

// errStopped is returned if the loop over the events has ended.
var errStopped = errors.New("stopped")

// watch is one run of Watch.
type watch struct {
	c       *Chain
	options WatchOptions
	logs    *logReader
	begun   bool
	// failed is the number of failures in a row, and refused that of those that are probably permanent.
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

// begin sets the position to start from.
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
	case errors.As(failure, &head) || kind.transient():
		w.refused = 0
	default:
		// A refused range is shorter the next time. If it cannot be shorter, the refusal is not about the range.
		if w.refused++; w.refused > patience && !ofRange {
			return failure
		}
	}
	if w.options.OnError != nil {
		w.options.OnError(failure)
	}
	w.failed++
	wait := min(w.c.cfg.poll<<min(w.failed-1, 8), maxPause)
	_ = pause.For(ctx, max(wait, requestedPause(failure)))
	return nil
}

// DecodeEvent decodes a log of the KMS's contract or of an app's. The error is [ErrUnknownEvent] if it is none of
// their events. A malformed log is an error too, never a value of zeros.
func (c *Chain) DecodeEvent(log *types.Log) (Event, error) {
	if log == nil || len(log.Topics) == 0 {
		return Event{}, ErrUnknownEvent
	}
	event := Event{Contract: log.Address, Block: log.BlockNumber, BlockHash: log.BlockHash, Tx: log.TxHash, Index: log.Index}
	var err error
	if log.Address == c.contract.Address {
		event.Value, err = decodeKMSEvent(log)
	} else {
		event.Value, err = decodeAppEvent(log)
	}
	return event, err
}

func decodeKMSEvent(log *types.Log) (bind.ContractEvent, error) {
	k := dstackkms.NewKms()
	event, err := eventOf(k.GetABI(), log)
	if err != nil {
		return nil, err
	}
	switch event.Name {
	case dstackkms.KmsAppDeployedViaFactoryEventName:
		return value(k.UnpackAppDeployedViaFactoryEvent(log))
	case dstackkms.KmsAppRegisteredEventName:
		return value(k.UnpackAppRegisteredEvent(log))
	case dstackkms.KmsAppImplementationSetEventName:
		return value(k.UnpackAppImplementationSetEvent(log))
	case dstackkms.KmsKmsInfoSetEventName:
		return value(k.UnpackKmsInfoSetEvent(log))
	case dstackkms.KmsGatewayAppIdSetEventName:
		return value(k.UnpackGatewayAppIdSetEvent(log))
	case dstackkms.KmsKmsAggregatedMrAddedEventName:
		return value(k.UnpackKmsAggregatedMrAddedEvent(log))
	case dstackkms.KmsKmsAggregatedMrRemovedEventName:
		return value(k.UnpackKmsAggregatedMrRemovedEvent(log))
	case dstackkms.KmsKmsDeviceAddedEventName:
		return value(k.UnpackKmsDeviceAddedEvent(log))
	case dstackkms.KmsKmsDeviceRemovedEventName:
		return value(k.UnpackKmsDeviceRemovedEvent(log))
	case dstackkms.KmsOsImageHashAddedEventName:
		return value(k.UnpackOsImageHashAddedEvent(log))
	case dstackkms.KmsOsImageHashRemovedEventName:
		return value(k.UnpackOsImageHashRemovedEvent(log))
	case dstackkms.KmsPolicyChangedEventName:
		return value(k.UnpackPolicyChangedEvent(log))
	case dstackkms.KmsOwnershipTransferredEventName:
		return value(k.UnpackOwnershipTransferredEvent(log))
	case dstackkms.KmsOwnershipTransferStartedEventName:
		return value(k.UnpackOwnershipTransferStartedEvent(log))
	case dstackkms.KmsUpgradedEventName:
		return value(k.UnpackUpgradedEvent(log))
	case dstackkms.KmsInitializedEventName:
		return value(k.UnpackInitializedEvent(log))
	}
	return nil, ErrUnknownEvent
}

func decodeAppEvent(log *types.Log) (bind.ContractEvent, error) {
	a := dstackapp.NewApp()
	event, err := eventOf(a.GetABI(), log)
	if err != nil {
		return nil, err
	}
	switch event.Name {
	case dstackapp.AppComposeHashAddedEventName:
		return value(a.UnpackComposeHashAddedEvent(log))
	case dstackapp.AppComposeHashRemovedEventName:
		return value(a.UnpackComposeHashRemovedEvent(log))
	case dstackapp.AppDeviceAddedEventName:
		return value(a.UnpackDeviceAddedEvent(log))
	case dstackapp.AppDeviceRemovedEventName:
		return value(a.UnpackDeviceRemovedEvent(log))
	case dstackapp.AppAllowAnyDeviceSetEventName:
		return value(a.UnpackAllowAnyDeviceSetEvent(log))
	case dstackapp.AppRequireTcbUpToDateSetEventName:
		return value(a.UnpackRequireTcbUpToDateSetEvent(log))
	case dstackapp.AppUpgradesDisabledEventName:
		return value(a.UnpackUpgradesDisabledEvent(log))
	case dstackapp.AppPolicyChangedEventName:
		return value(a.UnpackPolicyChangedEvent(log))
	case dstackapp.AppOwnershipTransferredEventName:
		return value(a.UnpackOwnershipTransferredEvent(log))
	case dstackapp.AppOwnershipTransferStartedEventName:
		return value(a.UnpackOwnershipTransferStartedEvent(log))
	case dstackapp.AppUpgradedEventName:
		return value(a.UnpackUpgradedEvent(log))
	case dstackapp.AppInitializedEventName:
		return value(a.UnpackInitializedEvent(log))
	}
	return nil, ErrUnknownEvent
}

// eventOf returns the event of a log. The generated code reads missing data as zeros, so its presence is checked here.
func eventOf(contract abi.ABI, log *types.Log) (*abi.Event, error) {
	event, err := contract.EventByID(log.Topics[0])
	if err != nil {
		return nil, ErrUnknownEvent
	}
	if len(log.Data) == 0 && len(event.Inputs.NonIndexed()) > 0 {
		return nil, fmt.Errorf("event %s of %s: no data", event.Name, log.Address)
	}
	return event, nil
}

// value returns an interface that is nil after a failed decoding, not one with a nil pointer.
func value[E any, P interface {
	*E
	bind.ContractEvent
}](decoded P, err error) (bind.ContractEvent, error) {
	if err != nil {
		return nil, fmt.Errorf("event: %w", err)
	}
	return decoded, nil
}
