package kms

import "github.com/ethereum/go-ethereum/common"

// AppContract is what the contract of a new app allows. The address of the contract becomes the id of the app.
type AppContract struct {
	// Owner may change the contract. Zero is the account that deploys it.
	Owner common.Address
	// ComposeHash is the first compose hash that is allowed. It must not be zero.
	ComposeHash [32]byte
	// Device is the first device that may run the app. Zero needs AllowAnyDevice.
	Device DeviceID
	// AllowAnyDevice lets every device run the app.
	AllowAnyDevice bool
	// RequireTCBUpToDate refuses keys to platforms whose TCB is not up to date. Contracts before dstack 0.5.9
	// do not have it.
	RequireTCBUpToDate bool
	// DisableUpgrades makes the code of the contract final. It cannot be undone.
	DisableUpgrades bool
}

// Allowance is what the contract of an app allows for one compose hash and one device.
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
	// Owner may change the contract.
	Owner common.Address
}

// OK reports whether the compose hash and the device are both allowed. A KMS checks more before it releases
// keys, such as the OS image.
func (a Allowance) OK() bool { return a.ComposeHash && (a.Device || a.AnyDevice) }

// Journal is the memory of one transaction across runs of a program. A function that takes one sends at most
// one transaction, however often it is called with what was saved.
type Journal struct {
	// Saved is what Save was last called with, or nil for a transaction that was not begun.
	Saved []byte
	// Save stores what was signed, before it is sent. If it fails, nothing is sent. Nil saves nothing.
	Save func([]byte) error
}
