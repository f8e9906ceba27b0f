package onchain

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
)

// AddComposeHash allows app to run a compose hash. If it is allowed already, nothing is sent, and the receipt reports
// AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := AddComposeHashCall(app, hash)
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("the allowance of compose hash %x", hash),
		done: c.allowanceIs(app, allowanceOf{hash: hash}, func(a kms.Allowance) bool { return a.ComposeHash }),
	}, opts)
}

// RemoveComposeHash removes a compose hash from those that app may boot. A CVM that runs it continues until its next
// boot. If the hash is not allowed, nothing is sent, and the receipt reports AlreadySo. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveComposeHashCall(app, hash)
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("the removal of compose hash %x", hash), tightens: true,
		done: c.allowanceIs(app, allowanceOf{hash: hash}, func(a kms.Allowance) bool { return !a.ComposeHash }),
	}, opts)
}

// AddDevice allows app to run on a device. If it is allowed already, nothing is sent, and the receipt reports
// AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := AddDeviceCall(app, device)
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("the allowance of device %s", device),
		done: c.allowanceIs(app, allowanceOf{device: device}, func(a kms.Allowance) bool { return a.Device }),
	}, opts)
}

// RemoveDevice removes a device from those that app may boot on; it has no effect while every device is allowed. If
// the device is not in the contract, nothing is sent, and the receipt reports AlreadySo. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveDeviceCall(app, device)
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("the removal of device %s", device), tightens: true,
		done: c.allowanceIs(app, allowanceOf{device: device}, func(a kms.Allowance) bool { return !a.Device }),
	}, opts)
}

// SetAllowAnyDevice allows app to run on any device, or only on those that were added. If the setting is the same
// already, nothing is sent, and the receipt reports AlreadySo. The error is one of those of [Chain.Prepare] and
// [Chain.Send].
func (c *Chain) SetAllowAnyDevice(ctx context.Context, app kms.AppID, allow bool, opts ...SendOption) (*Receipt, error) {
	call, err := SetAllowAnyDeviceCall(app, allow)
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("allow any device %t", allow), tightens: !allow,
		done: c.allowanceIs(app, allowanceOf{}, func(a kms.Allowance) bool { return a.AnyDevice == allow }),
	}, opts)
}

// SetRequireTCBUpToDate sets whether keys are refused to platforms whose TCB is not up to date. If the setting is the
// same already, nothing is sent, and the receipt reports AlreadySo. The error is [ErrNoTCBFlag] if the code of the
// app's contract does not have the flag (before dstack 0.5.9), or one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) SetRequireTCBUpToDate(ctx context.Context, app kms.AppID, require bool, opts ...SendOption) (*Receipt, error) {
	call, err := SetRequireTCBUpToDateCall(app, require)
	if err == nil {
		var is kms.Allowance
		if is, err = c.Allowance(ctx, app, [32]byte{}, kms.DeviceID{}); err == nil && is.RequireTCBUpToDate == nil {
			err = &ContractError{app.Address(), ErrNoTCBFlag}
		}
	}
	return c.change(ctx, change{
		call: call, err: err, what: fmt.Sprintf("require TCB up to date %t", require), tightens: require,
		done: c.allowanceIs(app, allowanceOf{}, func(a kms.Allowance) bool { return a.RequireTCBUpToDate != nil && *a.RequireTCBUpToDate == require }),
	}, opts)
}

// DisableUpgrades makes the code of the app's contract final. It cannot be undone: a fault in the contract can then
// never be repaired. If upgrades are disabled already, nothing is sent, and the receipt reports AlreadySo. The
// error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) DisableUpgrades(ctx context.Context, app kms.AppID, opts ...SendOption) (*Receipt, error) {
	call, err := DisableUpgradesCall(app)
	return c.change(ctx, change{
		call: call, err: err, what: "disabled upgrades", tightens: true,
		done: func(ctx context.Context, at string) (bool, error) { return c.upgradesDisabledAt(ctx, app, at) },
	}, opts)
}

// upgradesDisabledAt tries to upgrade the contract to its present code, as its owner, because the contract has no getter
// for the flag.
func (c *Chain) upgradesDisabledAt(ctx context.Context, app kms.AppID, at string) (bool, error) {
	is, err := c.allowanceAt(ctx, app, allowanceOf{}, at)
	if err != nil {
		return false, err
	}
	var slot common.Hash
	if err := c.reader.call(ctx, &slot, "eth_getStorageAt", app.Address(), implementationSlot, at); err != nil {
		return false, err
	}
	data, err := dstackapp.NewApp().TryPackUpgradeToAndCall(common.BytesToAddress(slot[:]), nil)
	if err != nil {
		return false, err
	}
	elems := []rpc.BatchElem{request(new(hexutil.Bytes), "eth_call", callArgs{From: &is.Owner, To: app.Address(), Data: data}, at)}
	if err := c.reader.allOrRevert(ctx, elems); err != nil {
		return false, err
	}
	return elems[0].Error != nil, nil
}

// change is a change to the contract of an app whose effect can be read from the contract.
type change struct {
	call Call
	// err is that of the call.
	err error
	// what is changed, for errors.
	what string
	// tightens reports that something stays allowed that should not be if the change is skipped by mistake.
	tightens bool
	// done reports whether the contract has the requested state at a block.
	done func(ctx context.Context, at string) (bool, error)
}

// allowanceIs returns the done function of a change to the allowance of a compose hash or a device.
func (c *Chain) allowanceIs(app kms.AppID, of allowanceOf, done func(kms.Allowance) bool) func(context.Context, string) (bool, error) {
	return func(ctx context.Context, at string) (bool, error) {
		is, err := c.allowanceAt(ctx, app, of, at)
		return err == nil && done(is), err
	}
}

// change makes a change, unless the contract has the requested state already, and reads the contract again
// afterwards.
func (c *Chain) change(ctx context.Context, ch change, opts []SendOption) (*Receipt, error) {
	if ch.err != nil {
		return nil, ch.err
	}
	var receipt *Receipt
	for try := 1; receipt == nil; try++ {
		if sendOptions(opts).resume == nil {
			already, err := c.alreadyDone(ctx, ch)
			if err != nil {
				return nil, err
			}
			if already {
				return &Receipt{AlreadySo: true}, nil
			}
		}
		var err error
		receipt, err = c.send(ctx, ch.call, opts)
		var replaced *ReplacedError
		switch {
		case errors.As(err, &replaced) && try < readAttempts:
			// Another transaction of the account took the nonce. Preparing a change again does no harm.
			opts = append(opts[:len(opts):len(opts)], ResumeIntent(nil))
			if err := pause.For(ctx, backoff(c.cfg.poll, try)); err != nil {
				return nil, fmt.Errorf("%w: %w", err, replaced)
			}
		case err != nil:
			return nil, err
		}
	}
	if err := c.settle(ctx, receipt.Tx, ch.what, "in the contract", func(ctx context.Context) (string, bool, error) {
		at, err := c.view(ctx)
		if err != nil {
			return "", false, err
		}
		ok, err := ch.done(ctx, at.tag())
		return "not there", ok, err
	}); err != nil {
		return nil, err
	}
	return receipt, nil
}

// alreadyDone reports whether a change is not needed. Only a state at a confirmed block counts. If the change tightens
// what is allowed, the block must also be maxLag blocks after the first response, in case a lagging node sent that.
func (c *Chain) alreadyDone(ctx context.Context, ch change) (bool, error) {
	var done bool
	var seen uint64
	if err := c.again(ctx, func(at *header) (missing bool, err error) {
		seen = uint64(at.Number)
		done, err = ch.done(ctx, at.tag())
		return isMissing(err), err
	}); err != nil || !done {
		return false, err
	}
	if ch.tightens {
		seen += maxLag
	}
	at, err := c.advance(ctx, seen)
	if err != nil {
		return false, fmt.Errorf("whether %s is needed: %w", ch.call.Description, err)
	}
	if done, err = ch.done(ctx, at.tag()); err == nil {
		c.reached.reach(uint64(at.Number))
	}
	return done, err
}

// send prepares a call, or uses the intent to resume, and sends it.
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

// sendOnce is send for a call that must not be made twice. It prepares the call again only if another transaction of the
// account took the nonce, and the intent can never take effect: no node can have a transaction of it, or that other
// transaction is confirmed. It also returns the sender.
func (c *Chain) sendOnce(ctx context.Context, call Call, opts []SendOption) (*Receipt, common.Address, error) {
	for try := 1; ; try++ {
		from := c.Sender()
		if intent := sendOptions(opts).resume; intent != nil {
			from = intent.From
		}
		receipt, err := c.send(ctx, call, opts)
		var replaced *ReplacedError
		if !errors.As(err, &replaced) || try == readAttempts {
			return receipt, from, err
		}
		never := replaced.unknown || replaced.Mined && replaced.By != (common.Hash{})
		if !never || c.cfg.signer == nil {
			return receipt, from, err
		}
		opts = append(opts[:len(opts):len(opts)], ResumeIntent(nil))
		if err := pause.For(ctx, backoff(c.cfg.poll, try)); err != nil {
			return nil, from, fmt.Errorf("%w: %w", err, replaced)
		}
	}
}

// settle reads the state until it is the expected result of a confirmed transaction. The number of reads allows for a
// lagging endpoint; one that never returns the expected state contradicts its own receipt.
func (c *Chain) settle(ctx context.Context, tx common.Hash, what, want string, read func(context.Context) (got string, ok bool, err error)) error {
	var got string
	var last error
	for look := range 2 * patience {
		if look > 0 {
			if err := pause.For(ctx, c.cfg.poll); err != nil {
				return err
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
