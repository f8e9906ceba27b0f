package kms

import "github.com/ethereum/go-ethereum/common"

// AppContract is the initial state of a new app's contract. The address of the contract becomes the id of the app.
type AppContract struct {
	// Owner can change the contract. Zero means the account that deploys it.
	Owner common.Address
	// ComposeHash is the first allowed compose hash. It must not be zero.
	ComposeHash [32]byte
	// Device is the first allowed device. Zero requires AllowAnyDevice.
	Device DeviceID
	// AllowAnyDevice allows every device to run the app.
	AllowAnyDevice bool
	// RequireTCBUpToDate refuses keys to platforms whose TCB is not up to date. Contracts before dstack 0.5.9 do not
	// support it.
	RequireTCBUpToDate bool
	// DisableUpgrades makes the code of the contract final. It cannot be undone.
	DisableUpgrades bool
}

// Allowance is the state of an app's contract for one compose hash and one device.
type Allowance struct {
	// ComposeHash reports whether the compose hash is allowed.
	ComposeHash bool
	// Device reports whether the device was added. Without it the device may still run the app if AnyDevice is
	// set.
	Device bool
	// AnyDevice reports whether every device may run the app.
	AnyDevice bool
	// RequireTCBUpToDate reports whether a platform needs a TCB that is up to date. It is nil if the contract
	// does not have the flag (before dstack 0.5.9).
	RequireTCBUpToDate *bool
	// Owner can change the contract.
	Owner common.Address
}

// OK reports whether the compose hash and the device are both allowed. A KMS checks more before it releases
// keys, such as the OS image.
func (a Allowance) OK() bool { return a.ComposeHash && (a.Device || a.AnyDevice) }

// Journal stores one transaction across runs of a program. A function with a journal sends at most one transaction,
// however often it is called with the saved value.
type Journal struct {
	// Saved is the last value passed to Save, or nil for a new transaction.
	Saved []byte
	// Save stores the signed transaction before it is sent. If it fails, nothing is sent. Nil saves nothing.
	Save func([]byte) error
}
