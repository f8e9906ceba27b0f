package client

import "time"

// While a CVM boots or changes, calls that would change it return 409 without a code. Booting takes minutes, so a
// repetition every few seconds is enough.
const (
	firstConflictPause = time.Second
	maxConflictPause   = 10 * time.Second
)

// conflictPause returns the pause after the n-th 409, counted from 1: half of it fixed, half random.
func conflictPause(n int) time.Duration {
	bound := RetryPolicy{BaseDelay: firstConflictPause, MaxDelay: maxConflictPause}.bound(n)
	return bound/2 + jitter(bound/2)
}
