package onchain

import (
	"context"
	"errors"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
)

// Proposal is a list of calls for an owner that is a contract (a Safe, a timelock). It contains no transaction and no
// signature.
type Proposal struct {
	ChainID uint64 `json:"chain_id"`
	// From is the contract that makes the calls.
	From  common.Address `json:"from"`
	Calls []Call         `json:"calls"`
}

// ErrNothingToPropose is returned when a contract already allows everything that was requested.
var ErrNothingToPropose = errors.New("nothing to propose: the contract allows it already")

// Propose tries each call with from as its sender, and returns them as a proposal; it sends nothing and needs no
// signer. Each call is tried alone, at the newest block. A call that only the owner may make is tried as the present
// owner if from accepts the ownership in an earlier call of the proposal. The error is a [*RevertError], a
// [*ContractError] or an [*EndpointError].
func (c *Chain) Propose(ctx context.Context, from common.Address, calls ...Call) (*Proposal, error) {
	if from == (common.Address{}) || len(calls) == 0 {
		return nil, errors.New("propose: want the address that shall execute, and at least one call")
	}
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	var implementation common.Hash
	if err := c.reader.call(ctx, &implementation, "eth_getStorageAt", c.contract.Address, implementationSlot, at.tag()); err != nil {
		return nil, err
	}
	if err := c.checkImplementation(implementation); err != nil {
		return nil, err
	}
	owners := map[common.Address]common.Address{}
	for _, call := range calls {
		acts, taken := owners[call.To]
		if !taken {
			acts = from
		}
		if err := c.try(ctx, acts, call, at.tag()); err != nil {
			return nil, err
		}
		accept, err := AcceptOwnershipCall(call.To)
		if err != nil {
			return nil, err
		}
		if !call.same(accept) {
			continue
		}
		is, err := c.ownershipAt(ctx, call.To, at.tag())
		if err != nil {
			return nil, err
		}
		owners[call.To] = is.Owner
	}
	return &Proposal{ChainID: c.contract.ChainID, From: from, Calls: calls}, nil
}

// try makes a call without sending it.
func (c *Chain) try(ctx context.Context, from common.Address, call Call, at string) error {
	var code, result hexutil.Bytes
	args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
	elems := []rpc.BatchElem{request(&code, "eth_getCode", call.To, at), request(&result, "eth_call", args, at)}
	if err := errors.Join(c.reader.batch(ctx, elems), firstError(elems[:1])); err != nil {
		return err
	}
	if len(code) == 0 {
		return &ContractError{call.To, ErrNoCode}
	}
	if elems[1].Error != nil {
		return revert(call, elems[1].Error)
	}
	return nil
}

// ProposeAllowance proposes the missing calls for app to run a compose hash on a device: the hash, the device, or
// both. A device of zero is none. The proposal is for the owner of the contract. If the contract is offered to
// another contract, it is for that one, with the acceptance as the first call: compare From with the intended Safe.
// The error is [ErrNothingToPropose] if everything is allowed already, or one of those of [Chain.Propose].
func (c *Chain) ProposeAllowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (*Proposal, error) {
	is, err := c.Allowance(ctx, app, hash, device)
	if err != nil {
		return nil, err
	}
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	own, err := c.ownershipAt(ctx, app.Address(), at.tag())
	if err != nil {
		return nil, err
	}
	from, calls := own.Owner, []Call(nil)
	add := func(call Call, callErr error) {
		calls, err = append(calls, call), errors.Join(err, callErr)
	}
	if offered, callErr := c.isContract(ctx, own.Pending, at.tag()); offered || callErr != nil {
		from, err = own.Pending, callErr
		add(AcceptOwnershipCall(app.Address()))
	}
	if !device.IsZero() && !is.Device && !is.AnyDevice {
		add(AddDeviceCall(app, device))
	}
	if !is.ComposeHash {
		add(AddComposeHashCall(app, hash))
	}
	if err != nil {
		return nil, err
	}
	if len(calls) == 0 {
		return nil, &ContractError{app.Address(), ErrNothingToPropose}
	}
	return c.Propose(ctx, from, calls...)
}

// ApprovalBatch returns the proposal of [Chain.ProposeAllowance] as a file for the Safe transaction builder: the
// owner of an app loads it to approve a deployment or an update.
func (c *Chain) ApprovalBatch(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) ([]byte, error) {
	proposal, err := c.ProposeAllowance(ctx, app, hash, device)
	if err != nil {
		return nil, err
	}
	return proposal.SafeBatch("Approval for app "+app.String(), time.Now())
}
