package onchain

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// Proposal is a list of calls for an owner that is a contract (a Safe, a timelock). It contains no transaction and no
// signature.
type Proposal struct {
	ChainID uint64 `json:"chain_id"`
	// From is the contract that makes the calls.
	From  common.Address `json:"from"`
	Calls []Call         `json:"calls"`
}

// ErrNothingToPropose is returned when a contract already allows everything that was requested.
var ErrNothingToPropose = errors.New("nothing to propose: the contract allows it already")

// Propose tries each call with from as its sender, and returns them as a proposal; it sends nothing and needs no
// signer. Each call is tried alone, at the newest block. A call that only the owner may make is tried as the present
// owner if from accepts the ownership in an earlier call of the proposal. The error is a [*RevertError], a
// [*ContractError] or an [*EndpointError].
func (c *Chain) Propose(ctx context.Context, from common.Address, calls ...Call) (*Proposal, error) {
	if from == (common.Address{}) || len(calls) == 0 {
		return nil, errors.New("propose: want the address that shall execute, and at least one call")
	}
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	var implementation common.Hash
	if err := c.reader.call(ctx, &implementation, "eth_getStorageAt", c.contract.Address, implementationSlot, at.tag()); err != nil {
		return nil, err
	}
	if err := c.checkImplementation(implementation); err != nil {
		return nil, err
	}
	owners := map[common.Address]common.Address{}
	for _, call := range calls {
		acts, taken := owners[call.To]
		if !taken {
			acts = from
		}
		if err := c.try(ctx, acts, call, at.tag()); err != nil {
			return nil, err
		}
		accept, err := AcceptOwnershipCall(call.To)
		if err != nil {
			return nil, err
		}
		if !call.same(accept) {
			continue
		}
		is, err := c.ownershipAt(ctx, call.To, at.tag())
		if err != nil {
			return nil, err
		}
		owners[call.To] = is.Owner
	}
	return &Proposal{ChainID: c.contract.ChainID, From: from, Calls: calls}, nil
}

// try makes a call without sending it.
func (c *Chain) try(ctx context.Context, from common.Address, call Call, at string) error {
	var code, result hexutil.Bytes
	args := callArgs{From: &from, To: call.To, Value: call.Value, Data: call.Data}
	elems := []rpc.BatchElem{request(&code, "eth_getCode", call.To, at), request(&result, "eth_call", args, at)}
	if err := c.reader.batch(ctx, elems); err != nil {
		return err
	}
	if err := firstError(elems[:1]); err != nil {
		return err
	}
	if len(code) == 0 {
		return &ContractError{call.To, ErrNoCode}
	}
	if elems[1].Error != nil {
		return revert(call, elems[1].Error)
	}
	return nil
}

// ProposeAllowance proposes the missing calls for app to run a compose hash on a device: the hash, the device, or
// both. A device of zero is none. The proposal is for the owner of the contract. If the contract is offered to
// another contract, it is for that one, with the acceptance as the first call: compare From with the intended Safe.
// The error is [ErrNothingToPropose] if everything is allowed already, or one of those of [Chain.Propose].
func (c *Chain) ProposeAllowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (*Proposal, error) {
	is, err := c.Allowance(ctx, app, hash, device)
	if err != nil {
		return nil, err
	}
	at, err := c.view(ctx)
	if err != nil {
		return nil, err
	}
	own, err := c.ownershipAt(ctx, app.Address(), at.tag())
	if err != nil {
		return nil, err
	}
	from, calls := own.Owner, []Call(nil)
	add := func(call Call, callErr error) {
		calls, err = append(calls, call), errors.Join(err, callErr)
	}
	if offered, callErr := c.isContract(ctx, own.Pending, at.tag()); offered || callErr != nil {
		from, err = own.Pending, callErr
		add(AcceptOwnershipCall(app.Address()))
	}
	if !device.IsZero() && !is.Device && !is.AnyDevice {
		add(AddDeviceCall(app, device))
	}
	if !is.ComposeHash {
		add(AddComposeHashCall(app, hash))
	}
	if err != nil {
		return nil, err
	}
	if len(calls) == 0 {
		return nil, &ContractError{app.Address(), ErrNothingToPropose}
	}
	return c.Propose(ctx, from, calls...)
}

// ApprovalBatch returns the proposal of [Chain.ProposeAllowance] as a file for the Safe transaction builder: the
// owner of an app loads it to approve a deployment or an update.
func (c *Chain) ApprovalBatch(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) ([]byte, error) {
	proposal, err := c.ProposeAllowance(ctx, app, hash, device)
	if err != nil {
		return nil, err
	}
	return proposal.SafeBatch("Approval for app "+app.String(), time.Now())
}

// SafeBatch returns the proposal as a batch file of the Safe transaction builder, which a signer of the Safe loads
// and checks there: calls with the names of their functions and values, and a checksum, without which the builder
// warns that the file was changed. created is the displayed time.
func (p *Proposal) SafeBatch(name string, created time.Time) ([]byte, error) {
	batch := safeBatch{
		Version: "1.0", ChainID: strconv.FormatUint(p.ChainID, 10), CreatedAt: created.UnixMilli(),
		Meta:         safeMeta{Name: name, CreatedFrom: p.From.Hex()},
		Transactions: []safeTransaction{},
	}
	var parts []string
	for _, call := range p.Calls {
		part := call.Description
		if call.Warning != "" {
			part += " (WARNING: " + call.Warning + ")"
		}
		parts = append(parts, part)
		tx, err := safeTransactionOf(call)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", call.Description, err)
		}
		batch.Transactions = append(batch.Transactions, tx)
	}
	batch.Meta.Description = strings.Join(parts, "; ")
	var err error
	if batch.Meta.Checksum, err = batch.checksum(); err != nil {
		return nil, err
	}
	return json.MarshalIndent(batch, "", "  ")
}

// The format is that of the transaction builder's own exports, version 1.0.
type safeBatch struct {
	Version      string            `json:"version"`
	ChainID      string            `json:"chainId"`
	CreatedAt    int64             `json:"createdAt"`
	Meta         safeMeta          `json:"meta"`
	Transactions []safeTransaction `json:"transactions"`
}

type safeMeta struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	CreatedFrom string `json:"createdFromSafeAddress"`
	Checksum    string `json:"checksum,omitempty"`
}

// safeTransaction is a call by its function and values, or by its data, which the builder displays only as digits.
type safeTransaction struct {
	To     string            `json:"to"`
	Value  string            `json:"value"`
	Data   *hexutil.Bytes    `json:"data"`
	Method *safeMethod       `json:"contractMethod"`
	Values map[string]string `json:"contractInputsValues"`
}

type safeMethod struct {
	Inputs  []safeInput `json:"inputs"`
	Name    string      `json:"name"`
	Payable bool        `json:"payable"`
}

type safeInput struct {
	InternalType string `json:"internalType"`
	Name         string `json:"name"`
	Type         string `json:"type"`
}

// safeTransactionOf returns a call with the names of the contracts' functions. Any other call is written as data.
func safeTransactionOf(call Call) (safeTransaction, error) {
	tx := safeTransaction{To: call.To.Hex(), Value: call.value().String()}
	method := methodOf(call.Data)
	if method == nil {
		tx.Data = &call.Data
		return tx, nil
	}
	values, err := method.Inputs.Unpack(call.Data[4:])
	if err != nil {
		return tx, err
	}
	again, err := method.Inputs.Pack(values...)
	if err != nil || !bytes.Equal(again, call.Data[4:]) {
		return tx, fmt.Errorf("the data of %s is not what its values encode to", method.RawName)
	}
	tx.Method = &safeMethod{Inputs: []safeInput{}, Name: method.RawName, Payable: method.StateMutability == "payable"}
	tx.Values = map[string]string{}
	for i, input := range method.Inputs {
		name := input.Name
		if name == "" {
			name = strconv.Itoa(i)
		}
		tx.Method.Inputs = append(tx.Method.Inputs, safeInput{InternalType: input.Type.String(), Name: name, Type: input.Type.String()})
		tx.Values[name] = safeValue(values[i])
	}
	return tx, nil
}

// methodOf returns the function of calldata, if it is one of the two contracts and its values are plain.
func methodOf(data []byte) *abi.Method {
	if len(data) < 4 {
		return nil
	}
	for _, contract := range []abi.ABI{dstackapp.NewApp().GetABI(), dstackkms.NewKms().GetABI()} {
		method, err := contract.MethodById(data)
		if err != nil {
			continue
		}
		plain := !slices.ContainsFunc(method.Inputs, func(in abi.Argument) bool {
			return in.Type.T != abi.AddressTy && in.Type.T != abi.BoolTy && in.Type.T != abi.FixedBytesTy
		})
		if plain {
			return method
		}
	}
	return nil
}

func safeValue(value any) string {
	if fixed, ok := value.([32]byte); ok {
		return hexutil.Encode(fixed[:])
	}
	return fmt.Sprint(value)
}

// checksum returns the transaction builder's checksum: Keccak-256 over the batch without checksum and with a null
// name, serialised by [safeSerialize].
func (b safeBatch) checksum() (string, error) {
	data, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	return safeChecksum(data)
}

func safeChecksum(batch []byte) (string, error) {
	var value map[string]any
	decoder := json.NewDecoder(bytes.NewReader(batch))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return "", err
	}
	meta, ok := value["meta"].(map[string]any)
	if !ok {
		return "", fmt.Errorf("safe batch: no meta")
	}
	delete(meta, "checksum")
	meta["name"] = nil
	var text bytes.Buffer
	if err := safeSerialize(&text, value); err != nil {
		return "", err
	}
	return hexutil.Encode(crypto.Keccak256(text.Bytes())), nil
}

// safeSerialize writes a value as the transaction builder does. An object is its sorted keys as a JSON array and then
// each value followed by a comma, in braces. An array is its values joined by commas, in brackets. All other values are
// JSON as JavaScript writes it.
func safeSerialize(text *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for key := range v {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		text.WriteByte('{')
		if err := javaScriptJSON(text, keys); err != nil {
			return err
		}
		for _, key := range keys {
			if err := safeSerialize(text, v[key]); err != nil {
				return err
			}
			text.WriteByte(',')
		}
		text.WriteByte('}')
		return nil
	case []any:
		text.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				text.WriteByte(',')
			}
			if err := safeSerialize(text, item); err != nil {
				return err
			}
		}
		text.WriteByte(']')
		return nil
	}
	return javaScriptJSON(text, value)
}

// javaScriptJSON writes JSON without the escapes that Go adds and JavaScript does not.
func javaScriptJSON(text *bytes.Buffer, value any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return err
	}
	plain := strings.TrimSuffix(out.String(), "\n")
	plain = strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029", `\u0008`, `\b`, `\u000c`, `\f`).Replace(plain)
	text.WriteString(plain)
	return nil
}
