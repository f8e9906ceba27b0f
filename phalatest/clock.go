package phalatest

import (
	"context"
	"sync"
	"time"
)

// clock counts the steps that CVMs take, by time or by hand. It uses package time only, so that
// testing/synctest controls it, and no goroutine.
type clock struct {
	tick  time.Duration // 0: by hand
	start time.Time

	mu      sync.Mutex
	count   int64
	changed chan struct{}
}

func newClock(tick time.Duration) *clock {
	return &clock{tick: tick, start: time.Now(), changed: make(chan struct{})}
}

func (c *clock) now() int64 {
	if c.tick > 0 {
		return int64(time.Since(c.start) / c.tick)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *clock) advance() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns after the next step, or when ctx or d ends.
func (c *clock) wait(ctx context.Context, d time.Duration) {
	var step <-chan struct{}
	if c.tick > 0 {
		d = min(d, c.tick)
	} else {
		c.mu.Lock()
		step = c.changed
		c.mu.Unlock()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-step:
	case <-ctx.Done():
	}
}
