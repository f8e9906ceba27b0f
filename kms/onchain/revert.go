package onchain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
)

// RevertError is returned when a contract refuses a call. If Tx is zero, the call was only tried, and nothing was
// sent.
type RevertError struct {
	Contract common.Address
	// Call is the description of the call.
	Call string
	// Name is that of the contract's error, such as "OwnableUnauthorizedAccount", "Error" for one with a text only,
	// "Panic", or "" if there is no reason or an unknown one.
	Name string
	// Text is the reason in words.
	Text string
	// Data is what the contract returned.
	Data []byte
	// Tx is the transaction that was mined and reverted.
	Tx  common.Hash
	err error
}

func (e *RevertError) Error() string {
	text := fmt.Sprintf("contract %s refuses %s: %s", e.Contract, e.Call, e.Text)
	if e.Tx != (common.Hash{}) {
		text += " (transaction " + e.Tx.String() + ")"
	}
	return text
}

// Unwrap returns the typed error if the reason has one, such as [*UnauthorizedAccountError].
func (e *RevertError) Unwrap() error { return e.err }

// UnauthorizedAccountError is returned when the account is not the owner: OwnableUnauthorizedAccount.
type UnauthorizedAccountError struct{ Account common.Address }

func (e *UnauthorizedAccountError) Error() string {
	return fmt.Sprintf("account %s is not the owner", e.Account)
}

// InvalidOwnerError is returned when an account cannot own the contract: OwnableInvalidOwner.
type InvalidOwnerError struct{ Owner common.Address }

func (e *InvalidOwnerError) Error() string { return fmt.Sprintf("%s cannot be an owner", e.Owner) }

// InvalidImplementationError is returned when the target of an upgrade is no implementation:
// ERC1967InvalidImplementation.
type InvalidImplementationError struct{ Implementation common.Address }

func (e *InvalidImplementationError) Error() string {
	return fmt.Sprintf("%s is not an implementation", e.Implementation)
}

// UnsupportedUUIDError is returned when the target of an upgrade is an implementation for another kind of proxy:
// UUPSUnsupportedProxiableUUID.
type UnsupportedUUIDError struct{ Slot [32]byte }

func (e *UnsupportedUUIDError) Error() string {
	return fmt.Sprintf("an implementation for the proxy slot %#x", e.Slot)
}

// EmptyCodeError is returned when there is no code at the address of a call: AddressEmptyCode.
type EmptyCodeError struct{ Target common.Address }

func (e *EmptyCodeError) Error() string { return fmt.Sprintf("no contract at %s", e.Target) }

// The errors without a value.
var (
	ErrInvalidInitialization   = errors.New("initialised already")
	ErrNotInitializing         = errors.New("only while initialising")
	ErrUnauthorizedCallContext = errors.New("the implementation was called, not its proxy")
	ErrNonPayable              = errors.New("money sent to a function that accepts none")
	ErrFailedCall              = errors.New("a call of the contract failed")
)

// maxRevertData is much more than any error of the contracts has.
const maxRevertData = 64 << 10

// revert returns the error of a call that the node refused with err. An err that is no revert is wrapped.
func revert(call Call, err error) error {
	data, reverted := revertData(err)
	if !reverted {
		var endpoint *EndpointError
		if !errors.As(err, &endpoint) {
			err = &EndpointError{Method: "eth_call", Attempts: 1, Err: err}
		}
		return fmt.Errorf("%s: %w", call.Description, err)
	}
	e := &RevertError{Contract: call.To, Call: call.Description, Data: data}
	e.Name, e.Text, e.err = decodeRevert(data)
	if len(data) == 0 {
		e.Text = "no reason given"
	}
	return e
}

// revertData finds the data of a revert. Nodes return it as hex text beside the message; OpenEthereum and Nethermind
// put a word before it, and hardhat and Ganache put it into an object.
func revertData(err error) ([]byte, bool) {
	var withData rpc.DataError
	if errors.As(err, &withData) {
		if data, ok := hexData(withData.ErrorData(), 3); ok {
			return data, true
		}
	}
	var answered rpc.Error
	if !errors.As(err, &answered) {
		return nil, false
	}
	text := strings.ToLower(answered.Error())
	return nil, strings.Contains(text, "revert") || strings.Contains(text, "invalid opcode") || strings.Contains(text, "out of gas")
}

// hexData finds hexadecimal text in a value that was decoded from JSON, in at most depth objects.
func hexData(value any, depth int) ([]byte, bool) {
	switch v := value.(type) {
	case string:
		if len(v) > 2*maxRevertData+32 {
			return nil, false
		}
		_, digits, found := strings.Cut(v, "0x")
		if !found {
			return nil, false
		}
		data, err := hex.DecodeString(strings.TrimSpace(digits))
		return data, err == nil
	case map[string]any:
		if depth == 0 {
			return nil, false
		}
		for _, key := range []string{"data", "result", "return", "output"} {
			if data, ok := hexData(v[key], depth-1); ok {
				return data, true
			}
		}
		// Ganache keys the reason by the hash of the transaction.
		for key, inside := range v {
			if _, isObject := inside.(map[string]any); isObject && strings.HasPrefix(key, "0x") {
				if data, ok := hexData(inside, depth-1); ok {
					return data, true
				}
			}
		}
	}
	return nil, false
}

// decodeRevert decodes the errors of the contracts, the texts of require, and panics. It never fails: unknown data is
// returned as hex digits.
func decodeRevert(data []byte) (name, text string, typed error) {
	unknown := fmt.Sprintf("unknown reason %#x", data[:min(len(data), 256)])
	if len(data) < 4 {
		return "", unknown, nil
	}
	if reason, err := abi.UnpackRevert(data); err == nil {
		if [4]byte(data) == [4]byte{0x4e, 0x48, 0x7b, 0x71} {
			return "Panic", reason, nil
		}
		return "Error", fmt.Sprintf("%.1000q", reason), nil
	}
	decoded, err := dstackapp.NewApp().UnpackError(data)
	if err != nil {
		return "", unknown, nil
	}
	switch d := decoded.(type) {
	case *dstackapp.AppOwnableUnauthorizedAccount:
		name, typed = "OwnableUnauthorizedAccount", &UnauthorizedAccountError{d.Account}
	case *dstackapp.AppOwnableInvalidOwner:
		name, typed = "OwnableInvalidOwner", &InvalidOwnerError{d.Owner}
	case *dstackapp.AppERC1967InvalidImplementation:
		name, typed = "ERC1967InvalidImplementation", &InvalidImplementationError{d.Implementation}
	case *dstackapp.AppUUPSUnsupportedProxiableUUID:
		name, typed = "UUPSUnsupportedProxiableUUID", &UnsupportedUUIDError{d.Slot}
	case *dstackapp.AppAddressEmptyCode:
		name, typed = "AddressEmptyCode", &EmptyCodeError{d.Target}
	case *dstackapp.AppInvalidInitialization:
		name, typed = "InvalidInitialization", ErrInvalidInitialization
	case *dstackapp.AppNotInitializing:
		name, typed = "NotInitializing", ErrNotInitializing
	case *dstackapp.AppUUPSUnauthorizedCallContext:
		name, typed = "UUPSUnauthorizedCallContext", ErrUnauthorizedCallContext
	case *dstackapp.AppERC1967NonPayable:
		name, typed = "ERC1967NonPayable", ErrNonPayable
	case *dstackapp.AppFailedCall:
		name, typed = "FailedCall", ErrFailedCall
	default:
		return "", unknown, nil
	}
	return name, typed.Error(), typed
}
