package webhook

import (
	"context"
	"errors"
)

// Store remembers which events were handled, so that a repeated delivery is not handled again. It must be safe for
// concurrent use.
//
// An id is claimed before the function of a [Receiver] is called. Afterwards it is finished if the function
// succeeded, or released if it failed, so that the next attempt is handled. A store outside of the process must
// expire a claim that is neither finished nor released, because its process may have died. It must keep finished ids
// for at least two hours and twice the tolerance, because the last attempt of a delivery comes 71 minutes after the
// first.
type Store interface {
	// Claim claims the id for the caller. It returns [ErrHandled] if the id is finished, [ErrBeingHandled] if another
	// caller has claimed it, and any other error if the state is unknown; the event is then not handled.
	Claim(ctx context.Context, id string) error
	// Finish remembers a claimed id as handled.
	Finish(ctx context.Context, id string) error
	// Release forgets a claimed id.
	Release(ctx context.Context, id string) error
}

// The errors of a [Store]'s Claim.
var (
	// ErrHandled is returned if an event was handled before.
	ErrHandled = errors.New("webhook: event handled before")
	// ErrBeingHandled is returned while an event is being handled.
	ErrBeingHandled = errors.New("webhook: event being handled")
)
