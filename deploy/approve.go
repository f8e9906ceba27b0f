package deploy

import (
	"context"
	"errors"

	"github.com/ethereum/go-ethereum/common"
)

// Approve allows on chain what p waits for, with the account of chain, which must own the app's contract. It
// sends only what the contract does not allow yet, and needs no access to the cloud. With [WithPending] p is
// saved before each transaction, so that a run after a crash sends nothing twice.
//
// An owner that is a contract itself, such as a Safe, approves by a proposal instead; see [Pending.Approved].
func Approve(ctx context.Context, chain Chain, p *Pending, opts ...Option) error {
	cfg, err := configure(append(opts[:len(opts):len(opts)], WithChain(chain)))
	if err != nil {
		return err
	}
	return approve(ctx, p, cfg)
}

func approve(ctx context.Context, p *Pending, cfg *config) error {
	if p.Transaction != "" {
		return nil
	}
	if err := sameChain(cfg.chain, p.ChainID, p.KMSContract); err != nil {
		return err
	}
	dev, err := device(p.DeviceID)
	if err != nil {
		return err
	}
	log := &intents{all: &p.Intents, save: func() error { return cfg.keep(p) }}
	transaction, err := allow(ctx, cfg.chain, p.AppID, p.ComposeHash, dev, log)
	if err != nil {
		return err
	}
	p.Transaction = transaction
	cfg.progress(RegisteredEvent{AppID: p.AppID.String(), ChainID: cfg.chain.ChainID(), Transaction: transaction})
	return cfg.keep(p)
}

// Approved records that somebody else has allowed what p waits for. After a Safe, or another owner that is a
// contract, has executed a proposal, pass the zero hash: the contract allows it already, and the cloud looks at the
// contract itself. Whether it takes the transaction in which a Safe executed is not published. Pass a transaction if
// it called the app's contract itself.
func (p *Pending) Approved(transaction common.Hash) {
	p.Transaction = AlreadyRegistered
	if transaction != (common.Hash{}) {
		p.Transaction = transaction.Hex()
	}
}

// errNoChain is an approval without a chain.
var errNoChain = errors.New("deploy: WithChain needs a chain")
