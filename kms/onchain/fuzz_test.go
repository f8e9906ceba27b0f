package onchain

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
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

func TestEvents_WithoutDataAreRefused(t *testing.T) {
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

// Nodes put the data of a revert into different places.
func TestRevertData_WhereNodesPutIt(t *testing.T) {
	t.Parallel()
	const data = "0x118cdaa70000000000000000000000000000000000000000000000000000000000000abc"
	for name, place := range map[string]any{
		"geth":         data,
		"nethermind":   "Reverted " + data,
		"hardhat":      map[string]any{"message": "Error: VM Exception", "data": data},
		"hardhat, old": map[string]any{"message": "Error", "data": map[string]any{"data": data}},
		"ganache":      map[string]any{"0x12ab": map[string]any{"error": "revert", "return": data}, "stack": "…"},
	} {
		err := revert(Call{Description: "to try"}, &EndpointError{Err: dataError{place}})
		var unauthorized *UnauthorizedAccountError
		require.ErrorAs(t, err, &unauthorized, name)
	}
	for name, place := range map[string]any{
		"nothing": nil, "a number": 7.0, "no digits": "0xzz", "an empty object": map[string]any{}, "text": "out of luck",
		"too deep": map[string]any{"data": map[string]any{"data": map[string]any{"data": map[string]any{"data": data}}}},
		"too long": "0x" + strings.Repeat("00", maxRevertData+64),
	} {
		err := revert(Call{Description: "to try"}, dataError{place})
		var reverted *RevertError
		require.ErrorAs(t, err, &reverted, name)
		assert.Equal(t, "no reason given", reverted.Text, name+": a reason is not guessed at")
	}
	// A failure of the endpoint is no revert.
	err := revert(Call{Description: "to try"}, nodeError{-32000, "header not found"})
	var reverted *RevertError
	require.NotErrorAs(t, err, &reverted)
	var endpoint *EndpointError
	require.ErrorAs(t, err, &endpoint)
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]failure{
		"query returned more than 10000 results": tooManyResults,
		"Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the response size": tooManyResults,
		"Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range.":                                    rangeTooLong,
		"eth_getLogs is limited to a 10,000 range: exceed maximum block range: 10000":                                                 rangeTooLong,
		"block range extends beyond current head block":                                                                               behind,
		"header not found": behind,
		"Unknown block":    behind,
		"missing trie node 1234 (path ) state 0x12 is not available, not found": noHistory,
		"required historical state unavailable (reexec=128)":                    noHistory,
		"Your app has exceeded its compute units per second capacity":           throttled,
		"daily request count exceeded, request rate limited":                    throttled,
		"batch size is limited to 3":                                            batchTooLarge,
		"the method eth_maxPriorityFeePerGas does not exist/is not available":   noMethod,
		"Internal error": outage,
		"nonce too low":  final,
	} {
		assert.Equal(t, want, classify(&EndpointError{Err: nodeError{-32000, text}}), text)
	}
	assert.Equal(t, throttled, classify(nodeError{-32005, "limit"}))
	assert.Equal(t, throttled, classify(nodeError{429, ""}))
	assert.Equal(t, noMethod, classify(nodeError{-32601, ""}))
	assert.Equal(t, final, classify(dataError{"0x"}), "a contract's refusal")
	for status, want := range map[int]failure{
		408: outage, 413: batchTooLarge, 425: outage, 429: throttled, 500: outage, 502: outage, 503: outage, 520: outage, 527: outage, 530: outage,
		400: final, 401: final, 403: final, 404: final, 301: final,
	} {
		assert.Equal(t, want, classify(rpc.HTTPError{StatusCode: status}), status)
		assert.Equal(t, want, classify(&busyError{Status: status}), status)
	}
}

// What an endpoint says is bounded and quoted in an error.
func TestEndpointError_BoundsTheText(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x\n", 10_000)
	for _, err := range []error{
		&EndpointError{Method: "eth_call", Err: rpc.HTTPError{StatusCode: 502, Body: []byte(long)}},
		&EndpointError{Method: "eth_call", Err: nodeError{-32000, long}},
		&EndpointError{Method: "eth_call", Err: errors.New(long)},
	} {
		assert.Less(t, len(err.Error()), 1000)
	}
	assert.NotContains(t, (&EndpointError{Err: nodeError{1, "a\nb"}}).Error(), "\n")
}
