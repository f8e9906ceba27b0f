package onchain_test

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

const bootInfo = "(address,bytes32,address,bytes32,bytes32,bytes32,bytes32,string,string[])"

// The selectors and topics of the dstack contracts, 0.5.4 and later.
var (
	kmsFunctions = map[string]string{
		"deployAndRegisterApp(address,bool,bool,bytes32,bytes32)":      "8618169d",
		"deployAndRegisterApp(address,bool,bool,bool,bytes32,bytes32)": "9cb9c31f",
		"registerApp(address)":                  "17a1d80f",
		"registeredApps(address)":               "a6c4cce9",
		"isAppAllowed(" + bootInfo + ")":        "1e079198",
		"isKmsAllowed(" + bootInfo + ")":        "e067ec9d",
		"kmsInfo()":                             "09177063",
		"gatewayAppId()":                        "95f51931",
		"appImplementation()":                   "25a992da",
		"allowedOsImages(bytes32)":              "9a4e1d18",
		"kmsAllowedAggregatedMrs(bytes32)":      "f6fe4f40",
		"kmsAllowedDeviceIds(bytes32)":          "13eb9770",
		"setKmsInfo((bytes,bytes,bytes,bytes))": "7d025352",
		"setKmsQuote(bytes)":                    "18c1ecb2",
		"setKmsEventlog(bytes)":                 "736ede7a",
		"setGatewayAppId(string)":               "3971db27",
		"setAppImplementation(address)":         "3ceaaa11",
		"addKmsAggregatedMr(bytes32)":           "3e32d346",
		"removeKmsAggregatedMr(bytes32)":        "2adee48d",
		"addKmsDevice(bytes32)":                 "4d5922a1",
		"removeKmsDevice(bytes32)":              "9e6f3114",
		"addOsImageHash(bytes32)":               "06a3ae96",
		"removeOsImageHash(bytes32)":            "9425bac6",
		"initialize(address,address)":           "485cc955",
	}
	appFunctions = map[string]string{
		"addComposeHash(bytes32)":                            "dfc77223",
		"removeComposeHash(bytes32)":                         "67b3f22c",
		"allowedComposeHashes(bytes32)":                      "2f6622e5",
		"addDevice(bytes32)":                                 "2a819728",
		"removeDevice(bytes32)":                              "1d266200",
		"allowedDeviceIds(bytes32)":                          "bf8b211b",
		"allowAnyDevice()":                                   "3440a16a",
		"setAllowAnyDevice(bool)":                            "7c4beeb8",
		"requireTcbUpToDate()":                               "0aa58c83",
		"setRequireTcbUpToDate(bool)":                        "6e4c7422",
		"isAppAllowed(" + bootInfo + ")":                     "1e079198",
		"disableUpgrades()":                                  "ec669036",
		"version()":                                          "54fd4d50",
		"initialize(address,bool,bool,bytes32,bytes32)":      "187515ca",
		"initialize(address,bool,bool,bool,bytes32,bytes32)": "9ed28193",
	}
	inheritedFunctions = map[string]string{
		"owner()":                         "8da5cb5b",
		"transferOwnership(address)":      "f2fde38b",
		"acceptOwnership()":               "79ba5097",
		"pendingOwner()":                  "e30c3978",
		"renounceOwnership()":             "715018a6",
		"upgradeToAndCall(address,bytes)": "4f1ef286",
		"proxiableUUID()":                 "52d1902d",
		"UPGRADE_INTERFACE_VERSION()":     "ad3cb1cc",
		"supportsInterface(bytes4)":       "01ffc9a7",
	}
	kmsEvents = map[string]string{
		"AppDeployedViaFactory(address,address)": "fd86d7f6962eba3b7a3bf9129c06c0b2f885e1c61ef2c9f0dbb856be0deefdee",
		"AppRegistered(address)":                 "0d540ad8f39e07d19909687352b9fa017405d93c91a6760981fbae9cf28bfef7",
		"AppImplementationSet(address)":          "08bb433f12b5fd81d2d5e0deeb3b4d28371781ddbd80e9d053e7468d2b1aa82d",
		"KmsInfoSet(bytes)":                      "77cdad119a452bbd96c45635758fc4af8a6bde3deaccf3fada634ddf9a162706",
		"GatewayAppIdSet(string)":                "5b2b64f770ea5266055ebd3ebf205ef06cbfa738e62684edf0e28356e34acf06",
		"KmsAggregatedMrAdded(bytes32)":          "68615a0b92795750b3d180ff73429e1291d225e449eee954a567b91104fd9837",
		"KmsAggregatedMrRemoved(bytes32)":        "54cd662e41eec7ddf0f32f034b2533e481b471dd3ea978222d609ec8fffb1bb0",
		"KmsDeviceAdded(bytes32)":                "f2b290637b1193e12eb38ab32b986303639b1687cc2cd1e25f993e6eae2f4041",
		"KmsDeviceRemoved(bytes32)":              "1a9888a45e3df8b7e6bb3090747d598d2a0d78e61388161a90799f54df8f4434",
		"OsImageHashAdded(bytes32)":              "4911843506849c85a5ca6e6e2c01eed2d3ab86baba619517a2aad9d5ab2aeff2",
		"OsImageHashRemoved(bytes32)":            "99b3cee95daf3138d0c982299cd0264f5b7a61aa629b42b92f3ec8966aa7f6fe",
	}
	appEvents = map[string]string{
		"ComposeHashAdded(bytes32)":   "fecb34306dd9d8b785b54d65489d06afc8822a0893ddacedff40c50a4942d0af",
		"ComposeHashRemoved(bytes32)": "755b79bd4b0eeab344d032284a99003b2ddc018b646752ac72d681593a6e8947",
		"DeviceAdded(bytes32)":        "67fc71ab96fe3fa3c6f78e9a00e635d591b7333ce611c0380bc577aac702243b",
		"DeviceRemoved(bytes32)":      "e0862975ac517b0478d308012afabc4bc37c23874a18144d7f2dfb852ff95c2c",
		"AllowAnyDeviceSet(bool)":     "bb2cdb6c7b362202d40373f87bc4788301cca658f91711ac1662e1ad2cba4a20",
		"RequireTcbUpToDateSet(bool)": "afae60561b2481a349b45b3a47357f70eef6ae67e5b6e1749d74de7f19a25aa1",
		"UpgradesDisabled()":          "0e5daa943fcd7e7182d0e893d180695c2ea9f6f1b4a1c5432faf14cf17b774e8",
	}
	inheritedEvents = map[string]string{
		"PolicyChanged(address,bytes32,bytes32,bool)": "341d3bc64e32172fc5bcf27b0f7f69dc5adc19af64b7aa1dee361e5883c32375",
		"OwnershipTransferred(address,address)":       "8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0",
		"OwnershipTransferStarted(address,address)":   "38d16b8cac22d99fc7c124b9cd0de2d3fa1faef420bfe791d8c362d765e22700",
		"Upgraded(address)":                           "bc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b",
		"Initialized(uint64)":                         "c7f505b2f371ae2175ee4913f4499e1f2633a7b5936321eed1cdaeb6115181d2",
	}
	errorsOfBoth = map[string]string{
		"OwnableUnauthorizedAccount(address)":   "118cdaa7",
		"OwnableInvalidOwner(address)":          "1e4fbdf7",
		"InvalidInitialization()":               "f92ee8a9",
		"NotInitializing()":                     "d7e6bcf8",
		"UUPSUnauthorizedCallContext()":         "e07c8dba",
		"UUPSUnsupportedProxiableUUID(bytes32)": "aa1d49a4",
		"ERC1967InvalidImplementation(address)": "4c9c8ce3",
		"ERC1967NonPayable()":                   "b398979f",
		"AddressEmptyCode(address)":             "9996b315",
		"FailedCall()":                          "d6bda275",
	}
)

func TestSelectorsAndTopics(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		contract          abi.ABI
		functions, events []map[string]string
	}{
		"DstackKms": {dstackkms.NewKms().GetABI(), []map[string]string{kmsFunctions, inheritedFunctions}, []map[string]string{kmsEvents, inheritedEvents}},
		"DstackApp": {dstackapp.NewApp().GetABI(), []map[string]string{appFunctions, inheritedFunctions}, []map[string]string{appEvents, inheritedEvents}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			functions, events, errs := signatures(tt.contract)
			assert.Equal(t, merged(tt.functions...), functions)
			assert.Equal(t, merged(tt.events...), events)
			assert.Equal(t, errorsOfBoth, errs)
		})
	}
}

// The contracts that the tests run have exactly the functions, events and errors of the bindings.
func TestCompiledContracts_MatchTheBindings(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../phalatest/chaintest/contracts.gen.json")
	require.NoError(t, err)
	var file struct {
		Contracts map[string]struct{ ABI abi.ABI }
	}
	require.NoError(t, json.Unmarshal(text, &file))
	for name, contract := range map[string]abi.ABI{"DstackKmsHead": dstackkms.NewKms().GetABI(), "DstackAppHead": dstackapp.NewApp().GetABI()} {
		wantFunctions, wantEvents, wantErrors := signatures(contract)
		functions, events, errs := signatures(file.Contracts[name].ABI)
		assert.Equal(t, wantFunctions, functions, name)
		assert.Equal(t, wantEvents, events, name)
		assert.Equal(t, wantErrors, errs, name)
	}
	for old, missing := range map[string][]string{
		"DstackKms059": {"pendingOwner()", "acceptOwnership()"},
		"DstackApp059": {"pendingOwner()", "acceptOwnership()"},
		"DstackKms054": {"pendingOwner()", "acceptOwnership()", "deployAndRegisterApp(address,bool,bool,bool,bytes32,bytes32)"},
		"DstackApp054": {"pendingOwner()", "acceptOwnership()", "version()", "requireTcbUpToDate()", "setRequireTcbUpToDate(bool)", "initialize(address,bool,bool,bool,bytes32,bytes32)"},
	} {
		want, _, _ := signatures(file.Contracts[old[:len(old)-3]+"Head"].ABI)
		for _, signature := range missing {
			assert.Contains(t, want, signature)
			delete(want, signature)
		}
		functions, events, _ := signatures(file.Contracts[old].ABI)
		assert.Equal(t, want, functions, old)
		assert.NotContains(t, events, "PolicyChanged(address,bytes32,bytes32,bool)", old)
	}
}

func TestInterfaceIDs(t *testing.T) {
	t.Parallel()
	// The id of an interface is the XOR of its selectors (ERC-165); that of the four management functions is in
	// the contracts.
	var id [4]byte
	for _, signature := range []string{"addComposeHash(bytes32)", "removeComposeHash(bytes32)", "addDevice(bytes32)", "removeDevice(bytes32)"} {
		for i, b := range crypto.Keccak256([]byte(signature))[:4] {
			id[i] ^= b
		}
	}
	assert.Equal(t, "8fd37527", hex.EncodeToString(id[:]))
}

func signatures(contract abi.ABI) (functions, events, errs map[string]string) {
	functions, events, errs = map[string]string{}, map[string]string{}, map[string]string{}
	for _, m := range contract.Methods {
		functions[m.Sig] = hex.EncodeToString(m.ID)
	}
	for _, e := range contract.Events {
		events[e.Sig] = hex.EncodeToString(e.ID[:])
	}
	for _, e := range contract.Errors {
		errs[e.Sig] = hex.EncodeToString(e.ID[:4])
	}
	return functions, events, errs
}

func merged(maps ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range slices.Backward(maps) {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}
