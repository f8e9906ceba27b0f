// Code generated via abigen V2 - DO NOT EDIT.
// This file is a generated binding and any manual changes will be lost.

package kmsauth

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

// KmsAuthMetaData contains all meta data concerning the KmsAuth contract.
var KmsAuthMetaData = bind.MetaData{
	ABI: "[{\"type\":\"function\",\"name\":\"apps\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\"}],\"outputs\":[{\"name\":\"isRegistered\",\"type\":\"bool\"},{\"name\":\"controller\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"nextAppId\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"nextAppSequence\",\"inputs\":[{\"name\":\"deployer\",\"type\":\"address\"}],\"outputs\":[{\"name\":\"\",\"type\":\"uint256\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"appAuthImplementation\",\"inputs\":[],\"outputs\":[{\"name\":\"\",\"type\":\"address\"}],\"stateMutability\":\"view\"},{\"type\":\"function\",\"name\":\"setAppAuthImplementation\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"registerApp\",\"inputs\":[{\"name\":\"controller\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"deployAndRegisterApp\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"},{\"name\":\"disableUpgrades\",\"type\":\"bool\"},{\"name\":\"allowAnyDevice\",\"type\":\"bool\"},{\"name\":\"deviceId\",\"type\":\"bytes32\"},{\"name\":\"composeHash\",\"type\":\"bytes32\"}],\"outputs\":[{\"name\":\"appId\",\"type\":\"address\"},{\"name\":\"proxyAddress\",\"type\":\"address\"}],\"stateMutability\":\"nonpayable\"},{\"type\":\"function\",\"name\":\"initialize\",\"inputs\":[{\"name\":\"initialOwner\",\"type\":\"address\"}],\"outputs\":[],\"stateMutability\":\"nonpayable\"},{\"type\":\"event\",\"name\":\"AppDeployedViaFactory\",\"inputs\":[{\"name\":\"appId\",\"type\":\"address\",\"indexed\":true},{\"name\":\"proxyAddress\",\"type\":\"address\",\"indexed\":true},{\"name\":\"deployer\",\"type\":\"address\",\"indexed\":true}],\"anonymous\":false},{\"type\":\"event\",\"name\":\"AppAuthImplementationSet\",\"inputs\":[{\"name\":\"implementation\",\"type\":\"address\",\"indexed\":false}],\"anonymous\":false}]",
	ID:  "KmsAuth",
}

// KmsAuth is an auto generated Go binding around an Ethereum contract.
type KmsAuth struct {
	abi abi.ABI
}

// GetABI returns the ABI associated with this contract binding.
func (c *KmsAuth) GetABI() abi.ABI {
	return c.abi
}

// NewKmsAuth creates a new instance of KmsAuth.
func NewKmsAuth() *KmsAuth {
	parsed, err := KmsAuthMetaData.ParseABI()
	if err != nil {
		panic(errors.New("invalid ABI: " + err.Error()))
	}
	return &KmsAuth{abi: *parsed}
}

// Instance creates a wrapper for a deployed contract instance at the given address.
// Use this to create the instance object passed to abigen v2 library functions Call, Transact, etc.
func (c *KmsAuth) Instance(backend bind.ContractBackend, addr common.Address) *bind.BoundContract {
	return bind.NewBoundContract(addr, c.abi, backend, backend, backend)
}

// PackAppAuthImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x65638829.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function appAuthImplementation() view returns(address)
func (kmsAuth *KmsAuth) PackAppAuthImplementation() []byte {
	enc, err := kmsAuth.abi.Pack("appAuthImplementation")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackAppAuthImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x65638829.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function appAuthImplementation() view returns(address)
func (kmsAuth *KmsAuth) TryPackAppAuthImplementation() ([]byte, error) {
	return kmsAuth.abi.Pack("appAuthImplementation")
}

// UnpackAppAuthImplementation is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x65638829.
//
// Solidity: function appAuthImplementation() view returns(address)
func (kmsAuth *KmsAuth) UnpackAppAuthImplementation(data []byte) (common.Address, error) {
	out, err := kmsAuth.abi.Unpack("appAuthImplementation", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackApps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1309ec43.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function apps(address appId) view returns(bool isRegistered, address controller)
func (kmsAuth *KmsAuth) PackApps(appId common.Address) []byte {
	enc, err := kmsAuth.abi.Pack("apps", appId)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackApps is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x1309ec43.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function apps(address appId) view returns(bool isRegistered, address controller)
func (kmsAuth *KmsAuth) TryPackApps(appId common.Address) ([]byte, error) {
	return kmsAuth.abi.Pack("apps", appId)
}

// AppsOutput serves as a container for the return parameters of contract
// method Apps.
type AppsOutput struct {
	IsRegistered bool
	Controller   common.Address
}

// UnpackApps is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x1309ec43.
//
// Solidity: function apps(address appId) view returns(bool isRegistered, address controller)
func (kmsAuth *KmsAuth) UnpackApps(data []byte) (AppsOutput, error) {
	out, err := kmsAuth.abi.Unpack("apps", data)
	outstruct := new(AppsOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.IsRegistered = *abi.ConvertType(out[0], new(bool)).(*bool)
	outstruct.Controller = *abi.ConvertType(out[1], new(common.Address)).(*common.Address)
	return *outstruct, nil
}

// PackDeployAndRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8618169d.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId, address proxyAddress)
func (kmsAuth *KmsAuth) PackDeployAndRegisterApp(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) []byte {
	enc, err := kmsAuth.abi.Pack("deployAndRegisterApp", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackDeployAndRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x8618169d.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId, address proxyAddress)
func (kmsAuth *KmsAuth) TryPackDeployAndRegisterApp(initialOwner common.Address, disableUpgrades bool, allowAnyDevice bool, deviceId [32]byte, composeHash [32]byte) ([]byte, error) {
	return kmsAuth.abi.Pack("deployAndRegisterApp", initialOwner, disableUpgrades, allowAnyDevice, deviceId, composeHash)
}

// DeployAndRegisterAppOutput serves as a container for the return parameters of contract
// method DeployAndRegisterApp.
type DeployAndRegisterAppOutput struct {
	AppId        common.Address
	ProxyAddress common.Address
}

// UnpackDeployAndRegisterApp is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x8618169d.
//
// Solidity: function deployAndRegisterApp(address initialOwner, bool disableUpgrades, bool allowAnyDevice, bytes32 deviceId, bytes32 composeHash) returns(address appId, address proxyAddress)
func (kmsAuth *KmsAuth) UnpackDeployAndRegisterApp(data []byte) (DeployAndRegisterAppOutput, error) {
	out, err := kmsAuth.abi.Unpack("deployAndRegisterApp", data)
	outstruct := new(DeployAndRegisterAppOutput)
	if err != nil {
		return *outstruct, err
	}
	outstruct.AppId = *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	outstruct.ProxyAddress = *abi.ConvertType(out[1], new(common.Address)).(*common.Address)
	return *outstruct, nil
}

// PackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc4d66de8.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function initialize(address initialOwner) returns()
func (kmsAuth *KmsAuth) PackInitialize(initialOwner common.Address) []byte {
	enc, err := kmsAuth.abi.Pack("initialize", initialOwner)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackInitialize is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xc4d66de8.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function initialize(address initialOwner) returns()
func (kmsAuth *KmsAuth) TryPackInitialize(initialOwner common.Address) ([]byte, error) {
	return kmsAuth.abi.Pack("initialize", initialOwner)
}

// PackNextAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x38226c2a.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nextAppId() view returns(address)
func (kmsAuth *KmsAuth) PackNextAppId() []byte {
	enc, err := kmsAuth.abi.Pack("nextAppId")
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNextAppId is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x38226c2a.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nextAppId() view returns(address)
func (kmsAuth *KmsAuth) TryPackNextAppId() ([]byte, error) {
	return kmsAuth.abi.Pack("nextAppId")
}

// UnpackNextAppId is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0x38226c2a.
//
// Solidity: function nextAppId() view returns(address)
func (kmsAuth *KmsAuth) UnpackNextAppId(data []byte) (common.Address, error) {
	out, err := kmsAuth.abi.Unpack("nextAppId", data)
	if err != nil {
		return *new(common.Address), err
	}
	out0 := *abi.ConvertType(out[0], new(common.Address)).(*common.Address)
	return out0, nil
}

// PackNextAppSequence is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7b556eb.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function nextAppSequence(address deployer) view returns(uint256)
func (kmsAuth *KmsAuth) PackNextAppSequence(deployer common.Address) []byte {
	enc, err := kmsAuth.abi.Pack("nextAppSequence", deployer)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackNextAppSequence is the Go binding used to pack the parameters required for calling
// the contract method with ID 0xb7b556eb.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function nextAppSequence(address deployer) view returns(uint256)
func (kmsAuth *KmsAuth) TryPackNextAppSequence(deployer common.Address) ([]byte, error) {
	return kmsAuth.abi.Pack("nextAppSequence", deployer)
}

// UnpackNextAppSequence is the Go binding that unpacks the parameters returned
// from invoking the contract method with ID 0xb7b556eb.
//
// Solidity: function nextAppSequence(address deployer) view returns(uint256)
func (kmsAuth *KmsAuth) UnpackNextAppSequence(data []byte) (*big.Int, error) {
	out, err := kmsAuth.abi.Unpack("nextAppSequence", data)
	if err != nil {
		return new(big.Int), err
	}
	out0 := abi.ConvertType(out[0], new(big.Int)).(*big.Int)
	return out0, nil
}

// PackRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x17a1d80f.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function registerApp(address controller) returns()
func (kmsAuth *KmsAuth) PackRegisterApp(controller common.Address) []byte {
	enc, err := kmsAuth.abi.Pack("registerApp", controller)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackRegisterApp is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x17a1d80f.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function registerApp(address controller) returns()
func (kmsAuth *KmsAuth) TryPackRegisterApp(controller common.Address) ([]byte, error) {
	return kmsAuth.abi.Pack("registerApp", controller)
}

// PackSetAppAuthImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2cb14032.  This method will panic if any
// invalid/nil inputs are passed.
//
// Solidity: function setAppAuthImplementation(address implementation) returns()
func (kmsAuth *KmsAuth) PackSetAppAuthImplementation(implementation common.Address) []byte {
	enc, err := kmsAuth.abi.Pack("setAppAuthImplementation", implementation)
	if err != nil {
		panic(err)
	}
	return enc
}

// TryPackSetAppAuthImplementation is the Go binding used to pack the parameters required for calling
// the contract method with ID 0x2cb14032.  This method will return an error
// if any inputs are invalid/nil.
//
// Solidity: function setAppAuthImplementation(address implementation) returns()
func (kmsAuth *KmsAuth) TryPackSetAppAuthImplementation(implementation common.Address) ([]byte, error) {
	return kmsAuth.abi.Pack("setAppAuthImplementation", implementation)
}

// KmsAuthAppAuthImplementationSet represents a AppAuthImplementationSet event raised by the KmsAuth contract.
type KmsAuthAppAuthImplementationSet struct {
	Implementation common.Address
	Raw            *types.Log // Blockchain specific contextual infos
}

const KmsAuthAppAuthImplementationSetEventName = "AppAuthImplementationSet"

// ContractEventName returns the user-defined event name.
func (KmsAuthAppAuthImplementationSet) ContractEventName() string {
	return KmsAuthAppAuthImplementationSetEventName
}

// UnpackAppAuthImplementationSetEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AppAuthImplementationSet(address implementation)
func (kmsAuth *KmsAuth) UnpackAppAuthImplementationSetEvent(log *types.Log) (*KmsAuthAppAuthImplementationSet, error) {
	event := "AppAuthImplementationSet"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kmsAuth.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsAuthAppAuthImplementationSet)
	if len(log.Data) > 0 {
		if err := kmsAuth.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kmsAuth.abi.Events[event].Inputs {
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

// KmsAuthAppDeployedViaFactory represents a AppDeployedViaFactory event raised by the KmsAuth contract.
type KmsAuthAppDeployedViaFactory struct {
	AppId        common.Address
	ProxyAddress common.Address
	Deployer     common.Address
	Raw          *types.Log // Blockchain specific contextual infos
}

const KmsAuthAppDeployedViaFactoryEventName = "AppDeployedViaFactory"

// ContractEventName returns the user-defined event name.
func (KmsAuthAppDeployedViaFactory) ContractEventName() string {
	return KmsAuthAppDeployedViaFactoryEventName
}

// UnpackAppDeployedViaFactoryEvent is the Go binding that unpacks the event data emitted
// by contract.
//
// Solidity: event AppDeployedViaFactory(address indexed appId, address indexed proxyAddress, address indexed deployer)
func (kmsAuth *KmsAuth) UnpackAppDeployedViaFactoryEvent(log *types.Log) (*KmsAuthAppDeployedViaFactory, error) {
	event := "AppDeployedViaFactory"
	if len(log.Topics) == 0 {
		return nil, bind.ErrNoEventSignature
	}
	if log.Topics[0] != kmsAuth.abi.Events[event].ID {
		return nil, bind.ErrEventSignatureMismatch
	}
	out := new(KmsAuthAppDeployedViaFactory)
	if len(log.Data) > 0 {
		if err := kmsAuth.abi.UnpackIntoInterface(out, event, log.Data); err != nil {
			return nil, err
		}
	}
	var indexed abi.Arguments
	for _, arg := range kmsAuth.abi.Events[event].Inputs {
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
