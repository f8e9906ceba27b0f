// Package pause waits for a time or the end of a context.
package pause

import (
	"context"
	"time"
)

// For waits for d. It returns the cause of the context if that ends first.
func For(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
