package client

import "sync"

// The token bucket ends retry storms: when most calls of a client fail, repeating each of them would only
// add load. The numbers follow the standard mode of the AWS SDKs.
const (
	bucketSize = 500
	retryCost  = 5
	refund     = 1
)

type bucket struct {
	mu     sync.Mutex
	tokens int
}

func newBucket() *bucket { return &bucket{tokens: bucketSize} }

// take pays for a repetition, or says that there is nothing left to pay with.
func (b *bucket) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < retryCost {
		return false
	}
	b.tokens -= retryCost
	return true
}

// succeed gives back what repeating a call has cost, or a little for a call that worked at once.
func (b *bucket) succeed(retries int) {
	b.mu.Lock()
	b.tokens = min(bucketSize, b.tokens+max(refund, retries*retryCost))
	b.mu.Unlock()
}
