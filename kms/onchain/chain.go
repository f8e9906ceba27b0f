package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
)

// Contract identifies the contract of a KMS.
type Contract struct {
	// ChainID is that of the chain: 1 for Ethereum, 8453 for Base.
	ChainID uint64
	// Address is that of the DstackKms proxy.
	Address common.Address
}

// Chain is the contract of a KMS on its chain, and through it the contracts of its apps. It is safe for
// concurrent use. Several sends of one account may be in flight at once.
type Chain struct {
	rpc      RPC
	reader   *reader
	contract Contract
	version  ContractVersion
	// implementation is the code behind the proxy of the KMS when the chain was opened.
	implementation common.Hash
	cfg            config
	pace           pace
	nonces         *nonces
	reached        height
}

// Option configures a [Chain].
type Option func(*config) error

type config struct {
	signer        Signer
	confirmations uint64
	tag           BlockTag
	maxHeadAge    time.Duration
	maxFee        *big.Int
	poll          time.Duration
	wait          time.Duration
	replaceAfter  time.Duration
}

// The defaults of the official clients: one confirmation, within two minutes.
const (
	defaultConfirmations = 1
	defaultWait          = 2 * time.Minute
	defaultPoll          = time.Second
	defaultReplaceAfter  = 45 * time.Second
)

// byPace means a duration that depends on the chain.
const byPace = -1

// WithSigner sets the account that changes are sent from. Chains that are opened with the same Signer share its
// nonces.
func WithSigner(signer Signer) Option {
	return func(c *config) error {
		if signer == nil {
			return errors.New("WithSigner needs a signer")
		}
		c.signer = signer
		return nil
	}
}

// WithConfirmations sets the number of blocks, at least 1, that a transaction needs: 1 is the block that it
// is in. The default is 1.
func WithConfirmations(blocks uint64) Option {
	return func(c *config) error {
		if blocks == 0 {
			return errors.New("0 confirmations, want at least 1")
		}
		c.confirmations = blocks
		return nil
	}
}

// WithBlockTag sets the newest block that counts: contracts are read there, and a transaction is confirmed when its
// block is not above it. The default is [Latest].
func WithBlockTag(tag BlockTag) Option {
	return func(c *config) error {
		if tag != Latest && tag != Safe && tag != Finalized {
			return fmt.Errorf("block tag %.20q, want latest, safe or finalized", tag)
		}
		c.tag = tag
		return nil
	}
}

// WithMaxHeadAge sets how old the newest block may be. An endpoint with an older one has stopped, which is a
// [*HeadError]. The default is two minutes on Ethereum and one on Base. On other chains, which may mine only when
// there is a transaction, and with 0 the age is not checked.
func WithMaxHeadAge(d time.Duration) Option {
	return func(c *config) error {
		if d < 0 {
			return fmt.Errorf("a highest age of the newest block of %s, want 0 or more", d)
		}
		c.maxHeadAge = d
		return nil
	}
}

// WithMaxFee limits the price of a unit of gas, in wei, for first sends and for replacements. There is no limit by
// default.
func WithMaxFee(wei *big.Int) Option {
	return func(c *config) error {
		if wei == nil || wei.Sign() <= 0 {
			return fmt.Errorf("a highest fee of %v wei, want more than 0", wei)
		}
		c.maxFee = new(big.Int).Set(wei)
		return nil
	}
}

// WithWait limits the wait for a transaction; after it the error is a [*PendingError]. The default is two minutes,
// and with [WithBlockTag] 15 minutes for [Safe], and for [Finalized] 30 on Ethereum and 45 elsewhere.
func WithWait(d time.Duration) Option { return positive(d, "wait", func(c *config) { c.wait = d }) }

// WithPollInterval sets the interval of polling the chain. The pauses before a failed read is repeated depend on it:
// from a quarter of it up to eight of them. The default is a second.
func WithPollInterval(d time.Duration) Option {
	return positive(d, "poll interval", func(c *config) { c.poll = d })
}

// WithReplaceAfter sets the time after which a pending transaction is replaced by one with the same nonce and higher
// fees. This requires [Checkpoint]. The default is 45 seconds.
func WithReplaceAfter(d time.Duration) Option {
	return positive(d, "time to replacement", func(c *config) { c.replaceAfter = d })
}

func positive(d time.Duration, what string, set func(*config)) Option {
	return func(c *config) error {
		if d <= 0 {
			return fmt.Errorf("a %s of %s, want more than 0", what, d)
		}
		set(c)
		return nil
	}
}

// Open checks that the endpoint is of the right chain and that the contract is a DstackKms of a generation
// that this package supports. The error is a [*ChainError], a [*ContractError], a [*HeadError] or an
// [*EndpointError].
func Open(ctx context.Context, client RPC, contract Contract, opts ...Option) (*Chain, error) {
	if client == nil {
		return nil, errors.New("onchain: no rpc endpoint")
	}
	if contract.ChainID == 0 || contract.Address == (common.Address{}) {
		return nil, fmt.Errorf("onchain: contract %s on chain %d: want both the chain id and the address", contract.Address, contract.ChainID)
	}
	c := &Chain{rpc: client, contract: contract, cfg: config{
		confirmations: defaultConfirmations, tag: Latest, maxHeadAge: byPace, poll: defaultPoll, wait: byPace, replaceAfter: defaultReplaceAfter,
	}}
	for _, o := range opts {
		if err := o(&c.cfg); err != nil {
			return nil, fmt.Errorf("onchain: %w", err)
		}
	}
	c.pace = paceOf(contract.ChainID)
	if c.cfg.wait == byPace {
		c.cfg.wait = c.pace.waits[c.cfg.tag]
	}
	if c.cfg.maxHeadAge == byPace {
		c.cfg.maxHeadAge = c.pace.maxAge
	}
	c.reader = newReader(client, c.cfg.poll)
	c.nonces = noncesOf(c.cfg.signer, contract.ChainID)
	if err := c.probe(ctx); err != nil {
		return nil, fmt.Errorf("onchain: %w", err)
	}
	return c, nil
}

// Contract returns the contract that the chain was opened with.
func (c *Chain) Contract() Contract { return c.contract }

// Version returns the generation of the contracts.
func (c *Chain) Version() ContractVersion { return c.version }

// Sender returns the account of the signer, or zero if there is none.
func (c *Chain) Sender() common.Address {
	if c.cfg.signer == nil {
		return common.Address{}
	}
	return c.cfg.signer.Address()
}

// BlockTag selects the newest block that counts.
type BlockTag string

const (
	// Latest is the newest block. On Ethereum it can be replaced; on Base the sequencer guarantees it.
	Latest BlockTag = "latest"
	// Safe is the newest block that is not expected to be replaced: justified on Ethereum (about 6 minutes
	// behind), published on Ethereum by a rollup (a few minutes).
	Safe BlockTag = "safe"
	// Finalized is the newest block that cannot be replaced without a loss of a third of the stake: about 15
	// minutes behind on Ethereum, 20 to 30 on a rollup.
	Finalized BlockTag = "finalized"
)

// pace is the speed of a chain, if it is known.
type pace struct {
	// block is the time between two blocks.
	block time.Duration
	// maxAge is the age of the newest block from which on the endpoint is taken to have stopped: ten missed slots
	// of Ethereum, which mainnet has not seen in a row, and thirty blocks of Base.
	maxAge time.Duration
	// waits are the times to wait for a transaction by tag.
	waits map[BlockTag]time.Duration
}

// paceOf returns the pace of Ethereum, of Base, and of their test chains. Nothing is assumed of other chains: one may
// mine only when there is a transaction.
func paceOf(chainID uint64) pace {
	switch chainID {
	case 1, 11155111, 560048: // Ethereum, Sepolia, Hoodi
		return pace{12 * time.Second, 2 * time.Minute, map[BlockTag]time.Duration{
			Latest: defaultWait, Safe: 15 * time.Minute, Finalized: 30 * time.Minute,
		}}
	case 8453, 84532: // Base, Base Sepolia
		return pace{2 * time.Second, time.Minute, map[BlockTag]time.Duration{
			Latest: defaultWait, Safe: 15 * time.Minute, Finalized: 45 * time.Minute,
		}}
	}
	return pace{waits: map[BlockTag]time.Duration{Latest: defaultWait, Safe: 15 * time.Minute, Finalized: 45 * time.Minute}}
}
