// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

package dstackapp

import (
	"bytes"
	"errors"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
)

// Reference imports to suppress errors if they are not otherwise used.
var (
	_ = bytes.Equal
	_ = errors.New
	_ = big.NewInt
	_ = common.Big1
	_ = types.BloomLookup
	_ = abi.ConvertType
)

// AppBootInfo is an auto generated low-level Go binding around an user-defined struct.
type AppBootInfo struct {
	AppId        common.Address
	ComposeHash  [32]byte
	InstanceId   common.Address
	DeviceId     [32]byte
	MrAggregated [32]byte
	MrSystem     [32]byte
	OsImageHash  [32]byte
	TcbStatus    string
	AdvisoryIds  []string
}

// AppMetaData contains all meta data concerning the App contract.
var AppMetaData = bind.MetaData{
	ABI: "[{\"type\":\"function\",\"name\":\"addComposeHash\",\"inputs\":[{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"removeComposeHash\",\"inputs\":[{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"allowedComposeHashes\",\"inputs\":[{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"addDevice\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"removeDevice\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"allowedDeviceIds\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"allowAnyDevice\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"setAllowAnyDevice\",\"inputs\":[{\"name\":\"allowAny\",\"type\":\"bool\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"requireTcbUpToDate\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"setRequireTcbUpToDate\",\"inputs\":[{\"name\":\"requireUpToDate\",\"type\":\"bool\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"isAppAllowed\",\"inputs\":[{\"name\":\"bootInfo\",\"type\":\"tuple\",\"internalType\":\"structAppBootInfo\",\"components\":[{\"name\":\"appId\",\"type\":\"address\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"},{\"name\":\"instanceId\",\"type\":\"address\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"mrAggregated\",\"type\":\"bytes32\"},{\"name\":\"mrSystem\",\"type\":\"bytes32\"},{\"name\":\"osImageHash\",\"type\":\"bytes32\"},{\"name\":\"tcbStatus\",\"type\":\"string\"},{\"name\":\"advisoryIds\",\"type\":\"string[]\"}]}],\"outputs\":[{\"name\":\"isAllowed\",\"type\":\"bool\"},{\"name\":\"reason\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"disableUpgrades\",\"inputs\":[],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"version\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"pure\"},{\"type\":\"function\",\"name\":\"initialize\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"disableUpgrades\",\"type\":\"bool\"},{\"name\":\"allowAnyDevice\",\"type\":\"bool\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"initialize\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"disableUpgrades\",\"type\":\"bool\"},{\"name\":\"requireTcbUpToDate\",\"type\":\"bool\"},{\"name\":\"allowAnyDevice\",\"type\":\"bool\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"event\",\"name\":\"ComposeHashAdded\",\"inputs\":[{\"name\":\"composeHash\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"ComposeHashRemoved\",\"inputs\":[{\"name\":\"composeHash\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"DeviceAdded\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"DeviceRemoved\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"AllowAnyDeviceSet\",\"inputs\":[{\"name\":\"allowAny\",\"type\":\"bool\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"RequireTcbUpToDateSet\",\"inputs\":[{\"name\":\"requireUpToDate\",\"type\":\"bool\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"UpgradesDisabled\",\"inputs\":[],\"anonymous\":false},{\"type\":\"function\",\"name\":\"owner\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"pendingOwner\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"transferOwnership\",\"inputs\":[{\"name\":\"newOwner\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"acceptOwnership\",\"inputs\":[],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"renounceOwnership\",\"inputs\":[],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"upgradeToAndCall\",\"inputs\":[{\"name\":\"newImplementation\",\"type\":\"address\"},{\"name\":\"data\",\"type\":\"bytes\"}],\"outputs\":[],\"stateMutability\":\"payable\"},{\"type\":\"function\",\"name\":\"proxiableUUID\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"UPGRADE_INTERFACE_VERSION\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"supportsInterface\",\"inputs\":[{\"name\":\"interfaceId\",\"type\":\"bytes4\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"pure\"},{\"type\":\"event\",\"name\":\"OwnershipTransferred\",\"inputs\":[{\"name\":\"previousOwner\",\"type\":\"address\",\"indexed\":true},{\"name\":\"newOwner\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"OwnershipTransferStarted\",\"inputs\":[{\"name\":\"previousOwner\",\"type\":\"address\",\"indexed\":true},{\"name\":\"newOwner\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"Upgraded\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"Initialized\",\"inputs\":[{\"name\":\"version\",\"type\":\"uint64\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"PolicyChanged\",\"inputs\":[{\"name\":\"actor\",\"type\":\"address\",\"indexed\":true},{\"name\":\"policy\",\"type\":\"bytes32\",\"indexed\":true},{\"name\":\"value\",\"type\":\"bytes32\",\"indexed\":true},{\"name\":\"enabled\",\"type\":\"bool\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"error\",\"name\":\"OwnableUnauthorizedAccount\",\"inputs\":[{\"name\":\"account\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"OwnableInvalidOwner\",\"inputs\":[{\"name\":\"owner\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"InvalidInitialization\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"NotInitializing\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"UUPSUnauthorizedCallContext\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"UUPSUnsupportedProxiableUUID\",\"inputs\":[{\"name\":\"slot\",\"type\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"ERC1967InvalidImplementation\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"ERC1967NonPayable\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"AddressEmptyCode\",\"inputs\":[{\"name\":\"target\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"FailedCall\",\"inputs\":[]}]",
	ID:  "App",
}

// App is an auto generated Go binding around an Ethereum contract.
type App struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *App) GetABI() abi.ABI {
	return c.abi
}

// NewApp creates a new instance of App.
func NewApp() *App {
	parsed, err := AppMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &App{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *App) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (app *App) PackUPGRADEINTERFACEVERSION() []byte {
	enc, err := app.abi.Pack("UPGRADE_INTERFACE_VERSION")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (app *App) TryPackUPGRADEINTERFACEVERSION() ([]byte, error) {
	return app.abi.Pack("UPGRADE_INTERFACE_VERSION")
}

// UnpackUPGRADEINTERFACEVERSION is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xad3cb1cc.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (app *App) UnpackUPGRADEINTERFACEVERSION(data []byte) (string, error) {
	out, err := app.abi.Unpack("UPGRADE_INTERFACE_VERSION", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackAcceptOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x79ba5097.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function acceptOwnership() returns()
func (app *App) PackAcceptOwnership() []byte {
	enc, err := app.abi.Pack("acceptOwnership")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAcceptOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x79ba5097.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function acceptOwnership() returns()
func (app *App) TryPackAcceptOwnership() ([]byte, error) {
	return app.abi.Pack("acceptOwnership")
}

// PackAddComposeHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdfc77223.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addComposeHash(bytes32 composeHash) returns()
func (app *App) PackAddComposeHash(composeHash [32]byte) []byte {
	enc, err := app.abi.Pack("addComposeHash", composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddComposeHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xdfc77223.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addComposeHash(bytes32 composeHash) returns()
func (app *App) TryPackAddComposeHash(composeHash [32]byte) ([]byte, error) {
	return app.abi.Pack("addComposeHash", composeHash)
}

// PackAddDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2a819728.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addDevice(bytes32 deviceId) returns()
func (app *App) PackAddDevice(deviceId [32]byte) []byte {
	enc, err := app.abi.Pack("addDevice", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2a819728.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addDevice(bytes32 deviceId) returns()
func (app *App) TryPackAddDevice(deviceId [32]byte) ([]byte, error) {
	return app.abi.Pack("addDevice", deviceId)
}

// PackAllowAnyDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3440a16a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowAnyDevice() view returns(bool)
func (app *App) PackAllowAnyDevice() []byte {
	enc, err := app.abi.Pack("allowAnyDevice")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowAnyDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3440a16a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowAnyDevice() view returns(bool)
func (app *App) TryPackAllowAnyDevice() ([]byte, error) {
	return app.abi.Pack("allowAnyDevice")
}

// UnpackAllowAnyDevice is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x3440a16a.
//
// Solidity: function allowAnyDevice() view returns(bool)
func (app *App) UnpackAllowAnyDevice(data []byte) (bool, error) {
	out, err := app.abi.Unpack("allowAnyDevice", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackAllowedComposeHashes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2f6622e5.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowedComposeHashes(bytes32 composeHash) view returns(bool)
func (app *App) PackAllowedComposeHashes(composeHash [32]byte) []byte {
	enc, err := app.abi.Pack("allowedComposeHashes", composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowedComposeHashes is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2f6622e5.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowedComposeHashes(bytes32 composeHash) view returns(bool)
func (app *App) TryPackAllowedComposeHashes(composeHash [32]byte) ([]byte, error) {
	return app.abi.Pack("allowedComposeHashes", composeHash)
}

// UnpackAllowedComposeHashes is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x2f6622e5.
//
// Solidity: function allowedComposeHashes(bytes32 composeHash) view returns(bool)
func (app *App) UnpackAllowedComposeHashes(data []byte) (bool, error) {
	out, err := app.abi.Unpack("allowedComposeHashes", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackAllowedDeviceIds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf8b211b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowedDeviceIds(bytes32 deviceId) view returns(bool)
func (app *App) PackAllowedDeviceIds(deviceId [32]byte) []byte {
	enc, err := app.abi.Pack("allowedDeviceIds", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowedDeviceIds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xbf8b211b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowedDeviceIds(bytes32 deviceId) view returns(bool)
func (app *App) TryPackAllowedDeviceIds(deviceId [32]byte) ([]byte, error) {
	return app.abi.Pack("allowedDeviceIds", deviceId)
}

// UnpackAllowedDeviceIds is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xbf8b211b.
//
// Solidity: function allowedDeviceIds(bytes32 deviceId) view returns(bool)
func (app *App) UnpackAllowedDeviceIds(data []byte) (bool, error) {
	out, err := app.abi.Unpack("allowedDeviceIds", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackDisableUpgrades is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xec669036.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function disableUpgrades() returns()
func (app *App) PackDisableUpgrades() []byte {
	enc, err := app.abi.Pack("disableUpgrades")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDisableUpgrades is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xec669036.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function disableUpgrades() returns()
func (app *App) TryPackDisableUpgrades() ([]byte, error) {
	return app.abi.Pack("disableUpgrades")
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x187515ca.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns()
func (app *App) PackInitialize(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) []byte {
	enc, err := app.abi.Pack("initialize", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x187515ca.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns()
func (app *App) TryPackInitialize(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) ([]byte, error) {
	return app.abi.Pack("initialize", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
}

// PackInitialize0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9ed28193.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address initialOwner, bool disableUpgrades, bool requireTcbUpToDate, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns()
func (app *App) PackInitialize0(initialOwner common.Address, disableUpgrades bool, requireTcbUpToDate bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) []byte {
	enc, err := app.abi.Pack("initialize0", initialOwner, disableUpgrades, requireTcbUpToDate, allowAnyDevice, deviceId, composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9ed28193.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address initialOwner, bool disableUpgrades, bool requireTcbUpToDate, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns()
func (app *App) TryPackInitialize0(initialOwner common.Address, disableUpgrades bool, requireTcbUpToDate bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) ([]byte, error) {
	return app.abi.Pack("initialize0", initialOwner, disableUpgrades, requireTcbUpToDate, allowAnyDevice, deviceId, composeHash)
}

// PackIsAppAllowed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1e079198.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isAppAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (app *App) PackIsAppAllowed(bootInfo AppBootInfo) []byte {
	enc, err := app.abi.Pack("isAppAllowed", bootInfo)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsAppAllowed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1e079198.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isAppAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (app *App) TryPackIsAppAllowed(bootInfo AppBootInfo) ([]byte, error) {
	return app.abi.Pack("isAppAllowed", bootInfo)
}

// IsAppAllowedOutput serves as a container for the return parameters of contract
// method IsAppAllowed.
type IsAppAllowedOutput struct {
	IsAllowed bool
	Reason    string
}

// UnpackIsAppAllowed is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x1e079198.
//
// Solidity: function isAppAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (app *App) UnpackIsAppAllowed(data []byte) (IsAppAllowedOutput, error) {
	out, err := app.abi.Unpack("isAppAllowed", data)
	outstruct := new(IsAppAllowedOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.IsAllowed = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.Reason = *abi.ConvertType(out[1], new(string)).(*string)
	return *outstruct, nil
}

// PackOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8da5cb5b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function owner() view returns(address)
func (app *App) PackOwner() []byte {
	enc, err := app.abi.Pack("owner")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8da5cb5b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function owner() view returns(address)
func (app *App) TryPackOwner() ([]byte, error) {
	return app.abi.Pack("owner")
}

// UnpackOwner is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8da5cb5b.
//
// Solidity: function owner() view returns(address)
func (app *App) UnpackOwner(data []byte) (common.Address, error) {
	out, err := app.abi.Unpack("owner", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackPendingOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe30c3978.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function pendingOwner() view returns(address)
func (app *App) PackPendingOwner() []byte {
	enc, err := app.abi.Pack("pendingOwner")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackPendingOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe30c3978.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function pendingOwner() view returns(address)
func (app *App) TryPackPendingOwner() ([]byte, error) {
	return app.abi.Pack("pendingOwner")
}

// UnpackPendingOwner is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xe30c3978.
//
// Solidity: function pendingOwner() view returns(address)
func (app *App) UnpackPendingOwner(data []byte) (common.Address, error) {
	out, err := app.abi.Unpack("pendingOwner", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (app *App) PackProxiableUUID() []byte {
	enc, err := app.abi.Pack("proxiableUUID")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackProxiableUUID is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x52d1902d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (app *App) TryPackProxiableUUID() ([]byte, error) {
	return app.abi.Pack("proxiableUUID")
}

// UnpackProxiableUUID is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x52d1902d.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (app *App) UnpackProxiableUUID(data []byte) ([32]byte, error) {
	out, err := app.abi.Unpack("proxiableUUID", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackRemoveComposeHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x67b3f22c.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeComposeHash(bytes32 composeHash) returns()
func (app *App) PackRemoveComposeHash(composeHash [32]byte) []byte {
	enc, err := app.abi.Pack("removeComposeHash", composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveComposeHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x67b3f22c.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeComposeHash(bytes32 composeHash) returns()
func (app *App) TryPackRemoveComposeHash(composeHash [32]byte) ([]byte, error) {
	return app.abi.Pack("removeComposeHash", composeHash)
}

// PackRemoveDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1d266200.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeDevice(bytes32 deviceId) returns()
func (app *App) PackRemoveDevice(deviceId [32]byte) []byte {
	enc, err := app.abi.Pack("removeDevice", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1d266200.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeDevice(bytes32 deviceId) returns()
func (app *App) TryPackRemoveDevice(deviceId [32]byte) ([]byte, error) {
	return app.abi.Pack("removeDevice", deviceId)
}

// PackRenounceOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x715018a6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function renounceOwnership() returns()
func (app *App) PackRenounceOwnership() []byte {
	enc, err := app.abi.Pack("renounceOwnership")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRenounceOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x715018a6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function renounceOwnership() returns()
func (app *App) TryPackRenounceOwnership() ([]byte, error) {
	return app.abi.Pack("renounceOwnership")
}

// PackRequireTcbUpToDate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0aa58c83.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function requireTcbUpToDate() view returns(bool)
func (app *App) PackRequireTcbUpToDate() []byte {
	enc, err := app.abi.Pack("requireTcbUpToDate")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRequireTcbUpToDate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x0aa58c83.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function requireTcbUpToDate() view returns(bool)
func (app *App) TryPackRequireTcbUpToDate() ([]byte, error) {
	return app.abi.Pack("requireTcbUpToDate")
}

// UnpackRequireTcbUpToDate is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x0aa58c83.
//
// Solidity: function requireTcbUpToDate() view returns(bool)
func (app *App) UnpackRequireTcbUpToDate(data []byte) (bool, error) {
	out, err := app.abi.Unpack("requireTcbUpToDate", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackSetAllowAnyDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7c4beeb8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAllowAnyDevice(bool allowAny) returns()
func (app *App) PackSetAllowAnyDevice(allowAny bool) []byte {
	enc, err := app.abi.Pack("setAllowAnyDevice", allowAny)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAllowAnyDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7c4beeb8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAllowAnyDevice(bool allowAny) returns()
func (app *App) TryPackSetAllowAnyDevice(allowAny bool) ([]byte, error) {
	return app.abi.Pack("setAllowAnyDevice", allowAny)
}

// PackSetRequireTcbUpToDate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6e4c7422.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setRequireTcbUpToDate(bool requireUpToDate) returns()
func (app *App) PackSetRequireTcbUpToDate(requireUpToDate bool) []byte {
	enc, err := app.abi.Pack("setRequireTcbUpToDate", requireUpToDate)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetRequireTcbUpToDate is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x6e4c7422.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setRequireTcbUpToDate(bool requireUpToDate) returns()
func (app *App) TryPackSetRequireTcbUpToDate(requireUpToDate bool) ([]byte, error) {
	return app.abi.Pack("setRequireTcbUpToDate", requireUpToDate)
}

// PackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function supportsInterface(bytes4 interfaceId) pure returns(bool)
func (app *App) PackSupportsInterface(interfaceId [4]byte) []byte {
	enc, err := app.abi.Pack("supportsInterface", interfaceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function supportsInterface(bytes4 interfaceId) pure returns(bool)
func (app *App) TryPackSupportsInterface(interfaceId [4]byte) ([]byte, error) {
	return app.abi.Pack("supportsInterface", interfaceId)
}

// UnpackSupportsInterface is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x01ffc9a7.
//
// Solidity: function supportsInterface(bytes4 interfaceId) pure returns(bool)
func (app *App) UnpackSupportsInterface(data []byte) (bool, error) {
	out, err := app.abi.Unpack("supportsInterface", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackTransferOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf2fde38b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function transferOwnership(address newOwner) returns()
func (app *App) PackTransferOwnership(newOwner common.Address) []byte {
	enc, err := app.abi.Pack("transferOwnership", newOwner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackTransferOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf2fde38b.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function transferOwnership(address newOwner) returns()
func (app *App) TryPackTransferOwnership(newOwner common.Address) ([]byte, error) {
	return app.abi.Pack("transferOwnership", newOwner)
}

// PackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (app *App) PackUpgradeToAndCall(newImplementation common.Address, data []byte) []byte {
	enc, err := app.abi.Pack("upgradeToAndCall", newImplementation, data)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (app *App) TryPackUpgradeToAndCall(newImplementation common.Address, data []byte) ([]byte, error) {
	return app.abi.Pack("upgradeToAndCall", newImplementation, data)
}

// PackVersion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x54fd4d50.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function version() pure returns(uint256)
func (app *App) PackVersion() []byte {
	enc, err := app.abi.Pack("version")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackVersion is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x54fd4d50.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function version() pure returns(uint256)
func (app *App) TryPackVersion() ([]byte, error) {
	return app.abi.Pack("version")
}

// UnpackVersion is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x54fd4d50.
//
// Solidity: function version() pure returns(uint256)
func (app *App) UnpackVersion(data []byte) (*big.Int, error) {
	out, err := app.abi.Unpack("version", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// AppAllowAnyDeviceSet represents a AllowAnyDeviceSet event raised by the App contract.
type AppAllowAnyDeviceSet struct {
	AllowAny bool
	Raw      *types.Log // Blockchain specific contextual infos
}

const AppAllowAnyDeviceSetEventName = "AllowAnyDeviceSet"

// ContractEventName returns the user-defined event name.
func (AppAllowAnyDeviceSet) ContractEventName() string {
	return AppAllowAnyDeviceSetEventName
}

// UnpackAllowAnyDeviceSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AllowAnyDeviceSet(bool allowAny)
func (app *App) UnpackAllowAnyDeviceSetEvent(log *types.Log) (*AppAllowAnyDeviceSet, error) {
	event := "AllowAnyDeviceSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppAllowAnyDeviceSet)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppComposeHashAdded represents a ComposeHashAdded event raised by the App contract.
type AppComposeHashAdded struct {
	ComposeHash [32]byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const AppComposeHashAddedEventName = "ComposeHashAdded"

// ContractEventName returns the user-defined event name.
func (AppComposeHashAdded) ContractEventName() string {
	return AppComposeHashAddedEventName
}

// UnpackComposeHashAddedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ComposeHashAdded(bytes32 composeHash)
func (app *App) UnpackComposeHashAddedEvent(log *types.Log) (*AppComposeHashAdded, error) {
	event := "ComposeHashAdded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppComposeHashAdded)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppComposeHashRemoved represents a ComposeHashRemoved event raised by the App contract.
type AppComposeHashRemoved struct {
	ComposeHash [32]byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const AppComposeHashRemovedEventName = "ComposeHashRemoved"

// ContractEventName returns the user-defined event name.
func (AppComposeHashRemoved) ContractEventName() string {
	return AppComposeHashRemovedEventName
}

// UnpackComposeHashRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event ComposeHashRemoved(bytes32 composeHash)
func (app *App) UnpackComposeHashRemovedEvent(log *types.Log) (*AppComposeHashRemoved, error) {
	event := "ComposeHashRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppComposeHashRemoved)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppDeviceAdded represents a DeviceAdded event raised by the App contract.
type AppDeviceAdded struct {
	DeviceId [32]byte
	Raw      *types.Log // Blockchain specific contextual infos
}

const AppDeviceAddedEventName = "DeviceAdded"

// ContractEventName returns the user-defined event name.
func (AppDeviceAdded) ContractEventName() string {
	return AppDeviceAddedEventName
}

// UnpackDeviceAddedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event DeviceAdded(bytes32 deviceId)
func (app *App) UnpackDeviceAddedEvent(log *types.Log) (*AppDeviceAdded, error) {
	event := "DeviceAdded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppDeviceAdded)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppDeviceRemoved represents a DeviceRemoved event raised by the App contract.
type AppDeviceRemoved struct {
	DeviceId [32]byte
	Raw      *types.Log // Blockchain specific contextual infos
}

const AppDeviceRemovedEventName = "DeviceRemoved"

// ContractEventName returns the user-defined event name.
func (AppDeviceRemoved) ContractEventName() string {
	return AppDeviceRemovedEventName
}

// UnpackDeviceRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event DeviceRemoved(bytes32 deviceId)
func (app *App) UnpackDeviceRemovedEvent(log *types.Log) (*AppDeviceRemoved, error) {
	event := "DeviceRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppDeviceRemoved)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppInitialized represents a Initialized event raised by the App contract.
type AppInitialized struct {
	Version uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const AppInitializedEventName = "Initialized"

// ContractEventName returns the user-defined event name.
func (AppInitialized) ContractEventName() string {
	return AppInitializedEventName
}

// UnpackInitializedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Initialized(uint64 version)
func (app *App) UnpackInitializedEvent(log *types.Log) (*AppInitialized, error) {
	event := "Initialized"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppInitialized)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppOwnershipTransferStarted represents a OwnershipTransferStarted event raised by the App contract.
type AppOwnershipTransferStarted struct {
	PreviousOwner common.Address
	NewOwner      common.Address
	Raw           *types.Log // Blockchain specific contextual infos
}

const AppOwnershipTransferStartedEventName = "OwnershipTransferStarted"

// ContractEventName returns the user-defined event name.
func (AppOwnershipTransferStarted) ContractEventName() string {
	return AppOwnershipTransferStartedEventName
}

// UnpackOwnershipTransferStartedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner)
func (app *App) UnpackOwnershipTransferStartedEvent(log *types.Log) (*AppOwnershipTransferStarted, error) {
	event := "OwnershipTransferStarted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppOwnershipTransferStarted)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppOwnershipTransferred represents a OwnershipTransferred event raised by the App contract.
type AppOwnershipTransferred struct {
	PreviousOwner common.Address
	NewOwner      common.Address
	Raw           *types.Log // Blockchain specific contextual infos
}

const AppOwnershipTransferredEventName = "OwnershipTransferred"

// ContractEventName returns the user-defined event name.
func (AppOwnershipTransferred) ContractEventName() string {
	return AppOwnershipTransferredEventName
}

// UnpackOwnershipTransferredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)
func (app *App) UnpackOwnershipTransferredEvent(log *types.Log) (*AppOwnershipTransferred, error) {
	event := "OwnershipTransferred"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppOwnershipTransferred)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppPolicyChanged represents a PolicyChanged event raised by the App contract.
type AppPolicyChanged struct {
	Actor   common.Address
	Policy  [32]byte
	Value   [32]byte
	Enabled bool
	Raw     *types.Log // Blockchain specific contextual infos
}

const AppPolicyChangedEventName = "PolicyChanged"

// ContractEventName returns the user-defined event name.
func (AppPolicyChanged) ContractEventName() string {
	return AppPolicyChangedEventName
}

// UnpackPolicyChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event PolicyChanged(address indexed actor, bytes32 indexed policy, bytes32 indexed value, bool enabled)
func (app *App) UnpackPolicyChangedEvent(log *types.Log) (*AppPolicyChanged, error) {
	event := "PolicyChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppPolicyChanged)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppRequireTcbUpToDateSet represents a RequireTcbUpToDateSet event raised by the App contract.
type AppRequireTcbUpToDateSet struct {
	RequireUpToDate bool
	Raw             *types.Log // Blockchain specific contextual infos
}

const AppRequireTcbUpToDateSetEventName = "RequireTcbUpToDateSet"

// ContractEventName returns the user-defined event name.
func (AppRequireTcbUpToDateSet) ContractEventName() string {
	return AppRequireTcbUpToDateSetEventName
}

// UnpackRequireTcbUpToDateSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event RequireTcbUpToDateSet(bool requireUpToDate)
func (app *App) UnpackRequireTcbUpToDateSetEvent(log *types.Log) (*AppRequireTcbUpToDateSet, error) {
	event := "RequireTcbUpToDateSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppRequireTcbUpToDateSet)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppUpgraded represents a Upgraded event raised by the App contract.
type AppUpgraded struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const AppUpgradedEventName = "Upgraded"

// ContractEventName returns the user-defined event name.
func (AppUpgraded) ContractEventName() string {
	return AppUpgradedEventName
}

// UnpackUpgradedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Upgraded(address indexed implementation)
func (app *App) UnpackUpgradedEvent(log *types.Log) (*AppUpgraded, error) {
	event := "Upgraded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppUpgraded)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// AppUpgradesDisabled represents a UpgradesDisabled event raised by the App contract.
type AppUpgradesDisabled struct {
	Raw *types.Log // Blockchain specific contextual infos
}

const AppUpgradesDisabledEventName = "UpgradesDisabled"

// ContractEventName returns the user-defined event name.
func (AppUpgradesDisabled) ContractEventName() string {
	return AppUpgradesDisabledEventName
}

// UnpackUpgradesDisabledEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event UpgradesDisabled()
func (app *App) UnpackUpgradesDisabledEvent(log *types.Log) (*AppUpgradesDisabled, error) {
	event := "UpgradesDisabled"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != app.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(AppUpgradesDisabled)
	if len(log.Data) > 0 {
		if err := app.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range app.abi.Events[event].Inputs {
		if arg.Indexed {
			indexed = append(indexed, arg)
		}
	}
	if err := abi.ParseTopics(out, indexed, log.Topics[1:]); err != nil {
		return nil, err
	}
	out.Raw = log
	return out, nil
}

// UnpackError attempts to decode the provided error data using user-defined
// error definitions.
func (app *App) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], app.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return app.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["ERC1967InvalidImplementation"].ID.Bytes()[:4]) {
		return app.UnpackERC1967InvalidImplementationError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["ERC1967NonPayable"].ID.Bytes()[:4]) {
		return app.UnpackERC1967NonPayableError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return app.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["InvalidInitialization"].ID.Bytes()[:4]) {
		return app.UnpackInvalidInitializationError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["NotInitializing"].ID.Bytes()[:4]) {
		return app.UnpackNotInitializingError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["OwnableInvalidOwner"].ID.Bytes()[:4]) {
		return app.UnpackOwnableInvalidOwnerError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["OwnableUnauthorizedAccount"].ID.Bytes()[:4]) {
		return app.UnpackOwnableUnauthorizedAccountError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["UUPSUnauthorizedCallContext"].ID.Bytes()[:4]) {
		return app.UnpackUUPSUnauthorizedCallContextError(raw[4:])
	}
	if bytes.Equal(raw[:4], app.abi.Errors["UUPSUnsupportedProxiableUUID"].ID.Bytes()[:4]) {
		return app.UnpackUUPSUnsupportedProxiableUUIDError(raw[4:])
	}
	return nil, errors.New("unknown error")
}

// AppAddressEmptyCode represents a AddressEmptyCode error raised by the App contract.
type AppAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func AppAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (app *App) UnpackAddressEmptyCodeError(raw []byte) (*AppAddressEmptyCode, error) {
	out := new(AppAddressEmptyCode)
	if err := app.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppERC1967InvalidImplementation represents a ERC1967InvalidImplementation error raised by the App contract.
type AppERC1967InvalidImplementation struct {
	Implementation common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func AppERC1967InvalidImplementationErrorID() common.Hash {
	return common.HexToHash("0x4c9c8ce3ceb3130f17f7cdba48d89b5b0129f266a8bac114e6e315a41879b617")
}

// UnpackERC1967InvalidImplementationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func (app *App) UnpackERC1967InvalidImplementationError(raw []byte) (*AppERC1967InvalidImplementation, error) {
	out := new(AppERC1967InvalidImplementation)
	if err := app.abi.UnpackIntoInterface(out, "ERC1967InvalidImplementation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppERC1967NonPayable represents a ERC1967NonPayable error raised by the App contract.
type AppERC1967NonPayable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967NonPayable()
func AppERC1967NonPayableErrorID() common.Hash {
	return common.HexToHash("0xb398979fa84f543c8e222f17890372c487baf85e062276c127fef521eea7224b")
}

// UnpackERC1967NonPayableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967NonPayable()
func (app *App) UnpackERC1967NonPayableError(raw []byte) (*AppERC1967NonPayable, error) {
	out := new(AppERC1967NonPayable)
	if err := app.abi.UnpackIntoInterface(out, "ERC1967NonPayable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppFailedCall represents a FailedCall error raised by the App contract.
type AppFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func AppFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (app *App) UnpackFailedCallError(raw []byte) (*AppFailedCall, error) {
	out := new(AppFailedCall)
	if err := app.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppInvalidInitialization represents a InvalidInitialization error raised by the App contract.
type AppInvalidInitialization struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidInitialization()
func AppInvalidInitializationErrorID() common.Hash {
	return common.HexToHash("0xf92ee8a957075833165f68c320933b1a1294aafc84ee6e0dd3fb178008f9aaf5")
}

// UnpackInvalidInitializationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidInitialization()
func (app *App) UnpackInvalidInitializationError(raw []byte) (*AppInvalidInitialization, error) {
	out := new(AppInvalidInitialization)
	if err := app.abi.UnpackIntoInterface(out, "InvalidInitialization", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppNotInitializing represents a NotInitializing error raised by the App contract.
type AppNotInitializing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotInitializing()
func AppNotInitializingErrorID() common.Hash {
	return common.HexToHash("0xd7e6bcf8597daa127dc9f0048d2f08d5ef140a2cb659feabd700beff1f7a8302")
}

// UnpackNotInitializingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotInitializing()
func (app *App) UnpackNotInitializingError(raw []byte) (*AppNotInitializing, error) {
	out := new(AppNotInitializing)
	if err := app.abi.UnpackIntoInterface(out, "NotInitializing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppOwnableInvalidOwner represents a OwnableInvalidOwner error raised by the App contract.
type AppOwnableInvalidOwner struct {
	Owner common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableInvalidOwner(address owner)
func AppOwnableInvalidOwnerErrorID() common.Hash {
	return common.HexToHash("0x1e4fbdf7f3ef8bcaa855599e3abf48b232380f183f08f6f813d9ffa5bd585188")
}

// UnpackOwnableInvalidOwnerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableInvalidOwner(address owner)
func (app *App) UnpackOwnableInvalidOwnerError(raw []byte) (*AppOwnableInvalidOwner, error) {
	out := new(AppOwnableInvalidOwner)
	if err := app.abi.UnpackIntoInterface(out, "OwnableInvalidOwner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppOwnableUnauthorizedAccount represents a OwnableUnauthorizedAccount error raised by the App contract.
type AppOwnableUnauthorizedAccount struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func AppOwnableUnauthorizedAccountErrorID() common.Hash {
	return common.HexToHash("0x118cdaa7a341953d1887a2245fd6665d741c67c8c50581daa59e1d03373fa188")
}

// UnpackOwnableUnauthorizedAccountError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func (app *App) UnpackOwnableUnauthorizedAccountError(raw []byte) (*AppOwnableUnauthorizedAccount, error) {
	out := new(AppOwnableUnauthorizedAccount)
	if err := app.abi.UnpackIntoInterface(out, "OwnableUnauthorizedAccount", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppUUPSUnauthorizedCallContext represents a UUPSUnauthorizedCallContext error raised by the App contract.
type AppUUPSUnauthorizedCallContext struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnauthorizedCallContext()
func AppUUPSUnauthorizedCallContextErrorID() common.Hash {
	return common.HexToHash("0xe07c8dba242a06571ac65fe4bbe20522c9fb111cb33599b799ff8039c1ed18f4")
}

// UnpackUUPSUnauthorizedCallContextError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnauthorizedCallContext()
func (app *App) UnpackUUPSUnauthorizedCallContextError(raw []byte) (*AppUUPSUnauthorizedCallContext, error) {
	out := new(AppUUPSUnauthorizedCallContext)
	if err := app.abi.UnpackIntoInterface(out, "UUPSUnauthorizedCallContext", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// AppUUPSUnsupportedProxiableUUID represents a UUPSUnsupportedProxiableUUID error raised by the App contract.
type AppUUPSUnsupportedProxiableUUID struct {
	Slot [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func AppUUPSUnsupportedProxiableUUIDErrorID() common.Hash {
	return common.HexToHash("0xaa1d49a4c084bfa9aeeee2a0be65267a7f19ba7e1476b114dac513d2c14cb563")
}

// UnpackUUPSUnsupportedProxiableUUIDError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func (app *App) UnpackUUPSUnsupportedProxiableUUIDError(raw []byte) (*AppUUPSUnsupportedProxiableUUID, error) {
	out := new(AppUUPSUnsupportedProxiableUUID)
	if err := app.abi.UnpackIntoInterface(out, "UUPSUnsupportedProxiableUUID", raw); err != nil {
		return nil, err
	}
	return out, nil
}
