package onchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"
)

// RPC is a JSON-RPC endpoint of a node. An [*rpc.Client] is one; [Dial] makes one with care.
type RPC interface {
	CallContext(ctx context.Context, result any, method string, args ...any) error
	BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error
}

const (
	dialTimeout    = 30 * time.Second
	maxAnswerBytes = 32 << 20
)

// Dial gives a client for the JSON-RPC endpoint at address. It follows no redirects, reads at most 32 MiB for
// each answer, gives each request 30 seconds, and takes plain http for loopback hosts only. An absolute path is
// the local socket of a node on this machine. The caller closes it. Errors do not show the address, which often
// holds a key.
func Dial(ctx context.Context, address string) (*rpc.Client, error) {
	if filepath.IsAbs(address) {
		client, err := rpc.DialIPC(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("rpc socket: %w", err)
		}
		return client, nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("rpc endpoint: not a URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, fmt.Errorf("rpc endpoint with scheme %q: want https, http to a loopback host, or the absolute path of a socket", u.Scheme)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client, err := rpc.DialOptions(ctx, address, rpc.WithHTTPClient(&http.Client{
		Transport:     boundedTransport{transport},
		Timeout:       dialTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	if err != nil {
		return nil, withoutAddress(err)
	}
	return client, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxAnswerBytes), resp.Body}
	return resp, nil
}

// withoutAddress takes the endpoint's address out of an error of net/http.
func withoutAddress(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return fmt.Errorf("rpc: %w", withURL.Err)
	}
	return err
}

// request is one element of a batch, with its result decoded into result.
func request(result any, method string, args ...any) rpc.BatchElem {
	return rpc.BatchElem{Method: method, Args: args, Result: result}
}

// ethCall is an eth_call at the newest block.
func ethCall(result *hexutil.Bytes, to common.Address, data []byte) rpc.BatchElem {
	return request(result, "eth_call", callArgs{To: to, Data: data}, "latest")
}

// callArgs are the arguments of eth_call and eth_estimateGas.
type callArgs struct {
	From  *common.Address `json:"from,omitempty"`
	To    common.Address  `json:"to"`
	Value *hexutil.Big    `json:"value,omitempty"`
	Data  hexutil.Bytes   `json:"data"`
}

// batch sends the requests in one round trip. The error is that of the round trip; each element has its own.
func (c *Chain) batch(ctx context.Context, elems []rpc.BatchElem) error {
	return batch(ctx, c.rpc, elems)
}

func batch(ctx context.Context, client RPC, elems []rpc.BatchElem) error {
	if err := client.BatchCallContext(ctx, elems); err != nil {
		return fmt.Errorf("rpc: %w", withoutAddress(err))
	}
	return nil
}

// firstError is the first error among the elements, with the name of its method.
func firstError(elems []rpc.BatchElem) error {
	for _, e := range elems {
		if e.Error != nil {
			return fmt.Errorf("%s: %w", e.Method, e.Error)
		}
	}
	return nil
}

// header is what is read of a block.
type header struct {
	Number  hexutil.Uint64 `json:"number"`
	Hash    common.Hash    `json:"hash"`
	BaseFee *hexutil.Big   `json:"baseFeePerGas"`
}

func blockTag(number uint64) string { return hexutil.EncodeUint64(number) }
