package chaintest

import (
	"context"
	"crypto/ecdsa"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/phala-go/phala/kms/onchain"
)

// WithAccounts sets the accounts of [Attach]: the first one signs. None receives money.
func WithAccounts(keys ...*ecdsa.PrivateKey) Option {
	return func(c *config) { c.accounts = keys }
}

// WithKMSKey sets the root key of the KMS and the public key of its CA (DER SubjectPublicKeyInfo), which must be in
// the contract of [Attach].
func WithKMSKey(root *ecdsa.PrivateKey, ca []byte) Option {
	return func(c *config) { c.rootKey, c.rootCA = root, ca }
}

// Attach returns a chain with existing contracts: a KMS of your own on a development chain, or on a fork of a public
// one. It deploys nothing. Features of the simulated chain (mining, reorganisations) are not available; the faults of
// the endpoint are. The caller closes rpc.
func Attach(t TB, rpc onchain.RPC, contract onchain.Contract, opts ...Option) *Chain {
	t.Helper()
	c, err := newChain(opts)
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var chainID hexutil.Uint64
	if err := rpc.CallContext(ctx, &chainID, "eth_chainId"); err != nil {
		t.Fatalf("chaintest: eth_chainId: %v", err)
		return nil
	}
	if uint64(chainID) != contract.ChainID {
		t.Fatalf("chaintest: the endpoint is of chain %d, want %d", uint64(chainID), contract.ChainID)
		return nil
	}
	c.inner, c.chainID, c.KMS, c.Accounts = rpc, contract.ChainID, contract.Address, c.cfg.accounts
	if c.cfg.rootKey != nil {
		c.RootKey, c.rootCA = c.cfg.rootKey, c.cfg.rootCA
	}
	return c
}
