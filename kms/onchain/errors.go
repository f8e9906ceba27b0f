package onchain

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
)

var (
	// ErrNoSigner is returned when a change is requested of a Chain that was opened without [WithSigner].
	ErrNoSigner = errors.New("no signer: open the chain with WithSigner, or use Propose for an owner that is a contract")
	// ErrNoCode is returned when there is no contract at an address.
	ErrNoCode = errors.New("no contract there")
	// ErrNotKMS is returned when a contract does not respond as DstackKms does.
	ErrNotKMS = errors.New("not a DstackKms contract")
	// ErrOldContract is returned when a contract is of dstack 0.5.3 or older, in which the same calls have another
	// meaning.
	ErrOldContract = errors.New("a KmsAuth contract of dstack 0.5.3 or older, whose functions mean something else; not supported")
	// ErrNotRegistered is returned when an app is not registered with the KMS.
	ErrNotRegistered = errors.New("not registered with the KMS")
	// ErrOneStep is returned when a contract transfers its ownership at once, so that there is nothing to accept.
	ErrOneStep = errors.New("ownership is transferred in one step, there is nothing to accept")
	// ErrUpgraded is returned when the code of the KMS's contract has changed since the chain was opened. Open it
	// again.
	ErrUpgraded = errors.New("the contract was upgraded since it was opened")
	// ErrNoKMSInfo is returned when a KMS has not published its keys in its contract (setKmsInfo).
	ErrNoKMSInfo = errors.New("the KMS has not published its keys")
	// ErrNoTCBFlag is returned when a contract is older than dstack 0.5.9 and cannot require an up-to-date TCB.
	ErrNoTCBFlag = errors.New("contracts before dstack 0.5.9 cannot require an up-to-date TCB")
)

// ChainError is returned when the endpoint is of another chain. Nothing was sent.
type ChainError struct{ Got, Want uint64 }

func (e *ChainError) Error() string {
	return fmt.Sprintf("the endpoint is of chain %d, want %d", e.Got, e.Want)
}

// ContractError is returned when something is wrong with the contract at an address. It wraps one of the errors of this
// package, such as [ErrNoCode] or [ErrOldContract].
type ContractError struct {
	Address common.Address
	Err     error
}

func (e *ContractError) Error() string { return fmt.Sprintf("contract %s: %v", e.Address, e.Err) }

// Unwrap returns the reason.
func (e *ContractError) Unwrap() error { return e.Err }

// BalanceError is returned when an account cannot pay for a transaction. Nothing was sent.
type BalanceError struct {
	Account common.Address
	// Have and Need are in wei. Need is the maximum cost of the transaction.
	Have, Need *big.Int
}

func (e *BalanceError) Error() string {
	return fmt.Sprintf("account %s has %s ETH, and the transaction can cost up to %s ETH", e.Account, ether(e.Have), ether(e.Need))
}

// FeeError is returned when the fees of the chain exceed [WithMaxFee]. Nothing was sent.
type FeeError struct {
	// Fee and Max are in wei for one unit of gas.
	Fee, Max *big.Int
}

func (e *FeeError) Error() string {
	return fmt.Sprintf("a fee of %s wei for a unit of gas, at most %s is allowed", e.Fee, e.Max)
}

// SignatureError is returned when the signer returned another transaction than requested, or signed with another key.
// Nothing was sent.
type SignatureError struct{ Reason string }

func (e *SignatureError) Error() string { return "the signer's answer is refused: " + e.Reason }

// RejectedError is returned when the node refused a transaction. According to the endpoint it was not mined;
// sending the intent again tries the same transaction again.
type RejectedError struct {
	Tx  common.Hash
	Err error
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("transaction %s was rejected: %v", e.Tx, e.Err)
}

// Unwrap returns the node's error.
func (e *RejectedError) Unwrap() error { return e.Err }

// ReplacedError is returned when another transaction has the nonce of an intent. If Mined, that transaction is in the
// chain, with the required confirmations, so the intent never took effect and never will: prepare a new one.
// Otherwise it is pending in the node's pool, and the intent was not accepted.
type ReplacedError struct {
	From  common.Address
	Nonce uint64
	// Mined reports that the other transaction is confirmed.
	Mined bool
	// By is the other transaction. It is zero if it is unknown: it is pending, or in a block that the endpoint cannot
	// search.
	By common.Hash
	// unknown reports that no node can have a transaction of the intent.
	unknown bool
}

func (e *ReplacedError) Error() string {
	switch {
	case !e.Mined:
		return fmt.Sprintf("nonce %d of %s is taken by another transaction that waits; this one was not accepted", e.Nonce, e.From)
	case e.By == common.Hash{}:
		return fmt.Sprintf("nonce %d of %s was used by another transaction; this one never took effect", e.Nonce, e.From)
	}
	return fmt.Sprintf("nonce %d of %s was used by transaction %s; this one never took effect", e.Nonce, e.From, e.By)
}

// PendingError is returned when an intent was not confirmed in time: the chain is busy, or the endpoint lags. The
// transaction may still be mined. Send the same intent again to continue the wait; do not prepare another.
type PendingError struct {
	// Intent is nil if the wait was for a transaction of another sender.
	Intent *Intent
	Tx     common.Hash
	Waited time.Duration
	// Last is the last observation: "not mined", "1 of 3 confirmations", …
	Last string
	Err  error
}

func (e *PendingError) Error() string {
	text := fmt.Sprintf("transaction %s is not confirmed after %s: %s", e.Tx, e.Waited.Round(time.Millisecond), e.Last)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the error that ended the wait, such as that of the context.
func (e *PendingError) Unwrap() error { return e.Err }

// ReceiptError is returned when the endpoint's data about a transaction is contradictory, or not what was requested.
// The transaction was sent and will not be sent again; check it with another endpoint.
type ReceiptError struct {
	Tx common.Hash
	// What is the part that differs: "transaction hash", "logs", "owner", …
	What      string
	Got, Want string
}

func (e *ReceiptError) Error() string {
	return fmt.Sprintf("receipt of %s: %s is %s, want %s", e.Tx, e.What, e.Got, e.Want)
}

// ReorgError is returned when a block whose events were already yielded is no longer in the chain: a reorganisation
// deeper than the required confirmations. Watch again from before Block.
type ReorgError struct {
	Block    uint64
	Was, Now common.Hash
}

func (e *ReorgError) Error() string {
	return fmt.Sprintf("block %d was %s and is now %s", e.Block, e.Was, e.Now)
}

// ether formats wei as ETH, exactly.
func ether(wei *big.Int) string {
	text := new(big.Rat).SetFrac(wei, big.NewInt(1e18)).FloatString(18)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

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
