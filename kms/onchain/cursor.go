package onchain

import "github.com/ethereum/go-ethereum/common"

// Cursor is a position among the events of a chain. It serialises to JSON, so that another process can continue from
// it.
type Cursor struct {
	Block uint64 `json:"block"`
	// Hash is that of the block. A watch that continues from the cursor detects if the block was replaced. Zero is
	// not compared.
	Hash common.Hash `json:"hash"`
	// Index is the last log of the block that was read. Nil means that all of the block was read.
	Index *uint `json:"index,omitempty"`
}

// IsZero reports whether the cursor is no position.
func (c Cursor) IsZero() bool { return c.Block == 0 && c.Hash == common.Hash{} && c.Index == nil }
