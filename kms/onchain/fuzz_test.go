package onchain

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms/onchain/dstackapp"
	"github.com/phala-go/phala/kms/onchain/dstackkms"
)

// FuzzDecodeEvent: any log is an event, not one, or an error; nothing panics, and an event has what the log
// has.
func FuzzDecodeEvent(f *testing.F) {
	for _, contract := range []abi.ABI{dstackkms.NewKms().GetABI(), dstackapp.NewApp().GetABI()} {
		for _, event := range contract.Events {
			f.Add(true, event.ID[:], make([]byte, 64), make([]byte, 32))
			f.Add(false, event.ID[:], make([]byte, 96), []byte{})
			f.Add(false, event.ID[:], []byte{}, append(make([]byte, 31), 0x20))
		}
	}
	c := &Chain{contract: Contract{ChainID: 1, Address: common.Address{1}}}
	f.Fuzz(func(t *testing.T, ofKMS bool, topic, more, data []byte) {
		log := &types.Log{Data: data, Topics: []common.Hash{common.BytesToHash(topic)}}
		if ofKMS {
			log.Address = c.contract.Address
		}
		for ; len(more) >= 32; more = more[32:] {
			log.Topics = append(log.Topics, common.Hash(more[:32]))
		}
		event, err := c.DecodeEvent(log)
		if (err == nil) == (event.Value == nil) {
			t.Fatalf("%v and %v", event.Value, err)
		}
		if _, err := c.deployedApp(&Receipt{Logs: []*types.Log{log}}, common.Address{}); err == nil && !ofKMS {
			t.Fatal("an app of a foreign contract")
		}
	})
}

func FuzzRevert(f *testing.F) {
	f.Add([]byte{})
	f.Add(append([]byte{0x4e, 0x48, 0x7b, 0x71}, make([]byte, 32)...))
	text, _ := abi.Arguments{{Type: must(abi.NewType("string", "", nil))}}.Pack("Invalid app ID")
	f.Add(append([]byte{0x08, 0xc3, 0x79, 0xa0}, text...))
	for _, e := range dstackapp.NewApp().GetABI().Errors {
		f.Add(append(e.ID.Bytes()[:4:4], make([]byte, 32)...))
		f.Add(e.ID.Bytes()[:4])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		name, text, typed := decodeRevert(data)
		if text == "" || name == "" && typed != nil {
			t.Fatalf("%q, %q, %v", name, text, typed)
		}
	})
}

// FuzzIntent: an intent from a file is refused or is what its transactions say.
func FuzzIntent(f *testing.F) {
	f.Add([]byte(`{"chain_id":1337,"from":"0x0000000000000000000000000000000000000001","nonce":1,"call":{"to":"0x0000000000000000000000000000000000000001","data":"0x","description":""},"block":1,"transactions":[{"hash":"0x0000000000000000000000000000000000000000000000000000000000000000","raw":"0x02c0"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var intent Intent
		if json.Unmarshal(data, &intent) != nil || intent.check(1337) != nil {
			return
		}
		for _, signed := range intent.Transactions {
			tx, err := decodeTx(signed.Raw)
			if err != nil || tx.Nonce() != intent.Nonce || *tx.To() != intent.Call.To {
				t.Fatalf("accepted %s", data)
			}
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// dataError is how go-ethereum's rpc client gives a revert.
type dataError struct{ data any }

func (dataError) Error() string    { return "execution reverted" }
func (dataError) ErrorCode() int   { return 3 }
func (e dataError) ErrorData() any { return e.data }

func TestRevertReasons(t *testing.T) {
	t.Parallel()
	account := common.HexToAddress("0xabc")
	pad := func(selector string) string { return "0x" + selector + common.BytesToHash(account[:]).String()[2:] }
	for name, tt := range map[string]struct {
		data any
		text string
		want error
	}{
		"OwnableUnauthorizedAccount":   {pad("118cdaa7"), account.String() + " is not the owner", &UnauthorizedAccountError{account}},
		"OwnableInvalidOwner":          {pad("1e4fbdf7"), "cannot be an owner", &InvalidOwnerError{account}},
		"ERC1967InvalidImplementation": {pad("4c9c8ce3"), "not an implementation", &InvalidImplementationError{account}},
		"AddressEmptyCode":             {pad("9996b315"), "no contract at", &EmptyCodeError{account}},
		"UUPSUnsupportedProxiableUUID": {pad("aa1d49a4"), "proxy slot", &UnsupportedUUIDError{common.BytesToHash(account[:])}},
		"InvalidInitialization":        {"0xf92ee8a9", "initialised already", ErrInvalidInitialization},
		"NotInitializing":              {"0xd7e6bcf8", "while initialising", ErrNotInitializing},
		"UUPSUnauthorizedCallContext":  {"0xe07c8dba", "not its proxy", ErrUnauthorizedCallContext},
		"ERC1967NonPayable":            {"0xb398979f", "money", ErrNonPayable},
		"FailedCall":                   {"0xd6bda275", "failed", ErrFailedCall},
		"Error":                        {"0x08c379a00000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000e496e76616c69642061707020494400000000000000000000000000000000000000", `"Invalid app ID"`, nil},
		"Panic":                        {"0x4e487b710000000000000000000000000000000000000000000000000000000000000011", "arithmetic", nil},
		"":                             {"0xdeadbeef", "unknown reason 0xdeadbeef", nil},
	} {
		err := revert(Call{Description: "to try"}, dataError{tt.data})
		var reverted *RevertError
		require.ErrorAs(t, err, &reverted, name)
		assert.Equal(t, name, reverted.Name)
		assert.Contains(t, err.Error(), tt.text)
		assert.Contains(t, err.Error(), "to try")
		if tt.want != nil {
			assert.Equal(t, tt.want, errors.Unwrap(reverted))
		}
	}
	for _, data := range []any{nil, 7, "0x", "zz"} {
		err := revert(Call{}, dataError{data})
		var reverted *RevertError
		require.ErrorAs(t, err, &reverted)
		assert.Contains(t, err.Error(), "no reason given")
	}
	var reverted *RevertError
	require.NotErrorAs(t, revert(Call{}, errors.New("connection reset")), &reverted)
}

func TestEventsWithoutDataAreRefused(t *testing.T) {
	t.Parallel()
	c := &Chain{}
	for _, event := range dstackapp.NewApp().GetABI().Events {
		if len(event.Inputs.NonIndexed()) == 0 {
			continue
		}
		_, err := c.DecodeEvent(&types.Log{Address: common.Address{1}, Topics: []common.Hash{event.ID, {}, {}, {}}})
		require.ErrorContains(t, err, "no data", event.Name)
	}
	for _, log := range []*types.Log{nil, {}, {Topics: []common.Hash{{1}}}} {
		_, err := c.DecodeEvent(log)
		require.ErrorIs(t, err, ErrUnknownEvent)
	}
}

func TestNonces(t *testing.T) {
	t.Parallel()
	var n nonces
	take := func(pending uint64) uint64 {
		nonce := n.peek(pending)
		require.True(t, n.take(nonce, pending))
		return nonce
	}
	assert.Equal(t, uint64(5), take(5))
	assert.Equal(t, uint64(6), take(5), "the endpoint has not seen the first")
	assert.Equal(t, uint64(7), take(6))
	assert.False(t, n.take(7, 6), "somebody else has it")
	n.release(5)
	assert.Equal(t, uint64(5), take(5), "a gap is filled first")
	n.release(6)
	assert.Equal(t, uint64(8), take(7), "a gap that somebody else filled is none")
	n.release(8)
	n.release(8)
	n.release(100)
	assert.Equal(t, uint64(8), take(3))
	assert.Equal(t, uint64(20), take(20))
}
