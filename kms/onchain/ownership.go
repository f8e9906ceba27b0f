package onchain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
)

// Ownership is the owner of a contract, and an offered owner.
type Ownership struct {
	Owner common.Address
	// Pending is the account that was offered the ownership and has not accepted, or zero.
	Pending common.Address
	// TwoStep reports that a new owner has to accept.
	TwoStep bool
	// IsContract reports that the owner is a contract, such as a Safe: use [Chain.Propose].
	IsContract bool
}

// Ownership reads the owner of the contract of an app, or of the KMS.
func (c *Chain) Ownership(ctx context.Context, contract common.Address) (Ownership, error) {
	at, err := c.view(ctx)
	if err != nil {
		return Ownership{}, err
	}
	return c.ownershipAt(ctx, contract, at.tag())
}

func (c *Chain) ownershipAt(ctx context.Context, contract common.Address, at string) (Ownership, error) {
	var owner, pending hexutil.Bytes
	a := dstackapp.NewApp()
	elems := []rpc.BatchElem{ethCall(&owner, contract, a.PackOwner(), at), ethCall(&pending, contract, a.PackPendingOwner(), at)}
	if err := c.reader.allOrRevert(ctx, elems); err != nil {
		return Ownership{}, err
	}
	if err := firstError(elems[:1]); err != nil {
		return Ownership{}, &ContractError{contract, err}
	}
	var out Ownership
	var err error
	if out.Owner, err = a.UnpackOwner(owner); err != nil {
		return Ownership{}, &ContractError{contract, fmt.Errorf("owner: %w", err)}
	}
	if offered, err := a.UnpackPendingOwner(pending); err == nil {
		out.Pending, out.TwoStep = offered, true
	}
	out.IsContract, err = c.isContract(ctx, out.Owner, at)
	return out, err
}

// isContract reports whether an account is a contract. A delegation (EIP-7702) is code, but its account still signs.
func (c *Chain) isContract(ctx context.Context, account common.Address, at string) (bool, error) {
	if account == (common.Address{}) {
		return false, nil
	}
	var code hexutil.Bytes
	err := c.reader.call(ctx, &code, "eth_getCode", account, at)
	return len(code) > 0 && !(len(code) == 23 && code[0] == 0xef && code[1] == 0x01), err
}

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
	if err := c.settle(ctx, receipt.Tx, "the owner", to.String(), func(ctx context.Context) (string, bool, error) {
		is, err := c.Ownership(ctx, contract)
		if is.TwoStep && is.Owner != to {
			return fmt.Sprintf("%s, offered to %s", is.Owner, is.Pending), is.Pending == to, err
		}
		return is.Owner.String(), is.Owner == to, err
	}); err != nil {
		return nil, err
	}
	return receipt, nil
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
	if err := c.settle(ctx, receipt.Tx, "the owner", c.Sender().String(), func(ctx context.Context) (string, bool, error) {
		is, err := c.Ownership(ctx, contract)
		return is.Owner.String(), is.Owner == c.Sender(), err
	}); err != nil {
		return nil, err
	}
	return receipt, nil
}
