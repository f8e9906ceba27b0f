package onchain

import "time"

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
