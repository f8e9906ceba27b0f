package webhook

import (
	"context"
	"sync"
	"time"
)

// retryWindow is longer than the cloud tries to deliver an event: 1 + 10 + 60 minutes, and the attempts.
const retryWindow = 2 * time.Hour

// memoryLimit bounds how many handled ids are kept. Only events that the cloud has signed get here.
const memoryLimit = 100_000

// memory is the store of one process. It forgets an id after a time, and the oldest where there are too many.
type memory struct {
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

func newMemory(keep time.Duration, limit int) *memory {
	return &memory{keep: keep, limit: limit, ids: map[string]bool{}}
}

func (m *memory) Claim(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(time.Now())
	finished, known := m.ids[id]
	switch {
	case finished:
		return ErrHandled
	case known:
		return ErrBeingHandled
	}
	m.ids[id] = false
	return nil
}

func (m *memory) Finish(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	m.ids[id] = true
	m.handled = append(m.handled, handled{id, now.Add(m.keep)})
	m.forget(now)
	return nil
}

func (m *memory) Release(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.ids, id)
	return nil
}

func (m *memory) forget(now time.Time) {
	for len(m.handled) > 0 && (len(m.handled) > m.limit || now.After(m.handled[0].until)) {
		delete(m.ids, m.handled[0].id)
		m.handled[0] = handled{}
		m.handled = m.handled[1:]
	}
}
