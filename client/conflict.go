package client

import "time"

// While a CVM boots or is changed, calls that would change it are answered 409 without a code. Booting takes
// minutes, so asking every few seconds is enough.
const (
	firstConflictPause = time.Second
	maxConflictPause   = 10 * time.Second
)

// conflictPause is the pause after the given answer 409, counted from 1: half of it fixed, half drawn.
func conflictPause(n int) time.Duration {
	bound := RetryPolicy{BaseDelay: firstConflictPause, MaxDelay: maxConflictPause}.bound(n)
	return bound/2 + jitter(bound/2)
}
