package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
)

// Prepare tries call, chooses gas, fees and nonce, checks the balance and signs, but sends nothing. Store the
// intent, then [Chain.Send] it. An intent that will never be sent should be given to [Chain.Abandon], because
// later ones wait behind its nonce.
//
// It fails with [ErrNoSigner], a [*ChainError], a [*ContractError], a [*RevertError] with the contract's
// reason, a [*FeeError], a [*BalanceError] or a [*SignatureError].
func (c *Chain) Prepare(ctx context.Context, call Call) (*Intent, error) {
	if c.cfg.signer == nil {
		return nil, ErrNoSigner
	}
	terms, err := c.terms(ctx, call)
	if err != nil {
		return nil, err
	}
	from := c.Sender()
	c.nonces.mu.Lock()
	defer c.nonces.mu.Unlock()
	var pending hexutil.Uint64
	if err := c.rpc.CallContext(ctx, &pending, "eth_getTransactionCount", from, "pending"); err != nil {
		return nil, fmt.Errorf("eth_getTransactionCount: %w", withoutAddress(err))
	}
	nonce := c.nonces.take(uint64(pending))
	signed, err := c.sign(ctx, types.NewTx(&types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(c.contract.ChainID), Nonce: nonce,
		GasTipCap: terms.tip, GasFeeCap: terms.feeCap, Gas: terms.gas,
		To: &call.To, Value: call.value(), Data: call.Data,
	}))
	if err != nil {
		c.nonces.put(nonce)
		return nil, err
	}
	return &Intent{
		ChainID: c.contract.ChainID, From: from, Nonce: nonce, Call: call, Block: terms.block, Transactions: []SignedTx{signed},
	}, nil
}

// Abandon gives the nonce of an intent back that was never sent.
func (c *Chain) Abandon(intent *Intent) {
	if intent != nil && intent.From == c.Sender() {
		c.nonces.release(intent.Nonce)
	}
}

// terms are the conditions of a transaction.
type terms struct {
	fees
	gas   uint64
	block uint64
}

// terms asks for all that a transaction needs but the nonce, in one round trip.
func (c *Chain) terms(ctx context.Context, call Call) (terms, error) {
	from := c.Sender()
	args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
	var (
		chainID, gas hexutil.Uint64
		balance, tip hexutil.Big
		code, result hexutil.Bytes
		head         header
	)
	elems := []rpc.BatchElem{
		request(&chainID, "eth_chainId"),
		request(&code, "eth_getCode", call.To, "latest"),
		request(&balance, "eth_getBalance", from, "latest"),
		request(&head, "eth_getBlockByNumber", "latest", false),
		request(&tip, "eth_maxPriorityFeePerGas"),
		request(&result, "eth_call", args, "latest"),
		request(&gas, "eth_estimateGas", args),
	}
	if err := c.batch(ctx, elems); err != nil {
		return terms{}, err
	}
	if err := firstError(elems[:5]); err != nil {
		return terms{}, err
	}
	if got := uint64(chainID); got != c.contract.ChainID {
		return terms{}, &ChainError{Got: got, Want: c.contract.ChainID}
	}
	if len(code) == 0 {
		return terms{}, &ContractError{call.To, ErrNoCode}
	}
	for _, tried := range elems[5:] {
		if tried.Error != nil {
			return terms{}, revert(call, tried.Error)
		}
	}
	fees, err := c.fees(head, tip.ToInt())
	if err != nil {
		return terms{}, err
	}
	// What others do in between can make a call cost more than was estimated.
	out := terms{fees: fees, gas: uint64(gas) + uint64(gas)/4, block: uint64(head.Number)}
	need := new(big.Int).Mul(out.feeCap, new(big.Int).SetUint64(out.gas))
	need.Add(need, call.value())
	if have := balance.ToInt(); have.Cmp(need) < 0 {
		return terms{}, &BalanceError{Account: from, Have: have, Need: need}
	}
	return out, nil
}

// fees are those of EIP-1559, in wei for a unit of gas.
type fees struct{ tip, feeCap *big.Int }

// fees allows for a base fee that doubles, which takes six full blocks at least.
func (c *Chain) fees(head header, tip *big.Int) (fees, error) {
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

// bumped are the fees of a replacement: an eighth more, where nodes ask for a tenth, or what the chain asks
// for now where that is more.
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
