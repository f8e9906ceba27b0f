package onchain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
)

// TransferOwnership makes to the owner of a contract, at once and finally if the contract has one step, or offers it
// the ownership if it has two: [Chain.Ownership] reports which. The error is one of those of [Chain.Prepare] and
// [Chain.Send].
func (c *Chain) TransferOwnership(ctx context.Context, contract, to common.Address, opts ...SendOption) (*Receipt, error) {
	call, err := TransferOwnershipCall(contract, to)
	if err != nil {
		return nil, err
	}
	if _, err := c.Ownership(ctx, contract); err != nil {
		return nil, err
	}
	receipt, _, err := c.sendOnce(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	return settled(receipt, c.settle(ctx, receipt.Tx, "the owner", to.String(), func(ctx context.Context) (string, bool, error) {
		is, err := c.Ownership(ctx, contract)
		if is.TwoStep && is.Owner != to {
			return fmt.Sprintf("%s, offered to %s", is.Owner, is.Pending), is.Pending == to, err
		}
		return is.Owner.String(), is.Owner == to, err
	}))
}

// AcceptOwnership accepts the ownership of a contract that was offered to the signer. The error is [ErrOneStep] if
// the contract does not support offers, or one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AcceptOwnership(ctx context.Context, contract common.Address, opts ...SendOption) (*Receipt, error) {
	call, err := AcceptOwnershipCall(contract)
	if err != nil {
		return nil, err
	}
	is, err := c.Ownership(ctx, contract)
	if err != nil {
		return nil, err
	}
	if !is.TwoStep {
		return nil, &ContractError{contract, ErrOneStep}
	}
	receipt, _, err := c.sendOnce(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	return settled(receipt, c.settle(ctx, receipt.Tx, "the owner", c.Sender().String(), func(ctx context.Context) (string, bool, error) {
		is, err := c.Ownership(ctx, contract)
		return is.Owner.String(), is.Owner == c.Sender(), err
	}))
}
