package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
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

// Prepare tries call, chooses gas, fees and nonce, checks the balance and signs, but sends nothing. Store the
// intent, then [Chain.Send] it. An intent that will never be sent should be given to [Chain.Abandon], because
// later ones wait behind its nonce.
//
// The error is [ErrNoSigner], a [*ChainError], a [*ContractError], a [*RevertError] with the contract's reason, a
// [*FeeError], a [*BalanceError], a [*SignatureError], a [*HeadError] or an [*EndpointError].
func (c *Chain) Prepare(ctx context.Context, call Call) (*Intent, error) {
	if c.cfg.signer == nil {
		return nil, ErrNoSigner
	}
	terms, err := c.terms(ctx, call)
	if err != nil {
		return nil, err
	}
	from := c.Sender()
	for try := 0; ; try++ {
		var pending hexutil.Uint64
		if err := c.reader.call(ctx, &pending, "eth_getTransactionCount", from, "pending"); err != nil {
			return nil, err
		}
		// The node that responds may lag.
		least := max(uint64(pending), terms.nonce)
		nonce := c.nonces.peek(least)
		// After some attempts the nonce is taken before signing, because a slow signer could otherwise lose it each time.
		reserved := try >= patience && c.nonces.take(nonce, least)
		signed, err := c.sign(ctx, types.NewTx(&types.DynamicFeeTx{
			ChainID: new(big.Int).SetUint64(c.contract.ChainID), Nonce: nonce,
			GasTipCap: terms.tip, GasFeeCap: terms.feeCap, Gas: terms.gas,
			To: &call.To, Value: call.value(), Data: call.Data,
		}))
		if err != nil {
			if reserved {
				c.nonces.release(nonce)
			}
			return nil, err
		}
		if !reserved && !c.nonces.take(nonce, least) {
			continue
		}
		return &Intent{
			ChainID: c.contract.ChainID, From: from, Nonce: nonce, Call: call, Block: terms.block, Transactions: []SignedTx{signed},
		}, nil
	}
}

// Abandon releases the nonce of an intent that was never sent.
func (c *Chain) Abandon(intent *Intent) {
	if intent != nil && intent.From == c.Sender() {
		c.nonces.release(intent.Nonce)
	}
}

// terms are the conditions of a transaction.
type terms struct {
	fees
	gas   uint64
	nonce uint64
	block uint64
}

// terms reads everything that a transaction needs, at one block.
func (c *Chain) terms(ctx context.Context, call Call) (terms, error) {
	h, err := c.heads(ctx)
	if err != nil {
		return terms{}, err
	}
	head := h.latest
	from, at := c.Sender(), head.tag()
	args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
	var (
		chainID, gas, nonce hexutil.Uint64
		balance             hexutil.Big
		code, result        hexutil.Bytes
		implementation      common.Hash
	)
	elems := []rpc.BatchElem{
		request(&chainID, "eth_chainId"),
		request(&nonce, "eth_getTransactionCount", from, at),
		request(&code, "eth_getCode", call.To, at),
		request(&balance, "eth_getBalance", from, at),
		request(&implementation, "eth_getStorageAt", c.contract.Address, implementationSlot, at),
		request(&result, "eth_call", args, at),
		request(&gas, "eth_estimateGas", args, at),
	}
	if err := c.reader.batch(ctx, elems); err != nil {
		return terms{}, err
	}
	if err := firstError(elems[:5]); err != nil {
		return terms{}, err
	}
	if got := uint64(chainID); got != c.contract.ChainID {
		return terms{}, &ChainError{Got: got, Want: c.contract.ChainID}
	}
	if err := c.checkImplementation(implementation); err != nil {
		return terms{}, err
	}
	if len(code) == 0 {
		return terms{}, &ContractError{call.To, ErrNoCode}
	}
	for _, tried := range elems[5:] {
		if tried.Error != nil {
			return terms{}, revert(call, tried.Error)
		}
	}
	tip, err := c.tip(ctx, head)
	if err != nil {
		return terms{}, err
	}
	fees, err := c.fees(head, tip)
	if err != nil {
		return terms{}, err
	}
	// Transactions of others in between can make a call cost more than the estimate.
	out := terms{fees: fees, gas: uint64(gas) + uint64(gas)/4, nonce: uint64(nonce), block: uint64(head.Number)}
	need := new(big.Int).Mul(out.feeCap, new(big.Int).SetUint64(out.gas))
	need.Add(need, call.value())
	if have := balance.ToInt(); have.Cmp(need) < 0 {
		return terms{}, &BalanceError{Account: from, Have: have, Need: need}
	}
	return out, nil
}

// fees are those of EIP-1559, in wei per unit of gas.
type fees struct{ tip, feeCap *big.Int }

// tip returns the endpoint's suggestion for the block proposer's tip. For endpoints without eth_maxPriorityFeePerGas
// it uses the fee history, or a gas price that includes the base fee.
func (c *Chain) tip(ctx context.Context, head *header) (*big.Int, error) {
	var suggested, price hexutil.Big
	err := c.reader.call(ctx, &suggested, "eth_maxPriorityFeePerGas")
	if err == nil || classify(err) != noMethod {
		return suggested.ToInt(), err
	}
	var history struct {
		Reward [][]*hexutil.Big `json:"reward"`
	}
	if c.reader.call(ctx, &history, "eth_feeHistory", hexutil.Uint64(10), head.tag(), []float64{50}) == nil {
		if tip := medianReward(history.Reward); tip != nil {
			return higher(tip, leastTip()), nil
		}
	}
	if c.reader.call(ctx, &price, "eth_gasPrice") != nil || head.BaseFee == nil {
		return nil, err
	}
	return higher(new(big.Int).Sub(price.ToInt(), head.BaseFee.ToInt()), leastTip()), nil
}

// leastTip is the lowest tip that geth accepts by default for a block: a thousandth of a gwei, in wei.
func leastTip() *big.Int { return big.NewInt(1_000_000) }

// medianReward returns the median of the blocks' rewards; nil if there are none, as in empty blocks.
func medianReward(blocks [][]*hexutil.Big) *big.Int {
	var paid []*big.Int
	for _, block := range blocks {
		if len(block) > 0 && block[0] != nil && block[0].ToInt().Sign() > 0 {
			paid = append(paid, block[0].ToInt())
		}
	}
	if len(paid) == 0 {
		return nil
	}
	slices.SortFunc(paid, (*big.Int).Cmp)
	return paid[len(paid)/2]
}

// fees allows for a base fee that doubles, which takes at least six full blocks.
func (c *Chain) fees(head *header, tip *big.Int) (fees, error) {
	if head.BaseFee == nil {
		return fees{}, errors.New("the chain has no base fee (EIP-1559), which is needed")
	}
	out := fees{tip: new(big.Int).Set(tip), feeCap: new(big.Int).Mul(head.BaseFee.ToInt(), big.NewInt(2))}
	out.feeCap.Add(out.feeCap, out.tip)
	if limit := c.cfg.maxFee; limit != nil && out.feeCap.Cmp(limit) > 0 {
		if least := new(big.Int).Add(head.BaseFee.ToInt(), tip); least.Cmp(limit) > 0 {
			return fees{}, &FeeError{Fee: least, Max: new(big.Int).Set(limit)}
		}
		out.feeCap.Set(limit)
	}
	return out, nil
}

// bumped returns the fees of a replacement: an eighth more (nodes require a tenth), or the present ones if they are
// higher.
func (f fees) bumped(now fees) fees {
	return fees{tip: higher(eighthMore(f.tip), now.tip), feeCap: higher(eighthMore(f.feeCap), now.feeCap)}
}

func eighthMore(wei *big.Int) *big.Int {
	more := new(big.Int).Add(wei, big.NewInt(7))
	return more.Add(more.Rsh(more, 3), wei).Add(more, big.NewInt(1))
}

func higher(a, b *big.Int) *big.Int {
	if a.Cmp(b) < 0 {
		return b
	}
	return a
}
