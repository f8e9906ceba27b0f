package onchain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

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

// methodOf finds the function of calldata among those of the two contracts, of which the values are plain.
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
// name, in a format of its own.
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

// safeSerialize: an object is its sorted keys as a JSON array and then each value followed by a comma, in braces; an
// array is its values joined by commas, in brackets; all else is JSON as JavaScript writes it.
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

// javaScriptJSON writes JSON without the escapes that Go adds for HTML, and with those that JavaScript does not
// write taken out.
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
