package onchain_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

// faults are what an endpoint does wrong. A fraction is the share of requests, from 0 to 1.
type faults struct {
	// batchLimit is the number of requests in a batch that is taken; batchStyle is how more are refused.
	batchLimit int
	batchStyle string // "http", "object", "each"
	// rangeLimit is the number of blocks that eth_getLogs takes, resultLimit that of the logs in a range.
	rangeLimit  uint64
	resultLimit int
	// lag is how far behind the nodes are from which each request takes one.
	lag uint64
	// busy is the fraction that is answered 429, half of it with Retry-After; limited with -32005 in the JSON; down
	// with 502 or 503.
	busy, limited, down float64
	// lost is the fraction that is carried out without an answer; dropped that is not carried out.
	lost, dropped float64
	// silent is the fraction that is never answered.
	silent float64
	// reorder answers batches in another order.
	reorder bool
	// history is the number of blocks of which the state is known; 0 is all.
	history uint64
	// noFees: eth_maxPriorityFeePerGas is missing, and also eth_feeHistory if noFeeHistory.
	noFees, noFeeHistory bool
	// hardhat: errors as hardhat has them, and a nonce that is early is refused.
	hardhat bool
	// delegated: one transaction in flight.
	delegated bool
	// stopped: the newest block is old.
	stopped bool
}

// badNode is a JSON-RPC endpoint over HTTP in front of a chain, with faults.
type badNode struct {
	chain *chaintest.Chain

	mu       sync.Mutex
	faults   faults
	random   *rand.Rand
	requests map[string]int
	largest  int
}

func newBadNode(chain *chaintest.Chain, seed uint64, f faults) *badNode {
	return &badNode{chain: chain, faults: f, random: rand.New(rand.NewPCG(seed, 1)), requests: map[string]int{}}
}

// dial serves the endpoint and connects to it as a user does.
func (b *badNode) dial(t testing.TB) *onchain.Conn {
	t.Helper()
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	conn, err := onchain.Dial(t.Context(), server.URL+"/key", onchain.WithRequestTimeout(b.timeout()))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// timeout is short for an endpoint that does not answer.
func (b *badNode) timeout() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.faults.silent > 0 {
		return 300 * time.Millisecond
	}
	return 30 * time.Second
}

func (b *badNode) set(f faults) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = f
}

// chance decides by the seed.
func (b *badNode) chance(fraction float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fraction > 0 && b.random.Float64() < fraction
}

func (b *badNode) number(below int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.random.IntN(below)
}

type wireRequest struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params []any           `json:"params"`
}

type wireError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"`
}

type wireAnswer struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *wireError      `json:"error,omitempty"`
}

func (e *wireError) Error() string  { return e.Message }
func (e *wireError) ErrorCode() int { return e.Code }

func (b *badNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	b.mu.Lock()
	f := b.faults
	b.mu.Unlock()
	switch {
	case b.chance(f.busy):
		if b.chance(0.5) {
			w.Header().Set("Retry-After", "0")
		}
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return
	case b.chance(f.down):
		http.Error(w, "<html>bad gateway</html>", []int{502, 503, 520}[b.number(3)])
		return
	case b.chance(f.silent):
		<-r.Context().Done()
		return
	case b.chance(f.dropped):
		panic(http.ErrAbortHandler)
	}
	var answer any
	if strings.HasPrefix(strings.TrimSpace(string(body)), "[") {
		answer = b.batch(w, r.Context(), body, f)
	} else {
		var request wireRequest
		if json.Unmarshal(body, &request) != nil {
			http.Error(w, "parse error", http.StatusBadRequest)
			return
		}
		answer = b.answer(r.Context(), request, f)
	}
	if answer == nil {
		return
	}
	if b.chance(f.lost) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

func (b *badNode) batch(w http.ResponseWriter, ctx context.Context, body []byte, f faults) any {
	var requests []wireRequest
	if json.Unmarshal(body, &requests) != nil {
		http.Error(w, "parse error", http.StatusBadRequest)
		return nil
	}
	tooMany := f.batchLimit > 0 && len(requests) > f.batchLimit
	refusal := &wireError{Code: -32600, Message: fmt.Sprintf("batch size is limited to %d", f.batchLimit)}
	switch {
	case tooMany && f.batchStyle == "http":
		http.Error(w, "no", http.StatusBadRequest)
		return nil
	case tooMany && f.batchStyle == "object":
		return wireAnswer{Version: "2.0", ID: json.RawMessage("null"), Error: refusal}
	}
	b.mu.Lock()
	b.largest = max(b.largest, len(requests))
	b.mu.Unlock()
	answers := make([]wireAnswer, len(requests))
	for i, request := range requests {
		if tooMany {
			answers[i] = wireAnswer{Version: "2.0", ID: request.ID, Error: refusal}
			continue
		}
		answers[i] = b.answer(ctx, request, f)
	}
	if f.reorder {
		b.mu.Lock()
		b.random.Shuffle(len(answers), func(i, j int) { answers[i], answers[j] = answers[j], answers[i] })
		b.mu.Unlock()
	}
	return answers
}

func (b *badNode) answer(ctx context.Context, request wireRequest, f faults) wireAnswer {
	b.mu.Lock()
	b.requests[request.Method]++
	b.mu.Unlock()
	answer := wireAnswer{Version: "2.0", ID: request.ID}
	result, err := b.result(ctx, request, f)
	if err == nil {
		answer.Result = result
		return answer
	}
	answer.Error = &wireError{Code: -32000, Message: err.Error()}
	var answered rpc.Error
	if errors.As(err, &answered) {
		answer.Error.Code = answered.ErrorCode()
	}
	var data rpc.DataError
	if errors.As(err, &data) {
		answer.Error.Data = data.ErrorData()
	}
	if f.hardhat && answer.Error.Data != nil {
		answer.Error = &wireError{
			Code: -32603, Message: "Error: VM Exception while processing transaction: reverted with custom error",
			Data: map[string]any{"message": "Error: VM Exception", "data": answer.Error.Data},
		}
	}
	return answer
}

// result is what one node answers, of those that are more or less behind.
func (b *badNode) result(ctx context.Context, request wireRequest, f faults) (json.RawMessage, error) {
	if b.chance(f.limited) {
		return nil, &wireError{Code: -32005, Message: "daily request count exceeded, request rate limited"}
	}
	missing := f.noFees && request.Method == "eth_maxPriorityFeePerGas" || f.noFeeHistory && request.Method == "eth_feeHistory"
	if missing {
		return nil, &wireError{Code: -32601, Message: "the method " + request.Method + " does not exist/is not available"}
	}
	lag := uint64(0)
	if f.lag > 0 {
		lag = uint64(b.number(int(f.lag) + 1))
	}
	node := b.chain.Behind(lag)
	if err := b.refuse(ctx, node, request, f); err != nil {
		return nil, err
	}
	var result json.RawMessage
	if err := node.CallContext(ctx, &result, request.Method, request.Params...); err != nil {
		return nil, err
	}
	if request.Method == "eth_getLogs" && f.resultLimit > 0 && request.Params[0].(map[string]any)["blockHash"] == nil {
		var logs []json.RawMessage
		if json.Unmarshal(result, &logs) == nil && len(logs) > f.resultLimit {
			return nil, &wireError{Code: -32005, Message: fmt.Sprintf("query returned more than %d results", f.resultLimit)}
		}
	}
	if f.stopped && request.Method == "eth_getBlockByNumber" {
		var block map[string]any
		if json.Unmarshal(result, &block) == nil && block != nil {
			block["timestamp"] = "0x60000000" // 2021
			return json.Marshal(block)
		}
	}
	return result, nil
}

// refuse is what the endpoint does not do at all.
func (b *badNode) refuse(ctx context.Context, node onchain.RPC, request wireRequest, f faults) error {
	switch request.Method {
	case "eth_getLogs":
		return b.refuseRange(ctx, node, request, f)
	case "eth_sendRawTransaction":
		if f.hardhat || f.delegated {
			return b.refuseNonce(ctx, node, request, f)
		}
		return nil
	}
	if f.history == 0 || len(request.Params) < 2 {
		return nil
	}
	var head hexutil.Uint64
	if err := node.CallContext(ctx, &head, "eth_blockNumber"); err != nil {
		return err
	}
	at, _ := request.Params[len(request.Params)-1].(string)
	if number, err := hexutil.DecodeUint64(at); err == nil && number+f.history < uint64(head) {
		return &wireError{Code: -32000, Message: "missing trie node 0123 (path ) state 0x0123 is not available, not found"}
	}
	return nil
}

func (b *badNode) refuseRange(ctx context.Context, node onchain.RPC, request wireRequest, f faults) error {
	query, _ := request.Params[0].(map[string]any)
	from, _ := query["fromBlock"].(string)
	to, _ := query["toBlock"].(string)
	first, err := hexutil.DecodeUint64(from)
	last, errLast := hexutil.DecodeUint64(to)
	if err != nil || errLast != nil {
		return nil
	}
	var head hexutil.Uint64
	if err := node.CallContext(ctx, &head, "eth_blockNumber"); err != nil {
		return err
	}
	switch {
	case last > uint64(head):
		return &wireError{Code: -32602, Message: "block range extends beyond current head block"}
	case f.rangeLimit > 0 && last-first+1 > f.rangeLimit:
		return &wireError{Code: -32600, Message: fmt.Sprintf("You can make eth_getLogs requests with up to a %d block range.", f.rangeLimit)}
	}
	return nil
}

// refuseNonce takes only the next nonce.
func (b *badNode) refuseNonce(ctx context.Context, node onchain.RPC, request wireRequest, f faults) error {
	text, _ := request.Params[0].(string)
	raw, err := hexutil.Decode(text)
	if err != nil {
		return err
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return err
	}
	from, err := types.Sender(types.LatestSignerForChainID(tx.ChainId()), tx)
	if err != nil {
		return err
	}
	var next hexutil.Uint64
	if err := node.CallContext(ctx, &next, "eth_getTransactionCount", from, "latest"); err != nil {
		return err
	}
	switch {
	case tx.Nonce() <= uint64(next):
		return nil
	case f.delegated:
		return &wireError{Code: -32000, Message: "in-flight transaction limit reached for delegated accounts"}
	}
	return &wireError{Code: -32000, Message: fmt.Sprintf("Nonce too high. Expected nonce to be %d but got %d. Note that transactions can't be queued when automining.", next, tx.Nonce())}
}

func (b *badNode) count(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.requests[method]
}

// endpoints are the faults of endpoints that were seen.
func endpoints() map[string]faults {
	return map[string]faults{
		"batches of 3, refused by HTTP":      {batchLimit: 3, batchStyle: "http"},
		"batches of 3, refused by an object": {batchLimit: 3, batchStyle: "object"},
		"batches of 3, refused one by one":   {batchLimit: 3, batchStyle: "each"},
		"no batches":                         {batchLimit: 1, batchStyle: "object"},
		"ranges of 10":                       {rangeLimit: 10},
		"ranges of 1":                        {rangeLimit: 1},
		"few results":                        {resultLimit: 5},
		"nodes that lag":                     {lag: 2},
		"rate limits":                        {busy: 0.15, limited: 0.1},
		"outages":                            {down: 0.15, dropped: 0.1},
		"lost answers":                       {lost: 0.2},
		"silence":                            {silent: 0.05},
		"batches out of order":               {reorder: true},
		"no history":                         {history: 128},
		"no tip":                             {noFees: true},
		"no fee history either":              {noFees: true, noFeeHistory: true},
		"hardhat":                            {hardhat: true, noFees: true},
		"a delegated account":                {delegated: true},
		"everything": {
			batchLimit: 3, batchStyle: "each", rangeLimit: 10, lag: 2, busy: 0.05, limited: 0.03, down: 0.05, lost: 0.05, dropped: 0.05,
			reorder: true, history: 128, noFees: true,
		},
	}
}

// mining mines a block now and then, as a chain does, until the test ends.
func mining(t testing.TB, c *chaintest.Chain) {
	t.Helper()
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-done:
				return
			case <-tick():
				_ = c.Mine(1)
			}
		}
	}()
	t.Cleanup(func() { close(done); <-stopped })
}

// transactionsByData counts the transactions in the chain by what they do.
func transactionsByData(t testing.TB, c *chaintest.Chain) map[string]int {
	t.Helper()
	var head hexutil.Uint64
	node := c.Behind(0)
	require.NoError(t, node.CallContext(t.Context(), &head, "eth_blockNumber"))
	counts := map[string]int{}
	for number := uint64(1); number <= uint64(head); number++ {
		var block struct {
			Transactions []struct {
				To    *common.Address `json:"to"`
				Input string          `json:"input"`
			} `json:"transactions"`
		}
		require.NoError(t, node.CallContext(t.Context(), &block, "eth_getBlockByNumber", "0x"+strconv.FormatUint(number, 16), true))
		for _, tx := range block.Transactions {
			if tx.To != nil {
				counts[tx.To.Hex()+tx.Input]++
			}
		}
	}
	return counts
}
