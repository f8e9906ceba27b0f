package onchain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
)

// AddComposeHash allows app to run what has the compose hash. Where it is allowed already nothing is sent, and
// the receipt says AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := AddComposeHashCall(app, hash)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, app, call, opts, fmt.Sprintf("the allowance of compose hash %x", hash), func(ctx context.Context) (bool, error) {
		allowed, err := c.Allowance(ctx, app, hash, kms.DeviceID{})
		return allowed.ComposeHash, err
	})
}

// AddDevice allows app to run on a machine. Where it is allowed already nothing is sent, and the receipt says
// AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := AddDeviceCall(app, device)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, app, call, opts, fmt.Sprintf("the allowance of device %s", device), func(ctx context.Context) (bool, error) {
		allowed, err := c.Allowance(ctx, app, [32]byte{}, device)
		return allowed.Device, err
	})
}

// RemoveComposeHash no longer allows app to boot what has the compose hash. A CVM that runs it goes on until it
// boots again. If the hash is not allowed, nothing is sent, and the receipt reports AlreadySo. The error is one
// of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveComposeHashCall(app, hash)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, app, call, opts, fmt.Sprintf("the removal of compose hash %x", hash), func(ctx context.Context) (bool, error) {
		allowed, err := c.Allowance(ctx, app, hash, kms.DeviceID{})
		return !allowed.ComposeHash, err
	})
}

// RemoveDevice no longer allows app to boot on a device, unless every device is allowed. If the device is not
// in the contract, nothing is sent, and the receipt reports AlreadySo. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveDeviceCall(app, device)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, app, call, opts, fmt.Sprintf("the removal of device %s", device), func(ctx context.Context) (bool, error) {
		allowed, err := c.Allowance(ctx, app, [32]byte{}, device)
		return !allowed.Device, err
	})
}

// SetAllowAnyDevice allows app to run on any machine, or only on those that were added. Where it is so already
// nothing is sent, and the receipt says AlreadySo. The error is one of those of [Chain.Prepare] and
// [Chain.Send].
func (c *Chain) SetAllowAnyDevice(ctx context.Context, app kms.AppID, allow bool, opts ...SendOption) (*Receipt, error) {
	call, err := SetAllowAnyDeviceCall(app, allow)
	if err != nil {
		return nil, err
	}
	return c.change(ctx, app, call, opts, fmt.Sprintf("allow any device %t", allow), func(ctx context.Context) (bool, error) {
		allowed, err := c.Allowance(ctx, app, [32]byte{}, kms.DeviceID{})
		return allowed.AnyDevice == allow, err
	})
}

// TransferOwnership makes to the owner of a contract, at once and for good where the contract has one step, or
// offers it the ownership where it has two: [Chain.Ownership] tells which. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) TransferOwnership(ctx context.Context, contract, to common.Address, opts ...SendOption) (*Receipt, error) {
	call, err := TransferOwnershipCall(contract, to)
	if err != nil {
		return nil, err
	}
	if _, err := c.Ownership(ctx, contract); err != nil {
		return nil, err
	}
	receipt, err := c.send(ctx, call, opts)
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

// AcceptOwnership accepts the ownership of a contract that was offered to the signer. It fails with
// [ErrOneStep] where the contract knows no offers, and else with one of the errors of [Chain.Prepare] and
// [Chain.Send].
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
	receipt, err := c.send(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	return settled(receipt, c.settle(ctx, receipt.Tx, "the owner", c.Sender().String(), func(ctx context.Context) (string, bool, error) {
		is, err := c.Ownership(ctx, contract)
		return is.Owner.String(), is.Owner == c.Sender(), err
	}))
}

// change sends a call to the contract of an app, unless the contract is in the wanted state already, and reads
// the state again afterwards.
func (c *Chain) change(ctx context.Context, app kms.AppID, call Call, opts []SendOption, what string, done func(context.Context) (bool, error)) (*Receipt, error) {
	if err := c.requireApp(ctx, app); err != nil {
		return nil, err
	}
	if sendOptions(opts).resume == nil {
		already, err := done(ctx)
		if err != nil {
			return nil, err
		}
		if already {
			return &Receipt{AlreadySo: true}, nil
		}
	}
	receipt, err := c.send(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	return settled(receipt, c.settle(ctx, receipt.Tx, what, "in the contract", func(ctx context.Context) (string, bool, error) {
		ok, err := done(ctx)
		return "not there", ok, err
	}))
}

// send prepares a call, or takes the intent that is to be resumed, and sends it.
func (c *Chain) send(ctx context.Context, call Call, opts []SendOption) (*Receipt, error) {
	cfg := sendOptions(opts)
	if cfg.resume != nil {
		if !cfg.resume.Call.same(call) {
			return nil, fmt.Errorf("the intent to resume is to %s, not to %s", cfg.resume.Call.Description, call.Description)
		}
		return c.Send(ctx, cfg.resume, opts...)
	}
	intent, err := c.Prepare(ctx, call)
	if err != nil {
		return nil, err
	}
	if cfg.checkpoint != nil {
		if err := cfg.checkpoint(intent); err != nil {
			c.Abandon(intent)
			return nil, fmt.Errorf("checkpoint: %w", err)
		}
	}
	return c.Send(ctx, intent, opts...)
}

// settle reads the state until it is what a confirmed transaction must have made it. An endpoint that lags
// gets some time; one that does not come round contradicts its own receipt.
func (c *Chain) settle(ctx context.Context, tx common.Hash, what, want string, read func(context.Context) (got string, ok bool, err error)) error {
	var got string
	var last error
	for look := range 2 * patience {
		if look > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(c.cfg.poll):
			}
		}
		var ok bool
		if got, ok, last = read(ctx); last == nil && ok {
			return nil
		}
	}
	if last != nil {
		return fmt.Errorf("transaction %s is confirmed, but its effect cannot be read: %w", tx, last)
	}
	return &ReceiptError{Tx: tx, What: what, Got: got, Want: want}
}

func settled[T any](done *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return done, nil
}

// Deployment is an app whose contract was deployed.
type Deployment struct {
	// App is the address of the contract, and the id of the app.
	App     kms.AppID
	Receipt *Receipt
}

// DeployApp deploys an app's contract through the factory of the KMS. The app is the one that the KMS itself
// announces, with the signer as deployer; events of other contracts in the same transaction do not count. The
// new contract is then read and compared with spec. The error is one of those of [Chain.Prepare] and
// [Chain.Send], or [ErrNoTCBFlag].
//
// Each call without [Resume] deploys another app.
func (c *Chain) DeployApp(ctx context.Context, spec kms.AppContract, opts ...SendOption) (*Deployment, error) {
	if c.cfg.signer == nil {
		return nil, ErrNoSigner
	}
	if spec.Owner == (common.Address{}) {
		spec.Owner = c.Sender()
	}
	if spec.RequireTCBUpToDate && !c.version.HasTCBFlag() {
		return nil, &ContractError{c.contract.Address, ErrNoTCBFlag}
	}
	call, err := DeployAppCall(c.contract.Address, spec)
	if err != nil {
		return nil, err
	}
	receipt, err := c.send(ctx, call, opts)
	if err != nil {
		return nil, err
	}
	from := c.Sender()
	if intent := sendOptions(opts).resume; intent != nil {
		from = intent.From
	}
	app, err := c.deployedApp(receipt, from)
	if err != nil {
		return nil, err
	}
	want := deployed{spec.Owner, true, !spec.Device.IsZero(), spec.AllowAnyDevice, spec.RequireTCBUpToDate}
	return settled(&Deployment{app, receipt}, c.settle(ctx, receipt.Tx, "the new app", fmt.Sprintf("%+v", want), func(ctx context.Context) (string, bool, error) {
		got, err := c.readDeployed(ctx, app, spec)
		return fmt.Sprintf("%+v", got), got == want, err
	}))
}

// deployed is the state of a new app that can be compared with its spec.
type deployed struct {
	Owner                                              common.Address
	ComposeHash, Device, AnyDevice, RequireTCBUpToDate bool
}

func (c *Chain) readDeployed(ctx context.Context, app kms.AppID, spec kms.AppContract) (deployed, error) {
	allowed, err := c.Allowance(ctx, app, spec.ComposeHash, spec.Device)
	if err != nil {
		return deployed{}, err
	}
	return deployed{
		Owner: allowed.Owner, ComposeHash: allowed.ComposeHash, Device: allowed.Device, AnyDevice: allowed.AnyDevice,
		RequireTCBUpToDate: allowed.RequireTCBUpToDate != nil && *allowed.RequireTCBUpToDate,
	}, nil
}

// Deployed waits for a transaction that somebody else sent, such as the execution of a multisig's proposal, and
// gives the app that it deployed. deployer is who called the factory: the multisig. It fails with a
// [*PendingError], a [*RevertError] or a [*ReceiptError].
func (c *Chain) Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (*Deployment, error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.wait)
	defer cancel()
	t := &tracker{c: c, contract: c.contract.Address, last: "not seen yet"}
	for {
		mined, err := t.find(ctx, tx)
		if err != nil {
			return nil, err
		}
		if mined != nil && *mined.Status == 0 {
			return nil, &RevertError{Contract: c.contract.Address, Call: "to deploy an app", Text: "the transaction failed", Tx: tx}
		}
		if mined != nil {
			receipt := mined.receipt()
			app, err := c.deployedApp(receipt, deployer)
			if err != nil {
				return nil, err
			}
			return &Deployment{app, receipt}, nil
		}
		select {
		case <-ctx.Done():
			return nil, &PendingError{Tx: tx, Waited: time.Since(began), Last: t.last, Err: errors.Join(ctx.Err(), t.lastErr)}
		case <-time.After(c.cfg.poll):
		}
	}
}

// find looks once for the receipt of a transaction.
func (t *tracker) find(ctx context.Context, tx common.Hash) (*wireReceipt, error) {
	var head *header
	var r *wireReceipt
	elems := []rpc.BatchElem{request(&head, "eth_getBlockByNumber", "latest", false), request(&r, "eth_getTransactionReceipt", tx)}
	if err := t.c.batch(ctx, elems); err != nil {
		t.fail(ctx, err)
		return nil, nil
	}
	if err := firstError(elems); err != nil || head == nil {
		t.fail(ctx, err)
		return nil, nil
	}
	if r == nil {
		t.note("not mined")
		return nil, nil
	}
	return t.confirm(ctx, r, tx, uint64(head.Number))
}
