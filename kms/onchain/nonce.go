package onchain

import (
	"slices"
	"sync"
)

// nonces hands out the nonces of one account, so that several sends can be in flight before the endpoint has
// seen the first.
type nonces struct {
	mu   sync.Mutex
	next uint64
	// free are nonces that were handed out and given back, in ascending order.
	free []uint64
}

// take gives the next nonce. pending is what the endpoint says is next, which can lag. The caller holds mu,
// so that no other nonce is handed out before this one is signed for.
func (n *nonces) take(pending uint64) uint64 {
	n.free = slices.DeleteFunc(n.free, func(nonce uint64) bool { return nonce < pending })
	if len(n.free) > 0 {
		nonce := n.free[0]
		n.free = n.free[1:]
		return nonce
	}
	nonce := max(n.next, pending)
	n.next = nonce + 1
	return nonce
}

// release gives a nonce back that no accepted transaction has, so that later ones do not wait behind a gap.
func (n *nonces) release(nonce uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.put(nonce)
}

func (n *nonces) put(nonce uint64) {
	switch at, found := slices.BinarySearch(n.free, nonce); {
	case found || nonce >= n.next:
	case nonce == n.next-1:
		n.next--
	default:
		n.free = slices.Insert(n.free, at, nonce)
	}
}
