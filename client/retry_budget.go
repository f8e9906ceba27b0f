package client

import "sync"

// The retry budget, a token bucket, ends retry storms: if most calls of a client fail, repeating each of them would
// only add load. The numbers are those of the standard mode of the AWS SDKs.
const (
	budgetSize = 500
	retryCost  = 5
	refund     = 1
)

type retryBudget struct {
	mu     sync.Mutex
	tokens int
}

func newRetryBudget() *retryBudget { return &retryBudget{tokens: budgetSize} }

// take takes the tokens of a repetition from the budget, and reports whether there were enough.
func (b *retryBudget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < retryCost {
		return false
	}
	b.tokens -= retryCost
	return true
}

// succeed returns the tokens of the repetitions of a call, or a little for a call that succeeded at once.
func (b *retryBudget) succeed(retries int) {
	b.mu.Lock()
	b.tokens = min(budgetSize, b.tokens+max(refund, retries*retryCost))
	b.mu.Unlock()
}
