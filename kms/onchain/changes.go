package onchain

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
)

// AddComposeHash allows app to run a compose hash. If it is allowed already, nothing is sent, and the receipt reports
// AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := AddComposeHashCall(app, hash)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: fmt.Sprintf("the allowance of compose hash %x", hash),
		of: allowanceOf{hash: hash}, done: func(a kms.Allowance) bool { return a.ComposeHash },
	}, opts)
}

// RemoveComposeHash removes a compose hash from those that app may boot. A CVM that runs it continues until its next
// boot. If the hash is not allowed, nothing is sent, and the receipt reports AlreadySo. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveComposeHashCall(app, hash)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: fmt.Sprintf("the removal of compose hash %x", hash), tightens: true,
		of: allowanceOf{hash: hash}, done: func(a kms.Allowance) bool { return !a.ComposeHash },
	}, opts)
}

// AddDevice allows app to run on a device. If it is allowed already, nothing is sent, and the receipt reports
// AlreadySo. The error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := AddDeviceCall(app, device)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: fmt.Sprintf("the allowance of device %s", device),
		of: allowanceOf{device: device}, done: func(a kms.Allowance) bool { return a.Device },
	}, opts)
}

// RemoveDevice removes a device from those that app may boot on; it has no effect while every device is allowed. If
// the device is not in the contract, nothing is sent, and the receipt reports AlreadySo. The error is one of those of
// [Chain.Prepare] and [Chain.Send].
func (c *Chain) RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, opts ...SendOption) (*Receipt, error) {
	call, err := RemoveDeviceCall(app, device)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: fmt.Sprintf("the removal of device %s", device), tightens: true,
		of: allowanceOf{device: device}, done: func(a kms.Allowance) bool { return !a.Device },
	}, opts)
}

// SetAllowAnyDevice allows app to run on any device, or only on those that were added. If the setting is the same
// already, nothing is sent, and the receipt reports AlreadySo. The error is one of those of [Chain.Prepare] and
// [Chain.Send].
func (c *Chain) SetAllowAnyDevice(ctx context.Context, app kms.AppID, allow bool, opts ...SendOption) (*Receipt, error) {
	call, err := SetAllowAnyDeviceCall(app, allow)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: fmt.Sprintf("allow any device %t", allow), tightens: !allow,
		done: func(a kms.Allowance) bool { return a.AnyDevice == allow },
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
		app: app, call: call, err: err, what: fmt.Sprintf("require TCB up to date %t", require), tightens: require,
		done: func(a kms.Allowance) bool { return a.RequireTCBUpToDate != nil && *a.RequireTCBUpToDate == require },
	}, opts)
}

// DisableUpgrades makes the code of the app's contract final. It cannot be undone: a fault in the contract can then
// never be repaired. If upgrades are disabled already, nothing is sent, and the receipt reports AlreadySo. The
// error is one of those of [Chain.Prepare] and [Chain.Send].
func (c *Chain) DisableUpgrades(ctx context.Context, app kms.AppID, opts ...SendOption) (*Receipt, error) {
	call, err := DisableUpgradesCall(app)
	return c.change(ctx, change{
		app: app, call: call, err: err, what: "disabled upgrades", tightens: true,
		doneAt: func(ctx context.Context, at string) (bool, error) { return c.upgradesDisabledAt(ctx, app, at) },
	}, opts)
}

// upgradesDisabledAt tries to upgrade the contract to its present code, as its owner. The contract has no getter for
// it.
func (c *Chain) upgradesDisabledAt(ctx context.Context, app kms.AppID, at string) (bool, error) {
	is, err := c.ownershipAt(ctx, app.Address(), at)
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
	if err := c.reader.batch(ctx, elems); err != nil {
		return false, err
	}
	if err := notReverts(elems); err != nil {
		return false, err
	}
	return elems[0].Error != nil, nil
}
