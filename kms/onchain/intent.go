package onchain

import (
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
)

// Intent is one change that happens at most once: the call, and every transaction that was signed for it. All have
// the same nonce, so that the chain accepts at most one of them. It serialises to JSON. Anybody who has it can
// broadcast it, but not change it.
type Intent struct {
	ChainID uint64         `json:"chain_id"`
	From    common.Address `json:"from"`
	Nonce   uint64         `json:"nonce"`
	Call    Call           `json:"call"`
	// Block is the newest block when the intent was prepared: no transaction of it is in an older one.
	Block uint64 `json:"block"`
	// Transactions are in the order of signing; each later one replaces those before it.
	Transactions []SignedTx `json:"transactions"`
}

// SignedTx is a signed transaction, ready to broadcast.
type SignedTx struct {
	Hash common.Hash   `json:"hash"`
	Raw  hexutil.Bytes `json:"raw"`
}

func (i *Intent) last() SignedTx {
	if i == nil || len(i.Transactions) == 0 {
		return SignedTx{}
	}
	return i.Transactions[len(i.Transactions)-1]
}

// check compares the signed transactions with the rest of the intent, which may have been read from a file.
func (i *Intent) check(chainID uint64) error {
	if i == nil || len(i.Transactions) == 0 {
		return errors.New("intent: no transaction in it")
	}
	if i.ChainID != chainID {
		return fmt.Errorf("intent: %w", &ChainError{Got: i.ChainID, Want: chainID})
	}
	for _, signed := range i.Transactions {
		tx, err := decodeTx(signed.Raw)
		if err != nil {
			return fmt.Errorf("intent: transaction %s: %w", signed.Hash, err)
		}
		from, err := types.Sender(types.LatestSignerForChainID(new(big.Int).SetUint64(chainID)), tx)
		if err != nil {
			return fmt.Errorf("intent: transaction %s: %w", signed.Hash, err)
		}
		inside := Call{Data: tx.Data(), Value: (*hexutil.Big)(tx.Value())}
		if tx.To() != nil {
			inside.To = *tx.To()
		}
		switch {
		case tx.Hash() != signed.Hash:
			return fmt.Errorf("intent: transaction %s has the hash %s", signed.Hash, tx.Hash())
		case from != i.From || tx.Nonce() != i.Nonce:
			return fmt.Errorf("intent: transaction %s is of %s with nonce %d, want %s with nonce %d", signed.Hash, from, tx.Nonce(), i.From, i.Nonce)
		case tx.To() == nil || !inside.same(i.Call):
			return fmt.Errorf("intent: transaction %s does something else than %s", signed.Hash, i.Call.Description)
		}
	}
	return nil
}

// maxTxBytes is the limit of nodes.
const maxTxBytes = 128 << 10

func decodeTx(raw []byte) (*types.Transaction, error) {
	if len(raw) > maxTxBytes {
		return nil, fmt.Errorf("%d bytes, at most %d are allowed", len(raw), maxTxBytes)
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, fmt.Errorf("not a transaction: %w", err)
	}
	return tx, nil
}
