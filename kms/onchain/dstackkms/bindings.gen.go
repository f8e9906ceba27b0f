// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

package dstackkms

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

// KmsInfo is an auto generated low-level Go binding around an user-defined struct.
type KmsInfo struct {
	K256Pubkey []byte
	CaPubkey   []byte
	Quote      []byte
	Eventlog   []byte
}

// KmsMetaData contains all meta data concerning the Kms contract.
var KmsMetaData = bind.MetaData{
	ABI: "[{\"type\":\"function\",\"name\":\"deployAndRegisterApp\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"disableUpgrades\",\"type\":\"bool\"},{\"name\":\"allowAnyDevice\",\"type\":\"bool\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"appId\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"deployAndRegisterApp\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"disableUpgrades\",\"type\":\"bool\"},{\"name\":\"requireTcbUpToDate\",\"type\":\"bool\"},{\"name\":\"allowAnyDevice\",\"type\":\"bool\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"appId\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"registerApp\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"registeredApps\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"isAppAllowed\",\"inputs\":[{\"name\":\"bootInfo\",\"type\":\"tuple\",\"internalType\":\"structAppBootInfo\",\"components\":[{\"name\":\"appId\",\"type\":\"address\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"},{\"name\":\"instanceId\",\"type\":\"address\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"mrAggregated\",\"type\":\"bytes32\"},{\"name\":\"mrSystem\",\"type\":\"bytes32\"},{\"name\":\"osImageHash\",\"type\":\"bytes32\"},{\"name\":\"tcbStatus\",\"type\":\"string\"},{\"name\":\"advisoryIds\",\"type\":\"string[]\"}]}],\"outputs\":[{\"name\":\"isAllowed\",\"type\":\"bool\"},{\"name\":\"reason\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"isKmsAllowed\",\"inputs\":[{\"name\":\"bootInfo\",\"type\":\"tuple\",\"internalType\":\"structAppBootInfo\",\"components\":[{\"name\":\"appId\",\"type\":\"address\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"},{\"name\":\"instanceId\",\"type\":\"address\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"mrAggregated\",\"type\":\"bytes32\"},{\"name\":\"mrSystem\",\"type\":\"bytes32\"},{\"name\":\"osImageHash\",\"type\":\"bytes32\"},{\"name\":\"tcbStatus\",\"type\":\"string\"},{\"name\":\"advisoryIds\",\"type\":\"string[]\"}]}],\"outputs\":[{\"name\":\"isAllowed\",\"type\":\"bool\"},{\"name\":\"reason\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"kmsInfo\",\"inputs\":[],\"outputs\":[{\"name\":\"k256Pubkey\",\"type\":\"bytes\"},{\"name\":\"caPubkey\",\"type\":\"bytes\"},{\"name\":\"quote\",\"type\":\"bytes\"},{\"name\":\"eventlog\",\"type\":\"bytes\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"gatewayAppId\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"appImplementation\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"allowedOsImages\",\"inputs\":[{\"name\":\"osImageHash\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"kmsAllowedAggregatedMrs\",\"inputs\":[{\"name\":\"mrAggregated\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"kmsAllowedDeviceIds\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"setKmsInfo\",\"inputs\":[{\"name\":\"info\",\"type\":\"tuple\",\"internalType\":\"structKmsInfo\",\"components\":[{\"name\":\"k256Pubkey\",\"type\":\"bytes\"},{\"name\":\"caPubkey\",\"type\":\"bytes\"},{\"name\":\"quote\",\"type\":\"bytes\"},{\"name\":\"eventlog\",\"type\":\"bytes\"}]}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"setKmsQuote\",\"inputs\":[{\"name\":\"quote\",\"type\":\"bytes\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"setKmsEventlog\",\"inputs\":[{\"name\":\"eventlog\",\"type\":\"bytes\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"setGatewayAppId\",\"inputs\":[{\"name\":\"gatewayAppId\",\"type\":\"string\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"setAppImplementation\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"addKmsAggregatedMr\",\"inputs\":[{\"name\":\"mrAggregated\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"removeKmsAggregatedMr\",\"inputs\":[{\"name\":\"mrAggregated\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"addKmsDevice\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"removeKmsDevice\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"addOsImageHash\",\"inputs\":[{\"name\":\"osImageHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"removeOsImageHash\",\"inputs\":[{\"name\":\"osImageHash\",\"type\":\"bytes32\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"initialize\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"appImplementation\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"event\",\"name\":\"AppDeployedViaFactory\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\",\"indexed\":true},{\"name\":\"deployer\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"AppRegistered\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"AppImplementationSet\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"KmsInfoSet\",\"inputs\":[{\"name\":\"k256Pubkey\",\"type\":\"bytes\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"GatewayAppIdSet\",\"inputs\":[{\"name\":\"gatewayAppId\",\"type\":\"string\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"KmsAggregatedMrAdded\",\"inputs\":[{\"name\":\"mrAggregated\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"KmsAggregatedMrRemoved\",\"inputs\":[{\"name\":\"mrAggregated\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"KmsDeviceAdded\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"KmsDeviceRemoved\",\"inputs\":[{\"name\":\"deviceId\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"OsImageHashAdded\",\"inputs\":[{\"name\":\"osImageHash\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"OsImageHashRemoved\",\"inputs\":[{\"name\":\"osImageHash\",\"type\":\"bytes32\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"function\",\"name\":\"owner\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"pendingOwner\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"transferOwnership\",\"inputs\":[{\"name\":\"newOwner\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"acceptOwnership\",\"inputs\":[],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"renounceOwnership\",\"inputs\":[],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"upgradeToAndCall\",\"inputs\":[{\"name\":\"newImplementation\",\"type\":\"address\"},{\"name\":\"data\",\"type\":\"bytes\"}],\"outputs\":[],\"stateMutability\":\"payable\"},{\"type\":\"function\",\"name\":\"proxiableUUID\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"bytes32\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"UPGRADE_INTERFACE_VERSION\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"string\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"supportsInterface\",\"inputs\":[{\"name\":\"interfaceId\",\"type\":\"bytes4\"}],\"outputs\":[{\"name\":\"\",\"type\":\"bool\"}],\"stateMutability\":\"pure\"},{\"type\":\"event\",\"name\":\"OwnershipTransferred\",\"inputs\":[{\"name\":\"previousOwner\",\"type\":\"address\",\"indexed\":true},{\"name\":\"newOwner\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"OwnershipTransferStarted\",\"inputs\":[{\"name\":\"previousOwner\",\"type\":\"address\",\"indexed\":true},{\"name\":\"newOwner\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"Upgraded\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"Initialized\",\"inputs\":[{\"name\":\"version\",\"type\":\"uint64\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"PolicyChanged\",\"inputs\":[{\"name\":\"actor\",\"type\":\"address\",\"indexed\":true},{\"name\":\"policy\",\"type\":\"bytes32\",\"indexed\":true},{\"name\":\"value\",\"type\":\"bytes32\",\"indexed\":true},{\"name\":\"enabled\",\"type\":\"bool\",\"indexed\":false}],\"anonymous\":false},{\"type\":\"error\",\"name\":\"OwnableUnauthorizedAccount\",\"inputs\":[{\"name\":\"account\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"OwnableInvalidOwner\",\"inputs\":[{\"name\":\"owner\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"InvalidInitialization\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"NotInitializing\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"UUPSUnauthorizedCallContext\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"UUPSUnsupportedProxiableUUID\",\"inputs\":[{\"name\":\"slot\",\"type\":\"bytes32\"}]},{\"type\":\"error\",\"name\":\"ERC1967InvalidImplementation\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"ERC1967NonPayable\",\"inputs\":[]},{\"type\":\"error\",\"name\":\"AddressEmptyCode\",\"inputs\":[{\"name\":\"target\",\"type\":\"address\"}]},{\"type\":\"error\",\"name\":\"FailedCall\",\"inputs\":[]}]",
	ID:  "Kms",
}

// Kms is an auto generated Go binding around an Ethereum contract.
type Kms struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *Kms) GetABI() abi.ABI {
	return c.abi
}

// NewKms creates a new instance of Kms.
func NewKms() *Kms {
	parsed, err := KmsMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &Kms{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *Kms) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackUPGRADEINTERFACEVERSION is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xad3cb1cc.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (kms *Kms) PackUPGRADEINTERFACEVERSION() []byte {
	enc, err := kms.abi.Pack("UPGRADE_INTERFACE_VERSION")
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
func (kms *Kms) TryPackUPGRADEINTERFACEVERSION() ([]byte, error) {
	return kms.abi.Pack("UPGRADE_INTERFACE_VERSION")
}

// UnpackUPGRADEINTERFACEVERSION is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xad3cb1cc.
//
// Solidity: function UPGRADE_INTERFACE_VERSION() view returns(string)
func (kms *Kms) UnpackUPGRADEINTERFACEVERSION(data []byte) (string, error) {
	out, err := kms.abi.Unpack("UPGRADE_INTERFACE_VERSION", data)
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
func (kms *Kms) PackAcceptOwnership() []byte {
	enc, err := kms.abi.Pack("acceptOwnership")
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
func (kms *Kms) TryPackAcceptOwnership() ([]byte, error) {
	return kms.abi.Pack("acceptOwnership")
}

// PackAddKmsAggregatedMr is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3e32d346.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addKmsAggregatedMr(bytes32 mrAggregated) returns()
func (kms *Kms) PackAddKmsAggregatedMr(mrAggregated [32]byte) []byte {
	enc, err := kms.abi.Pack("addKmsAggregatedMr", mrAggregated)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddKmsAggregatedMr is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3e32d346.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addKmsAggregatedMr(bytes32 mrAggregated) returns()
func (kms *Kms) TryPackAddKmsAggregatedMr(mrAggregated [32]byte) ([]byte, error) {
	return kms.abi.Pack("addKmsAggregatedMr", mrAggregated)
}

// PackAddKmsDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4d5922a1.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addKmsDevice(bytes32 deviceId) returns()
func (kms *Kms) PackAddKmsDevice(deviceId [32]byte) []byte {
	enc, err := kms.abi.Pack("addKmsDevice", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddKmsDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4d5922a1.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addKmsDevice(bytes32 deviceId) returns()
func (kms *Kms) TryPackAddKmsDevice(deviceId [32]byte) ([]byte, error) {
	return kms.abi.Pack("addKmsDevice", deviceId)
}

// PackAddOsImageHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06a3ae96.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function addOsImageHash(bytes32 osImageHash) returns()
func (kms *Kms) PackAddOsImageHash(osImageHash [32]byte) []byte {
	enc, err := kms.abi.Pack("addOsImageHash", osImageHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAddOsImageHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x06a3ae96.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function addOsImageHash(bytes32 osImageHash) returns()
func (kms *Kms) TryPackAddOsImageHash(osImageHash [32]byte) ([]byte, error) {
	return kms.abi.Pack("addOsImageHash", osImageHash)
}

// PackAllowedOsImages is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9a4e1d18.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function allowedOsImages(bytes32 osImageHash) view returns(bool)
func (kms *Kms) PackAllowedOsImages(osImageHash [32]byte) []byte {
	enc, err := kms.abi.Pack("allowedOsImages", osImageHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAllowedOsImages is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9a4e1d18.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function allowedOsImages(bytes32 osImageHash) view returns(bool)
func (kms *Kms) TryPackAllowedOsImages(osImageHash [32]byte) ([]byte, error) {
	return kms.abi.Pack("allowedOsImages", osImageHash)
}

// UnpackAllowedOsImages is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x9a4e1d18.
//
// Solidity: function allowedOsImages(bytes32 osImageHash) view returns(bool)
func (kms *Kms) UnpackAllowedOsImages(data []byte) (bool, error) {
	out, err := kms.abi.Unpack("allowedOsImages", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackAppImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x25a992da.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function appImplementation() view returns(address)
func (kms *Kms) PackAppImplementation() []byte {
	enc, err := kms.abi.Pack("appImplementation")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAppImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x25a992da.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function appImplementation() view returns(address)
func (kms *Kms) TryPackAppImplementation() ([]byte, error) {
	return kms.abi.Pack("appImplementation")
}

// UnpackAppImplementation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x25a992da.
//
// Solidity: function appImplementation() view returns(address)
func (kms *Kms) UnpackAppImplementation(data []byte) (common.Address, error) {
	out, err := kms.abi.Unpack("appImplementation", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackDeployAndRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8618169d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) PackDeployAndRegisterApp(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) []byte {
	enc, err := kms.abi.Pack("deployAndRegisterApp", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDeployAndRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8618169d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) TryPackDeployAndRegisterApp(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) ([]byte, error) {
	return kms.abi.Pack("deployAndRegisterApp", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
}

// UnpackDeployAndRegisterApp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8618169d.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) UnpackDeployAndRegisterApp(data []byte) (common.Address, error) {
	out, err := kms.abi.Unpack("deployAndRegisterApp", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackDeployAndRegisterApp0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9cb9c31f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool requireTcbUpToDate, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) PackDeployAndRegisterApp0(initialOwner common.Address, disableUpgrades bool, requireTcbUpToDate bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) []byte {
	enc, err := kms.abi.Pack("deployAndRegisterApp0", initialOwner, disableUpgrades, requireTcbUpToDate, allowAnyDevice, deviceId, composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDeployAndRegisterApp0 is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9cb9c31f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool requireTcbUpToDate, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) TryPackDeployAndRegisterApp0(initialOwner common.Address, disableUpgrades bool, requireTcbUpToDate bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) ([]byte, error) {
	return kms.abi.Pack("deployAndRegisterApp0", initialOwner, disableUpgrades, requireTcbUpToDate, allowAnyDevice, deviceId, composeHash)
}

// UnpackDeployAndRegisterApp0 is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x9cb9c31f.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool requireTcbUpToDate, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId)
func (kms *Kms) UnpackDeployAndRegisterApp0(data []byte) (common.Address, error) {
	out, err := kms.abi.Unpack("deployAndRegisterApp0", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackGatewayAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95f51931.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function gatewayAppId() view returns(string)
func (kms *Kms) PackGatewayAppId() []byte {
	enc, err := kms.abi.Pack("gatewayAppId")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackGatewayAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x95f51931.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function gatewayAppId() view returns(string)
func (kms *Kms) TryPackGatewayAppId() ([]byte, error) {
	return kms.abi.Pack("gatewayAppId")
}

// UnpackGatewayAppId is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x95f51931.
//
// Solidity: function gatewayAppId() view returns(string)
func (kms *Kms) UnpackGatewayAppId(data []byte) (string, error) {
	out, err := kms.abi.Unpack("gatewayAppId", data)
	if err != nil {
		return *new(string), err
	}
	out0 := *abi.ConvertType(out[0], new(string)).(*string)
	return out0, nil
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x485cc955.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address initialOwner, address appImplementation) returns()
func (kms *Kms) PackInitialize(initialOwner common.Address, appImplementation common.Address) []byte {
	enc, err := kms.abi.Pack("initialize", initialOwner, appImplementation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x485cc955.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address initialOwner, address appImplementation) returns()
func (kms *Kms) TryPackInitialize(initialOwner common.Address, appImplementation common.Address) ([]byte, error) {
	return kms.abi.Pack("initialize", initialOwner, appImplementation)
}

// PackIsAppAllowed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1e079198.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isAppAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (kms *Kms) PackIsAppAllowed(bootInfo AppBootInfo) []byte {
	enc, err := kms.abi.Pack("isAppAllowed", bootInfo)
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
func (kms *Kms) TryPackIsAppAllowed(bootInfo AppBootInfo) ([]byte, error) {
	return kms.abi.Pack("isAppAllowed", bootInfo)
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
func (kms *Kms) UnpackIsAppAllowed(data []byte) (IsAppAllowedOutput, error) {
	out, err := kms.abi.Unpack("isAppAllowed", data)
	outstruct := new(IsAppAllowedOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.IsAllowed = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.Reason = *abi.ConvertType(out[1], new(string)).(*string)
	return *outstruct, nil
}

// PackIsKmsAllowed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe067ec9d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function isKmsAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (kms *Kms) PackIsKmsAllowed(bootInfo AppBootInfo) []byte {
	enc, err := kms.abi.Pack("isKmsAllowed", bootInfo)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackIsKmsAllowed is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xe067ec9d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function isKmsAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (kms *Kms) TryPackIsKmsAllowed(bootInfo AppBootInfo) ([]byte, error) {
	return kms.abi.Pack("isKmsAllowed", bootInfo)
}

// IsKmsAllowedOutput serves as a container for the return parameters of contract
// method IsKmsAllowed.
type IsKmsAllowedOutput struct {
	IsAllowed bool
	Reason    string
}

// UnpackIsKmsAllowed is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xe067ec9d.
//
// Solidity: function isKmsAllowed((address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[]) bootInfo) view returns(bool isAllowed, string reason)
func (kms *Kms) UnpackIsKmsAllowed(data []byte) (IsKmsAllowedOutput, error) {
	out, err := kms.abi.Unpack("isKmsAllowed", data)
	outstruct := new(IsKmsAllowedOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.IsAllowed = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.Reason = *abi.ConvertType(out[1], new(string)).(*string)
	return *outstruct, nil
}

// PackKmsAllowedAggregatedMrs is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf6fe4f40.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function kmsAllowedAggregatedMrs(bytes32 mrAggregated) view returns(bool)
func (kms *Kms) PackKmsAllowedAggregatedMrs(mrAggregated [32]byte) []byte {
	enc, err := kms.abi.Pack("kmsAllowedAggregatedMrs", mrAggregated)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKmsAllowedAggregatedMrs is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xf6fe4f40.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function kmsAllowedAggregatedMrs(bytes32 mrAggregated) view returns(bool)
func (kms *Kms) TryPackKmsAllowedAggregatedMrs(mrAggregated [32]byte) ([]byte, error) {
	return kms.abi.Pack("kmsAllowedAggregatedMrs", mrAggregated)
}

// UnpackKmsAllowedAggregatedMrs is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xf6fe4f40.
//
// Solidity: function kmsAllowedAggregatedMrs(bytes32 mrAggregated) view returns(bool)
func (kms *Kms) UnpackKmsAllowedAggregatedMrs(data []byte) (bool, error) {
	out, err := kms.abi.Unpack("kmsAllowedAggregatedMrs", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackKmsAllowedDeviceIds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13eb9770.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function kmsAllowedDeviceIds(bytes32 deviceId) view returns(bool)
func (kms *Kms) PackKmsAllowedDeviceIds(deviceId [32]byte) []byte {
	enc, err := kms.abi.Pack("kmsAllowedDeviceIds", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKmsAllowedDeviceIds is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x13eb9770.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function kmsAllowedDeviceIds(bytes32 deviceId) view returns(bool)
func (kms *Kms) TryPackKmsAllowedDeviceIds(deviceId [32]byte) ([]byte, error) {
	return kms.abi.Pack("kmsAllowedDeviceIds", deviceId)
}

// UnpackKmsAllowedDeviceIds is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x13eb9770.
//
// Solidity: function kmsAllowedDeviceIds(bytes32 deviceId) view returns(bool)
func (kms *Kms) UnpackKmsAllowedDeviceIds(data []byte) (bool, error) {
	out, err := kms.abi.Unpack("kmsAllowedDeviceIds", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackKmsInfo is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x09177063.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function kmsInfo() view returns(bytes k256Pubkey, bytes caPubkey, bytes quote, bytes eventlog)
func (kms *Kms) PackKmsInfo() []byte {
	enc, err := kms.abi.Pack("kmsInfo")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackKmsInfo is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x09177063.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function kmsInfo() view returns(bytes k256Pubkey, bytes caPubkey, bytes quote, bytes eventlog)
func (kms *Kms) TryPackKmsInfo() ([]byte, error) {
	return kms.abi.Pack("kmsInfo")
}

// KmsInfoOutput serves as a container for the return parameters of contract
// method KmsInfo.
type KmsInfoOutput struct {
	K256Pubkey []byte
	CaPubkey   []byte
	Quote      []byte
	Eventlog   []byte
}

// UnpackKmsInfo is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x09177063.
//
// Solidity: function kmsInfo() view returns(bytes k256Pubkey, bytes caPubkey, bytes quote, bytes eventlog)
func (kms *Kms) UnpackKmsInfo(data []byte) (KmsInfoOutput, error) {
	out, err := kms.abi.Unpack("kmsInfo", data)
	outstruct := new(KmsInfoOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.K256Pubkey = *abi.ConvertType(out[0], new([]byte)).(*[]byte)
	outstruct.CaPubkey = *abi.ConvertType(out[1], new([]byte)).(*[]byte)
	outstruct.Quote = *abi.ConvertType(out[2], new([]byte)).(*[]byte)
	outstruct.Eventlog = *abi.ConvertType(out[3], new([]byte)).(*[]byte)
	return *outstruct, nil
}

// PackOwner is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8da5cb5b.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function owner() view returns(address)
func (kms *Kms) PackOwner() []byte {
	enc, err := kms.abi.Pack("owner")
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
func (kms *Kms) TryPackOwner() ([]byte, error) {
	return kms.abi.Pack("owner")
}

// UnpackOwner is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8da5cb5b.
//
// Solidity: function owner() view returns(address)
func (kms *Kms) UnpackOwner(data []byte) (common.Address, error) {
	out, err := kms.abi.Unpack("owner", data)
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
func (kms *Kms) PackPendingOwner() []byte {
	enc, err := kms.abi.Pack("pendingOwner")
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
func (kms *Kms) TryPackPendingOwner() ([]byte, error) {
	return kms.abi.Pack("pendingOwner")
}

// UnpackPendingOwner is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xe30c3978.
//
// Solidity: function pendingOwner() view returns(address)
func (kms *Kms) UnpackPendingOwner(data []byte) (common.Address, error) {
	out, err := kms.abi.Unpack("pendingOwner", data)
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
func (kms *Kms) PackProxiableUUID() []byte {
	enc, err := kms.abi.Pack("proxiableUUID")
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
func (kms *Kms) TryPackProxiableUUID() ([]byte, error) {
	return kms.abi.Pack("proxiableUUID")
}

// UnpackProxiableUUID is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x52d1902d.
//
// Solidity: function proxiableUUID() view returns(bytes32)
func (kms *Kms) UnpackProxiableUUID(data []byte) ([32]byte, error) {
	out, err := kms.abi.Unpack("proxiableUUID", data)
	if err != nil {
		return *new([32]byte), err
	}
	out0 := *abi.ConvertType(out[0], new([32]byte)).(*[32]byte)
	return out0, nil
}

// PackRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x17a1d80f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function registerApp(address appId) returns()
func (kms *Kms) PackRegisterApp(appId common.Address) []byte {
	enc, err := kms.abi.Pack("registerApp", appId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x17a1d80f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function registerApp(address appId) returns()
func (kms *Kms) TryPackRegisterApp(appId common.Address) ([]byte, error) {
	return kms.abi.Pack("registerApp", appId)
}

// PackRegisteredApps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa6c4cce9.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function registeredApps(address appId) view returns(bool)
func (kms *Kms) PackRegisteredApps(appId common.Address) []byte {
	enc, err := kms.abi.Pack("registeredApps", appId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRegisteredApps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xa6c4cce9.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function registeredApps(address appId) view returns(bool)
func (kms *Kms) TryPackRegisteredApps(appId common.Address) ([]byte, error) {
	return kms.abi.Pack("registeredApps", appId)
}

// UnpackRegisteredApps is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xa6c4cce9.
//
// Solidity: function registeredApps(address appId) view returns(bool)
func (kms *Kms) UnpackRegisteredApps(data []byte) (bool, error) {
	out, err := kms.abi.Unpack("registeredApps", data)
	if err != nil {
		return *new(bool), err
	}
	out0 := *abi.ConvertType(out[0], new(bool)).(*bool)
	return out0, nil
}

// PackRemoveKmsAggregatedMr is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2adee48d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeKmsAggregatedMr(bytes32 mrAggregated) returns()
func (kms *Kms) PackRemoveKmsAggregatedMr(mrAggregated [32]byte) []byte {
	enc, err := kms.abi.Pack("removeKmsAggregatedMr", mrAggregated)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveKmsAggregatedMr is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2adee48d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeKmsAggregatedMr(bytes32 mrAggregated) returns()
func (kms *Kms) TryPackRemoveKmsAggregatedMr(mrAggregated [32]byte) ([]byte, error) {
	return kms.abi.Pack("removeKmsAggregatedMr", mrAggregated)
}

// PackRemoveKmsDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9e6f3114.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeKmsDevice(bytes32 deviceId) returns()
func (kms *Kms) PackRemoveKmsDevice(deviceId [32]byte) []byte {
	enc, err := kms.abi.Pack("removeKmsDevice", deviceId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveKmsDevice is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9e6f3114.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeKmsDevice(bytes32 deviceId) returns()
func (kms *Kms) TryPackRemoveKmsDevice(deviceId [32]byte) ([]byte, error) {
	return kms.abi.Pack("removeKmsDevice", deviceId)
}

// PackRemoveOsImageHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9425bac6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function removeOsImageHash(bytes32 osImageHash) returns()
func (kms *Kms) PackRemoveOsImageHash(osImageHash [32]byte) []byte {
	enc, err := kms.abi.Pack("removeOsImageHash", osImageHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRemoveOsImageHash is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x9425bac6.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function removeOsImageHash(bytes32 osImageHash) returns()
func (kms *Kms) TryPackRemoveOsImageHash(osImageHash [32]byte) ([]byte, error) {
	return kms.abi.Pack("removeOsImageHash", osImageHash)
}

// PackRenounceOwnership is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x715018a6.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function renounceOwnership() returns()
func (kms *Kms) PackRenounceOwnership() []byte {
	enc, err := kms.abi.Pack("renounceOwnership")
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
func (kms *Kms) TryPackRenounceOwnership() ([]byte, error) {
	return kms.abi.Pack("renounceOwnership")
}

// PackSetAppImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ceaaa11.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAppImplementation(address implementation) returns()
func (kms *Kms) PackSetAppImplementation(implementation common.Address) []byte {
	enc, err := kms.abi.Pack("setAppImplementation", implementation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAppImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3ceaaa11.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAppImplementation(address implementation) returns()
func (kms *Kms) TryPackSetAppImplementation(implementation common.Address) ([]byte, error) {
	return kms.abi.Pack("setAppImplementation", implementation)
}

// PackSetGatewayAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3971db27.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setGatewayAppId(string gatewayAppId) returns()
func (kms *Kms) PackSetGatewayAppId(gatewayAppId string) []byte {
	enc, err := kms.abi.Pack("setGatewayAppId", gatewayAppId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetGatewayAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x3971db27.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setGatewayAppId(string gatewayAppId) returns()
func (kms *Kms) TryPackSetGatewayAppId(gatewayAppId string) ([]byte, error) {
	return kms.abi.Pack("setGatewayAppId", gatewayAppId)
}

// PackSetKmsEventlog is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x736ede7a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setKmsEventlog(bytes eventlog) returns()
func (kms *Kms) PackSetKmsEventlog(eventlog []byte) []byte {
	enc, err := kms.abi.Pack("setKmsEventlog", eventlog)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetKmsEventlog is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x736ede7a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setKmsEventlog(bytes eventlog) returns()
func (kms *Kms) TryPackSetKmsEventlog(eventlog []byte) ([]byte, error) {
	return kms.abi.Pack("setKmsEventlog", eventlog)
}

// PackSetKmsInfo is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d025352.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setKmsInfo((bytes,bytes,bytes,bytes) info) returns()
func (kms *Kms) PackSetKmsInfo(info KmsInfo) []byte {
	enc, err := kms.abi.Pack("setKmsInfo", info)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetKmsInfo is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x7d025352.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setKmsInfo((bytes,bytes,bytes,bytes) info) returns()
func (kms *Kms) TryPackSetKmsInfo(info KmsInfo) ([]byte, error) {
	return kms.abi.Pack("setKmsInfo", info)
}

// PackSetKmsQuote is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18c1ecb2.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setKmsQuote(bytes quote) returns()
func (kms *Kms) PackSetKmsQuote(quote []byte) []byte {
	enc, err := kms.abi.Pack("setKmsQuote", quote)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetKmsQuote is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x18c1ecb2.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setKmsQuote(bytes quote) returns()
func (kms *Kms) TryPackSetKmsQuote(quote []byte) ([]byte, error) {
	return kms.abi.Pack("setKmsQuote", quote)
}

// PackSupportsInterface is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x01ffc9a7.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function supportsInterface(bytes4 interfaceId) pure returns(bool)
func (kms *Kms) PackSupportsInterface(interfaceId [4]byte) []byte {
	enc, err := kms.abi.Pack("supportsInterface", interfaceId)
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
func (kms *Kms) TryPackSupportsInterface(interfaceId [4]byte) ([]byte, error) {
	return kms.abi.Pack("supportsInterface", interfaceId)
}

// UnpackSupportsInterface is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x01ffc9a7.
//
// Solidity: function supportsInterface(bytes4 interfaceId) pure returns(bool)
func (kms *Kms) UnpackSupportsInterface(data []byte) (bool, error) {
	out, err := kms.abi.Unpack("supportsInterface", data)
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
func (kms *Kms) PackTransferOwnership(newOwner common.Address) []byte {
	enc, err := kms.abi.Pack("transferOwnership", newOwner)
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
func (kms *Kms) TryPackTransferOwnership(newOwner common.Address) ([]byte, error) {
	return kms.abi.Pack("transferOwnership", newOwner)
}

// PackUpgradeToAndCall is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x4f1ef286.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function upgradeToAndCall(address newImplementation, bytes data) payable returns()
func (kms *Kms) PackUpgradeToAndCall(newImplementation common.Address, data []byte) []byte {
	enc, err := kms.abi.Pack("upgradeToAndCall", newImplementation, data)
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
func (kms *Kms) TryPackUpgradeToAndCall(newImplementation common.Address, data []byte) ([]byte, error) {
	return kms.abi.Pack("upgradeToAndCall", newImplementation, data)
}

// KmsAppDeployedViaFactory represents a AppDeployedViaFactory event raised by the Kms contract.
type KmsAppDeployedViaFactory struct {
	AppId    common.Address
	Deployer common.Address
	Raw      *types.Log // Blockchain specific contextual infos
}

const KmsAppDeployedViaFactoryEventName = "AppDeployedViaFactory"

// ContractEventName returns the user-defined event name.
func (KmsAppDeployedViaFactory) ContractEventName() string {
	return KmsAppDeployedViaFactoryEventName
}

// UnpackAppDeployedViaFactoryEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AppDeployedViaFactory(address indexed appId, address indexed deployer)
func (kms *Kms) UnpackAppDeployedViaFactoryEvent(log *types.Log) (*KmsAppDeployedViaFactory, error) {
	event := "AppDeployedViaFactory"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsAppDeployedViaFactory)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsAppImplementationSet represents a AppImplementationSet event raised by the Kms contract.
type KmsAppImplementationSet struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const KmsAppImplementationSetEventName = "AppImplementationSet"

// ContractEventName returns the user-defined event name.
func (KmsAppImplementationSet) ContractEventName() string {
	return KmsAppImplementationSetEventName
}

// UnpackAppImplementationSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AppImplementationSet(address implementation)
func (kms *Kms) UnpackAppImplementationSetEvent(log *types.Log) (*KmsAppImplementationSet, error) {
	event := "AppImplementationSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsAppImplementationSet)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsAppRegistered represents a AppRegistered event raised by the Kms contract.
type KmsAppRegistered struct {
	AppId common.Address
	Raw   *types.Log // Blockchain specific contextual infos
}

const KmsAppRegisteredEventName = "AppRegistered"

// ContractEventName returns the user-defined event name.
func (KmsAppRegistered) ContractEventName() string {
	return KmsAppRegisteredEventName
}

// UnpackAppRegisteredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AppRegistered(address appId)
func (kms *Kms) UnpackAppRegisteredEvent(log *types.Log) (*KmsAppRegistered, error) {
	event := "AppRegistered"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsAppRegistered)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsGatewayAppIdSet represents a GatewayAppIdSet event raised by the Kms contract.
type KmsGatewayAppIdSet struct {
	GatewayAppId string
	Raw          *types.Log // Blockchain specific contextual infos
}

const KmsGatewayAppIdSetEventName = "GatewayAppIdSet"

// ContractEventName returns the user-defined event name.
func (KmsGatewayAppIdSet) ContractEventName() string {
	return KmsGatewayAppIdSetEventName
}

// UnpackGatewayAppIdSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event GatewayAppIdSet(string gatewayAppId)
func (kms *Kms) UnpackGatewayAppIdSetEvent(log *types.Log) (*KmsGatewayAppIdSet, error) {
	event := "GatewayAppIdSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsGatewayAppIdSet)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsInitialized represents a Initialized event raised by the Kms contract.
type KmsInitialized struct {
	Version uint64
	Raw     *types.Log // Blockchain specific contextual infos
}

const KmsInitializedEventName = "Initialized"

// ContractEventName returns the user-defined event name.
func (KmsInitialized) ContractEventName() string {
	return KmsInitializedEventName
}

// UnpackInitializedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Initialized(uint64 version)
func (kms *Kms) UnpackInitializedEvent(log *types.Log) (*KmsInitialized, error) {
	event := "Initialized"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsInitialized)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsKmsAggregatedMrAdded represents a KmsAggregatedMrAdded event raised by the Kms contract.
type KmsKmsAggregatedMrAdded struct {
	MrAggregated [32]byte
	Raw          *types.Log // Blockchain specific contextual infos
}

const KmsKmsAggregatedMrAddedEventName = "KmsAggregatedMrAdded"

// ContractEventName returns the user-defined event name.
func (KmsKmsAggregatedMrAdded) ContractEventName() string {
	return KmsKmsAggregatedMrAddedEventName
}

// UnpackKmsAggregatedMrAddedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KmsAggregatedMrAdded(bytes32 mrAggregated)
func (kms *Kms) UnpackKmsAggregatedMrAddedEvent(log *types.Log) (*KmsKmsAggregatedMrAdded, error) {
	event := "KmsAggregatedMrAdded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsKmsAggregatedMrAdded)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsKmsAggregatedMrRemoved represents a KmsAggregatedMrRemoved event raised by the Kms contract.
type KmsKmsAggregatedMrRemoved struct {
	MrAggregated [32]byte
	Raw          *types.Log // Blockchain specific contextual infos
}

const KmsKmsAggregatedMrRemovedEventName = "KmsAggregatedMrRemoved"

// ContractEventName returns the user-defined event name.
func (KmsKmsAggregatedMrRemoved) ContractEventName() string {
	return KmsKmsAggregatedMrRemovedEventName
}

// UnpackKmsAggregatedMrRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KmsAggregatedMrRemoved(bytes32 mrAggregated)
func (kms *Kms) UnpackKmsAggregatedMrRemovedEvent(log *types.Log) (*KmsKmsAggregatedMrRemoved, error) {
	event := "KmsAggregatedMrRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsKmsAggregatedMrRemoved)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsKmsDeviceAdded represents a KmsDeviceAdded event raised by the Kms contract.
type KmsKmsDeviceAdded struct {
	DeviceId [32]byte
	Raw      *types.Log // Blockchain specific contextual infos
}

const KmsKmsDeviceAddedEventName = "KmsDeviceAdded"

// ContractEventName returns the user-defined event name.
func (KmsKmsDeviceAdded) ContractEventName() string {
	return KmsKmsDeviceAddedEventName
}

// UnpackKmsDeviceAddedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KmsDeviceAdded(bytes32 deviceId)
func (kms *Kms) UnpackKmsDeviceAddedEvent(log *types.Log) (*KmsKmsDeviceAdded, error) {
	event := "KmsDeviceAdded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsKmsDeviceAdded)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsKmsDeviceRemoved represents a KmsDeviceRemoved event raised by the Kms contract.
type KmsKmsDeviceRemoved struct {
	DeviceId [32]byte
	Raw      *types.Log // Blockchain specific contextual infos
}

const KmsKmsDeviceRemovedEventName = "KmsDeviceRemoved"

// ContractEventName returns the user-defined event name.
func (KmsKmsDeviceRemoved) ContractEventName() string {
	return KmsKmsDeviceRemovedEventName
}

// UnpackKmsDeviceRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KmsDeviceRemoved(bytes32 deviceId)
func (kms *Kms) UnpackKmsDeviceRemovedEvent(log *types.Log) (*KmsKmsDeviceRemoved, error) {
	event := "KmsDeviceRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsKmsDeviceRemoved)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsKmsInfoSet represents a KmsInfoSet event raised by the Kms contract.
type KmsKmsInfoSet struct {
	K256Pubkey []byte
	Raw        *types.Log // Blockchain specific contextual infos
}

const KmsKmsInfoSetEventName = "KmsInfoSet"

// ContractEventName returns the user-defined event name.
func (KmsKmsInfoSet) ContractEventName() string {
	return KmsKmsInfoSetEventName
}

// UnpackKmsInfoSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event KmsInfoSet(bytes k256Pubkey)
func (kms *Kms) UnpackKmsInfoSetEvent(log *types.Log) (*KmsKmsInfoSet, error) {
	event := "KmsInfoSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsKmsInfoSet)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsOsImageHashAdded represents a OsImageHashAdded event raised by the Kms contract.
type KmsOsImageHashAdded struct {
	OsImageHash [32]byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const KmsOsImageHashAddedEventName = "OsImageHashAdded"

// ContractEventName returns the user-defined event name.
func (KmsOsImageHashAdded) ContractEventName() string {
	return KmsOsImageHashAddedEventName
}

// UnpackOsImageHashAddedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OsImageHashAdded(bytes32 osImageHash)
func (kms *Kms) UnpackOsImageHashAddedEvent(log *types.Log) (*KmsOsImageHashAdded, error) {
	event := "OsImageHashAdded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsOsImageHashAdded)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsOsImageHashRemoved represents a OsImageHashRemoved event raised by the Kms contract.
type KmsOsImageHashRemoved struct {
	OsImageHash [32]byte
	Raw         *types.Log // Blockchain specific contextual infos
}

const KmsOsImageHashRemovedEventName = "OsImageHashRemoved"

// ContractEventName returns the user-defined event name.
func (KmsOsImageHashRemoved) ContractEventName() string {
	return KmsOsImageHashRemovedEventName
}

// UnpackOsImageHashRemovedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OsImageHashRemoved(bytes32 osImageHash)
func (kms *Kms) UnpackOsImageHashRemovedEvent(log *types.Log) (*KmsOsImageHashRemoved, error) {
	event := "OsImageHashRemoved"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsOsImageHashRemoved)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsOwnershipTransferStarted represents a OwnershipTransferStarted event raised by the Kms contract.
type KmsOwnershipTransferStarted struct {
	PreviousOwner common.Address
	NewOwner      common.Address
	Raw           *types.Log // Blockchain specific contextual infos
}

const KmsOwnershipTransferStartedEventName = "OwnershipTransferStarted"

// ContractEventName returns the user-defined event name.
func (KmsOwnershipTransferStarted) ContractEventName() string {
	return KmsOwnershipTransferStartedEventName
}

// UnpackOwnershipTransferStartedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OwnershipTransferStarted(address indexed previousOwner, address indexed newOwner)
func (kms *Kms) UnpackOwnershipTransferStartedEvent(log *types.Log) (*KmsOwnershipTransferStarted, error) {
	event := "OwnershipTransferStarted"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsOwnershipTransferStarted)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsOwnershipTransferred represents a OwnershipTransferred event raised by the Kms contract.
type KmsOwnershipTransferred struct {
	PreviousOwner common.Address
	NewOwner      common.Address
	Raw           *types.Log // Blockchain specific contextual infos
}

const KmsOwnershipTransferredEventName = "OwnershipTransferred"

// ContractEventName returns the user-defined event name.
func (KmsOwnershipTransferred) ContractEventName() string {
	return KmsOwnershipTransferredEventName
}

// UnpackOwnershipTransferredEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event OwnershipTransferred(address indexed previousOwner, address indexed newOwner)
func (kms *Kms) UnpackOwnershipTransferredEvent(log *types.Log) (*KmsOwnershipTransferred, error) {
	event := "OwnershipTransferred"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsOwnershipTransferred)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsPolicyChanged represents a PolicyChanged event raised by the Kms contract.
type KmsPolicyChanged struct {
	Actor   common.Address
	Policy  [32]byte
	Value   [32]byte
	Enabled bool
	Raw     *types.Log // Blockchain specific contextual infos
}

const KmsPolicyChangedEventName = "PolicyChanged"

// ContractEventName returns the user-defined event name.
func (KmsPolicyChanged) ContractEventName() string {
	return KmsPolicyChangedEventName
}

// UnpackPolicyChangedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event PolicyChanged(address indexed actor, bytes32 indexed policy, bytes32 indexed value, bool enabled)
func (kms *Kms) UnpackPolicyChangedEvent(log *types.Log) (*KmsPolicyChanged, error) {
	event := "PolicyChanged"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsPolicyChanged)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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

// KmsUpgraded represents a Upgraded event raised by the Kms contract.
type KmsUpgraded struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const KmsUpgradedEventName = "Upgraded"

// ContractEventName returns the user-defined event name.
func (KmsUpgraded) ContractEventName() string {
	return KmsUpgradedEventName
}

// UnpackUpgradedEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event Upgraded(address indexed implementation)
func (kms *Kms) UnpackUpgradedEvent(log *types.Log) (*KmsUpgraded, error) {
	event := "Upgraded"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kms.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsUpgraded)
	if len(log.Data) > 0 {
		if err := kms.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kms.abi.Events[event].Inputs {
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
func (kms *Kms) UnpackError(raw []byte) (any, error) {
	if bytes.Equal(raw[:4], kms.abi.Errors["AddressEmptyCode"].ID.Bytes()[:4]) {
		return kms.UnpackAddressEmptyCodeError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["ERC1967InvalidImplementation"].ID.Bytes()[:4]) {
		return kms.UnpackERC1967InvalidImplementationError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["ERC1967NonPayable"].ID.Bytes()[:4]) {
		return kms.UnpackERC1967NonPayableError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["FailedCall"].ID.Bytes()[:4]) {
		return kms.UnpackFailedCallError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["InvalidInitialization"].ID.Bytes()[:4]) {
		return kms.UnpackInvalidInitializationError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["NotInitializing"].ID.Bytes()[:4]) {
		return kms.UnpackNotInitializingError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["OwnableInvalidOwner"].ID.Bytes()[:4]) {
		return kms.UnpackOwnableInvalidOwnerError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["OwnableUnauthorizedAccount"].ID.Bytes()[:4]) {
		return kms.UnpackOwnableUnauthorizedAccountError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["UUPSUnauthorizedCallContext"].ID.Bytes()[:4]) {
		return kms.UnpackUUPSUnauthorizedCallContextError(raw[4:])
	}
	if bytes.Equal(raw[:4], kms.abi.Errors["UUPSUnsupportedProxiableUUID"].ID.Bytes()[:4]) {
		return kms.UnpackUUPSUnsupportedProxiableUUIDError(raw[4:])
	}
	return nil, errors.New("unknown error")
}

// KmsAddressEmptyCode represents a AddressEmptyCode error raised by the Kms contract.
type KmsAddressEmptyCode struct {
	Target common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error AddressEmptyCode(address target)
func KmsAddressEmptyCodeErrorID() common.Hash {
	return common.HexToHash("0x9996b315c842ff135b8fc4a08ad5df1c344efbc03d2687aecc0678050d2aac89")
}

// UnpackAddressEmptyCodeError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error AddressEmptyCode(address target)
func (kms *Kms) UnpackAddressEmptyCodeError(raw []byte) (*KmsAddressEmptyCode, error) {
	out := new(KmsAddressEmptyCode)
	if err := kms.abi.UnpackIntoInterface(out, "AddressEmptyCode", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsERC1967InvalidImplementation represents a ERC1967InvalidImplementation error raised by the Kms contract.
type KmsERC1967InvalidImplementation struct {
	Implementation common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func KmsERC1967InvalidImplementationErrorID() common.Hash {
	return common.HexToHash("0x4c9c8ce3ceb3130f17f7cdba48d89b5b0129f266a8bac114e6e315a41879b617")
}

// UnpackERC1967InvalidImplementationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967InvalidImplementation(address implementation)
func (kms *Kms) UnpackERC1967InvalidImplementationError(raw []byte) (*KmsERC1967InvalidImplementation, error) {
	out := new(KmsERC1967InvalidImplementation)
	if err := kms.abi.UnpackIntoInterface(out, "ERC1967InvalidImplementation", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsERC1967NonPayable represents a ERC1967NonPayable error raised by the Kms contract.
type KmsERC1967NonPayable struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error ERC1967NonPayable()
func KmsERC1967NonPayableErrorID() common.Hash {
	return common.HexToHash("0xb398979fa84f543c8e222f17890372c487baf85e062276c127fef521eea7224b")
}

// UnpackERC1967NonPayableError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error ERC1967NonPayable()
func (kms *Kms) UnpackERC1967NonPayableError(raw []byte) (*KmsERC1967NonPayable, error) {
	out := new(KmsERC1967NonPayable)
	if err := kms.abi.UnpackIntoInterface(out, "ERC1967NonPayable", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsFailedCall represents a FailedCall error raised by the Kms contract.
type KmsFailedCall struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error FailedCall()
func KmsFailedCallErrorID() common.Hash {
	return common.HexToHash("0xd6bda27508c0fb6d8a39b4b122878dab26f731a7d4e4abe711dd3731899052a4")
}

// UnpackFailedCallError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error FailedCall()
func (kms *Kms) UnpackFailedCallError(raw []byte) (*KmsFailedCall, error) {
	out := new(KmsFailedCall)
	if err := kms.abi.UnpackIntoInterface(out, "FailedCall", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsInvalidInitialization represents a InvalidInitialization error raised by the Kms contract.
type KmsInvalidInitialization struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error InvalidInitialization()
func KmsInvalidInitializationErrorID() common.Hash {
	return common.HexToHash("0xf92ee8a957075833165f68c320933b1a1294aafc84ee6e0dd3fb178008f9aaf5")
}

// UnpackInvalidInitializationError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error InvalidInitialization()
func (kms *Kms) UnpackInvalidInitializationError(raw []byte) (*KmsInvalidInitialization, error) {
	out := new(KmsInvalidInitialization)
	if err := kms.abi.UnpackIntoInterface(out, "InvalidInitialization", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsNotInitializing represents a NotInitializing error raised by the Kms contract.
type KmsNotInitializing struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error NotInitializing()
func KmsNotInitializingErrorID() common.Hash {
	return common.HexToHash("0xd7e6bcf8597daa127dc9f0048d2f08d5ef140a2cb659feabd700beff1f7a8302")
}

// UnpackNotInitializingError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error NotInitializing()
func (kms *Kms) UnpackNotInitializingError(raw []byte) (*KmsNotInitializing, error) {
	out := new(KmsNotInitializing)
	if err := kms.abi.UnpackIntoInterface(out, "NotInitializing", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsOwnableInvalidOwner represents a OwnableInvalidOwner error raised by the Kms contract.
type KmsOwnableInvalidOwner struct {
	Owner common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableInvalidOwner(address owner)
func KmsOwnableInvalidOwnerErrorID() common.Hash {
	return common.HexToHash("0x1e4fbdf7f3ef8bcaa855599e3abf48b232380f183f08f6f813d9ffa5bd585188")
}

// UnpackOwnableInvalidOwnerError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableInvalidOwner(address owner)
func (kms *Kms) UnpackOwnableInvalidOwnerError(raw []byte) (*KmsOwnableInvalidOwner, error) {
	out := new(KmsOwnableInvalidOwner)
	if err := kms.abi.UnpackIntoInterface(out, "OwnableInvalidOwner", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsOwnableUnauthorizedAccount represents a OwnableUnauthorizedAccount error raised by the Kms contract.
type KmsOwnableUnauthorizedAccount struct {
	Account common.Address
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func KmsOwnableUnauthorizedAccountErrorID() common.Hash {
	return common.HexToHash("0x118cdaa7a341953d1887a2245fd6665d741c67c8c50581daa59e1d03373fa188")
}

// UnpackOwnableUnauthorizedAccountError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error OwnableUnauthorizedAccount(address account)
func (kms *Kms) UnpackOwnableUnauthorizedAccountError(raw []byte) (*KmsOwnableUnauthorizedAccount, error) {
	out := new(KmsOwnableUnauthorizedAccount)
	if err := kms.abi.UnpackIntoInterface(out, "OwnableUnauthorizedAccount", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsUUPSUnauthorizedCallContext represents a UUPSUnauthorizedCallContext error raised by the Kms contract.
type KmsUUPSUnauthorizedCallContext struct {
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnauthorizedCallContext()
func KmsUUPSUnauthorizedCallContextErrorID() common.Hash {
	return common.HexToHash("0xe07c8dba242a06571ac65fe4bbe20522c9fb111cb33599b799ff8039c1ed18f4")
}

// UnpackUUPSUnauthorizedCallContextError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnauthorizedCallContext()
func (kms *Kms) UnpackUUPSUnauthorizedCallContextError(raw []byte) (*KmsUUPSUnauthorizedCallContext, error) {
	out := new(KmsUUPSUnauthorizedCallContext)
	if err := kms.abi.UnpackIntoInterface(out, "UUPSUnauthorizedCallContext", raw); err != nil {
		return nil, err
	}
	return out, nil
}

// KmsUUPSUnsupportedProxiableUUID represents a UUPSUnsupportedProxiableUUID error raised by the Kms contract.
type KmsUUPSUnsupportedProxiableUUID struct {
	Slot [32]byte
}

// ErrorID returns the hash of canonical representation of the error's signature.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func KmsUUPSUnsupportedProxiableUUIDErrorID() common.Hash {
	return common.HexToHash("0xaa1d49a4c084bfa9aeeee2a0be65267a7f19ba7e1476b114dac513d2c14cb563")
}

// UnpackUUPSUnsupportedProxiableUUIDError is the Go binding used to decode the provided
// error data into the corresponding Go error struct.
//
// Solidity: error UUPSUnsupportedProxiableUUID(bytes32 slot)
func (kms *Kms) UnpackUUPSUnsupportedProxiableUUIDError(raw []byte) (*KmsUUPSUnsupportedProxiableUUID, error) {
	out := new(KmsUUPSUnsupportedProxiableUUID)
	if err := kms.abi.UnpackIntoInterface(out, "UUPSUnsupportedProxiableUUID", raw); err != nil {
		return nil, err
	}
	return out, nil
}
