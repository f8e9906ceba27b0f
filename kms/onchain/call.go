package onchain

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// Call is a change to a contract that can be signed and sent, or proposed to a multisig.
type Call struct {
	To common.Address `json:"to"`
	// Value is in wei; nil is none.
	Value *hexutil.Big  `json:"value,omitempty"`
	Data  hexutil.Bytes `json:"data"`
	// Description is what the call does, in words.
	Description string `json:"description"`
	// Warning is what cannot be undone, in words, or "".
	Warning string `json:"warning,omitempty"`
}

func (c Call) value() *big.Int {
	if c.Value == nil {
		return new(big.Int)
	}
	return c.Value.ToInt()
}

// same reports whether two calls do the same. The descriptions are not compared.
func (c Call) same(other Call) bool {
	return c.To == other.To && c.value().Cmp(other.value()) == 0 && bytes.Equal(c.Data, other.Data)
}

// checkNewApp checks the initial state of a new app contract.
func checkNewApp(s kms.AppContract) error {
	var zero [32]byte
	switch {
	case s.Owner == common.Address{}:
		return errors.New("the owner of an app is the zero address, want an account")
	case s.ComposeHash == zero:
		return errors.New("the compose hash is zero, which the contract takes for none; want 32 bytes")
	case s.Device.IsZero() && !s.AllowAnyDevice:
		return errors.New("the device id is zero and not any device is allowed, so that nothing could boot; want one of both")
	}
	return nil
}

// DeployAppCall returns the call that deploys an app's contract and registers it, through the factory of the KMS. The
// error is [ErrNoTCBFlag] if spec requires an up-to-date TCB and the KMS's contracts do not support it.
func (c *Chain) DeployAppCall(spec kms.AppContract) (Call, error) {
	if err := checkNewApp(spec); err != nil {
		return Call{}, err
	}
	if spec.RequireTCBUpToDate && !c.version.HasTCBFlag() {
		return Call{}, &ContractError{c.contract.Address, ErrNoTCBFlag}
	}
	call := Call{
		To:          c.contract.Address,
		Description: fmt.Sprintf("deploy and register an app owned by %s with compose hash %x", spec.Owner, spec.ComposeHash),
	}
	if spec.DisableUpgrades {
		call.Warning = warnNoUpgrades
	}
	var err error
	factory := dstackkms.NewKms()
	if spec.RequireTCBUpToDate || !c.version.PlainFactory && c.version.TCBFactory {
		call.Data, err = factory.TryPackDeployAndRegisterApp0(spec.Owner, spec.DisableUpgrades, spec.RequireTCBUpToDate, spec.AllowAnyDevice, spec.Device, spec.ComposeHash)
	} else {
		call.Data, err = factory.TryPackDeployAndRegisterApp(spec.Owner, spec.DisableUpgrades, spec.AllowAnyDevice, spec.Device, spec.ComposeHash)
	}
	return call, err
}

const warnNoUpgrades = "the contract can never be upgraded again, not even to repair it"

// AddComposeHashCall returns the call that allows the app to run a compose hash. A hash of zero is an error.
func AddComposeHashCall(app kms.AppID, hash [32]byte) (Call, error) {
	data, err := dstackapp.NewApp().TryPackAddComposeHash(hash)
	return appCall(app, data, errors.Join(checkNotZero("compose hash", hash), err), "allow compose hash %x for app %s", hash, app)
}

// RemoveComposeHashCall returns the call that removes a compose hash from those that the app may boot. A hash of zero
// is an error.
func RemoveComposeHashCall(app kms.AppID, hash [32]byte) (Call, error) {
	data, err := dstackapp.NewApp().TryPackRemoveComposeHash(hash)
	return appCall(app, data, errors.Join(checkNotZero("compose hash", hash), err), "no longer allow compose hash %x for app %s", hash, app)
}

// AddDeviceCall returns the call that allows the app to run on a device. A device id of zero is an error.
func AddDeviceCall(app kms.AppID, device kms.DeviceID) (Call, error) {
	data, err := dstackapp.NewApp().TryPackAddDevice(device)
	return appCall(app, data, errors.Join(checkNotZero("device id", device), err), "allow device %s for app %s", device, app)
}

// RemoveDeviceCall returns the call that removes a device from those that the app may boot on. A device id of zero is
// an error.
func RemoveDeviceCall(app kms.AppID, device kms.DeviceID) (Call, error) {
	data, err := dstackapp.NewApp().TryPackRemoveDevice(device)
	return appCall(app, data, errors.Join(checkNotZero("device id", device), err), "no longer allow device %s for app %s", device, app)
}

// SetAllowAnyDeviceCall returns the call that allows the app to run on any device, or only on those that were added.
func SetAllowAnyDeviceCall(app kms.AppID, allow bool) (Call, error) {
	data, err := dstackapp.NewApp().TryPackSetAllowAnyDevice(allow)
	return appCall(app, data, err, "set allow any device to %t for app %s", allow, app)
}

// SetRequireTCBUpToDateCall returns the call that sets whether the app's keys are refused to platforms whose TCB is
// not up to date. Contracts before dstack 0.5.9 do not support it.
func SetRequireTCBUpToDateCall(app kms.AppID, require bool) (Call, error) {
	data, err := dstackapp.NewApp().TryPackSetRequireTcbUpToDate(require)
	return appCall(app, data, err, "set require TCB up to date to %t for app %s", require, app)
}

// DisableUpgradesCall returns the call that makes the code of the app's contract final. It cannot be undone: a fault
// in the contract can then never be repaired, and features of later contracts are never available to this app.
func DisableUpgradesCall(app kms.AppID) (Call, error) {
	data, err := dstackapp.NewApp().TryPackDisableUpgrades()
	call, err := appCall(app, data, err, "disable upgrades of the contract of app %s", app)
	if err == nil {
		call.Warning = warnNoUpgrades
	}
	return call, err
}

// appCall returns a call to the contract of an app, with a description of fmt, or err.
func appCall(app kms.AppID, data []byte, err error, description string, args ...any) (Call, error) {
	if err != nil {
		return Call{}, err
	}
	return Call{To: app.Address(), Data: data, Description: fmt.Sprintf(description, args...)}, nil
}

func checkNotZero(what string, value [32]byte) error {
	if value == ([32]byte{}) {
		return fmt.Errorf("the %s is zero, want the 32 bytes of one", what)
	}
	return nil
}

// TransferOwnershipCall returns the call that makes to the owner of the contract, or nominates it if the contract
// requires the new owner to accept. The zero address is an error.
func TransferOwnershipCall(contract, to common.Address) (Call, error) {
	if to == (common.Address{}) {
		return Call{}, errors.New("the new owner is the zero address, which nobody can act for")
	}
	data, err := dstackapp.NewApp().TryPackTransferOwnership(to)
	return Call{To: contract, Data: data, Description: fmt.Sprintf("transfer the ownership of %s to %s", contract, to)}, err
}

// AcceptOwnershipCall returns the call that accepts an ownership offered with [TransferOwnershipCall].
func AcceptOwnershipCall(contract common.Address) (Call, error) {
	data, err := dstackapp.NewApp().TryPackAcceptOwnership()
	return Call{To: contract, Data: data, Description: fmt.Sprintf("accept the ownership of %s", contract)}, err
}
