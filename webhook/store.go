package webhook

import (
	"context"
	"errors"
	"sync"
	"time"
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

// retryWindow is longer than the cloud tries to deliver an event: 1 + 10 + 60 minutes, and the attempts.
const retryWindow = 2 * time.Hour

// DefaultMemory is the number of handled events that a [Receiver] remembers without [WithStore]. Only events that the
// cloud has signed are remembered; an id takes about 200 bytes.
const DefaultMemory = 100_000

// errCrowded is what Claim returns while as many events are being handled as may be remembered.
var errCrowded = errors.New("webhook: too many events are being handled at once")

// MemoryStore is the [Store] of one process. It forgets an id after a time, and the oldest if there are too many.
type MemoryStore struct {
	keep  time.Duration
	limit int

	mu      sync.Mutex
	ids     map[string]bool // false: being handled
	handled []handled       // oldest first
}

type handled struct {
	id    string
	until time.Time
}

// NewMemoryStore returns a store that remembers handled events for a time, and at most limit of them; limit is also
// the maximum number of events that are handled at once. The cloud delivers an event again for up to 71 minutes. A
// time or limit that is not positive is replaced by two hours and [DefaultMemory].
func NewMemoryStore(keep time.Duration, limit int) *MemoryStore {
	if keep <= 0 {
		keep = retryWindow
	}
	if limit <= 0 {
		limit = DefaultMemory
	}
	return &MemoryStore{keep: keep, limit: limit, ids: map[string]bool{}}
}

// Len returns the number of events that are remembered or being handled.
func (m *MemoryStore) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	return len(m.ids)
}

// Claim claims an id; see [Store].
func (m *MemoryStore) Claim(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	finished, known := m.ids[id]
	switch {
	case finished:
		return ErrHandled
	case known:
		return ErrBeingHandled
	case len(m.ids)-len(m.handled) >= m.limit:
		return errCrowded
	}
	m.ids[id] = false
	return nil
}

// Finish remembers a claimed id as handled.
func (m *MemoryStore) Finish(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.ids[id] = true
	m.handled = append(m.handled, handled{id, now.Add(m.keep)})
	m.forget(now)
	return nil
}

// Release forgets a claimed id.
func (m *MemoryStore) Release(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ids, id)
	return nil
}

func (m *MemoryStore) forget(now time.Time) {
	for len(m.handled) > 0 && (len(m.handled) > m.limit || now.After(m.handled[0].until)) {
		delete(m.ids, m.handled[0].id)
		m.handled[0] = handled{}
		m.handled = m.handled[1:]
	}
}
