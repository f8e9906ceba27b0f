package onchain

import (
	"slices"
	"sync"
)

// nonces assigns the nonces of one account on one chain, so that several sends can be in flight before the endpoint
// has seen the first. A nonce is taken when the transaction is signed: a slow signer blocks nobody, and a failing one
// leaves no gap.
type nonces struct {
	mu   sync.Mutex
	next uint64
	// free are nonces that were taken and given back, in ascending order.
	free []uint64
}

// peek returns the next nonce. pending is the next one according to the endpoint, which can lag.
func (n *nonces) peek(pending uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.first(pending)
}

func (n *nonces) first(pending uint64) uint64 {
	n.free = slices.DeleteFunc(n.free, func(nonce uint64) bool { return nonce < pending })
	if len(n.free) > 0 {
		return n.free[0]
	}
	return max(n.next, pending)
}

// take takes a nonce that was next, and reports whether it still is.
func (n *nonces) take(nonce, pending uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first(pending) != nonce {
		return false
	}
	if len(n.free) > 0 {
		n.free = n.free[1:]
		return true
	}
	n.next = nonce + 1
	return true
}

// release returns a nonce that no accepted transaction has, so that later ones do not wait behind a gap.
func (n *nonces) release(nonce uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch at, found := slices.BinarySearch(n.free, nonce); {
	case found || nonce >= n.next:
	case nonce == n.next-1:
		n.next--
	default:
		n.free = slices.Insert(n.free, at, nonce)
	}
}

// accounts are the nonces of one account by chain. The signers of this package contain them, so that two Chains with
// one signer do not use the same nonce.
type accounts struct {
	mu     sync.Mutex
	chains map[uint64]*nonces
}

func (a *accounts) nonces(chainID uint64) *nonces {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.chains == nil {
		a.chains = map[uint64]*nonces{}
	}
	if a.chains[chainID] == nil {
		a.chains[chainID] = new(nonces)
	}
	return a.chains[chainID]
}

// noncesOf returns the nonces of a signer, or new ones.
func noncesOf(signer Signer, chainID uint64) *nonces {
	if carrier, ok := signer.(interface{ nonces(uint64) *nonces }); ok {
		return carrier.nonces(chainID)
	}
	return new(nonces)
}
