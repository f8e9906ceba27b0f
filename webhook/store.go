package webhook

import (
	"context"
	"errors"
)

// Store remembers which events were handled, so that a repeated delivery is not handled again. It must be safe
// for concurrent use.
//
// An id is claimed before the function of a [Receiver] is called, and then either finished, where the function
// succeeded, or released, where it failed, so that the next attempt is handled. A store outside of the process
// lets a claim that is neither finished nor released expire, because its process may have died; it keeps what is
// finished for at least two hours and twice the tolerance, because the last attempt of a delivery comes 71
// minutes after the first.
type Store interface {
	// Claim takes the id for the caller. It fails with [ErrHandled] where the id is finished, with
	// [ErrBeingHandled] where another caller has it, and with any other error where it cannot tell; the
	// event is then not handled.
	Claim(ctx context.Context, id string) error
	// Finish remembers a claimed id as handled.
	Finish(ctx context.Context, id string) error
	// Release forgets a claimed id.
	Release(ctx context.Context, id string) error
}

// What Claim of a [Store] answers for an id that cannot be claimed.
var (
	// ErrHandled is returned if an event was handled before.
	ErrHandled = errors.New("webhook: event handled before")
	// ErrBeingHandled is returned while an event is being handled.
	ErrBeingHandled = errors.New("webhook: event being handled")
)
