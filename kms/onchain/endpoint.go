package onchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/internal/loopback"
	"github.com/phala-go/phala/internal/retryafter"
)

// RPC is a JSON-RPC endpoint of a node. [*rpc.Client] implements it; [Dial] returns one with limits, and
// [FromBackend] one that uses one of go-ethereum's clients.
type RPC interface {
	CallContext(ctx context.Context, result any, method string, args ...any) error
	BatchCallContext(ctx context.Context, batch []rpc.BatchElem) error
}

// request returns one element of a batch, with its result decoded into result.
func request(result any, method string, args ...any) rpc.BatchElem {
	return rpc.BatchElem{Method: method, Args: args, Result: result}
}

// ethCall returns an eth_call at a block.
func ethCall(result *hexutil.Bytes, to common.Address, data []byte, block string) rpc.BatchElem {
	return request(result, "eth_call", callArgs{To: to, Data: data}, block)
}

// callArgs are the arguments of eth_call and eth_estimateGas.
type callArgs struct {
	From  *common.Address `json:"from,omitempty"`
	To    common.Address  `json:"to"`
	Value *hexutil.Big    `json:"value,omitempty"`
	Data  hexutil.Bytes   `json:"data"`
}

// transaction is the part of a transaction, in a pool or in a block, that is read.
type transaction struct {
	Hash  common.Hash    `json:"hash"`
	From  common.Address `json:"from"`
	Nonce hexutil.Uint64 `json:"nonce"`
}

// fullBlock is a block with its transactions.
type fullBlock struct {
	header
	Transactions []transaction `json:"transactions"`
}

// header is the part of a block that is read.
type header struct {
	Number  hexutil.Uint64 `json:"number"`
	Hash    common.Hash    `json:"hash"`
	Parent  common.Hash    `json:"parentHash"`
	Time    hexutil.Uint64 `json:"timestamp"`
	BaseFee *hexutil.Big   `json:"baseFeePerGas"`
}

func (h *header) tag() string { return blockTag(uint64(h.Number)) }

func blockTag(number uint64) string { return hexutil.EncodeUint64(number) }

const (
	dialTimeout    = 30 * time.Second
	maxAnswerBytes = 32 << 20
	// maxIdle is the number of idle connections to one endpoint. A watch reads several blocks at once.
	maxIdle = 16
)

// Conn is a connection to a JSON-RPC endpoint, from [Dial]. It is safe for concurrent use.
type Conn struct {
	*rpc.Client
	transport *http.Transport
}

// Close ends the connection and closes idle ones.
func (c *Conn) Close() {
	c.Client.Close()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// DialOption configures [Dial].
type DialOption func(*dialConfig)

type dialConfig struct {
	plainHTTP bool
	timeout   time.Duration
}

// AllowPlainHTTP accepts http and ws to hosts other than loopback, such as a node in the same cluster. Anybody on the
// network between can then forge every response.
func AllowPlainHTTP() DialOption { return func(c *dialConfig) { c.plainHTTP = true } }

// WithRequestTimeout sets the timeout of one request over http, 30 seconds by default. A request that times out is
// repeated.
func WithRequestTimeout(d time.Duration) DialOption { return func(c *dialConfig) { c.timeout = d } }

// Dial connects to the JSON-RPC endpoint at address, an https or wss URL. Plain http and ws are accepted for loopback
// hosts only, see [AllowPlainHTTP]. An absolute path is the local socket of a node on this machine. Dial follows no
// redirects, reads at most 32 MiB for each response and limits the time of each request. Errors do not contain the
// address, which often contains a key.
func Dial(ctx context.Context, address string, opts ...DialOption) (*Conn, error) {
	cfg := dialConfig{timeout: dialTimeout}
	for _, o := range opts {
		o(&cfg)
	}
	if filepath.IsAbs(address) {
		client, err := rpc.DialIPC(ctx, address)
		if err != nil {
			return nil, fmt.Errorf("rpc socket: %w", err)
		}
		return &Conn{Client: client}, nil
	}
	if cfg.timeout <= 0 {
		return nil, fmt.Errorf("rpc endpoint: a request timeout of %s, want more than 0", cfg.timeout)
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("rpc endpoint: not a URL")
	}
	plain := u.Scheme == "http" || u.Scheme == "ws"
	switch {
	case u.Scheme != "https" && u.Scheme != "wss" && !plain:
		return nil, fmt.Errorf("rpc endpoint with scheme %q, want https, wss, or the absolute path of a socket", u.Scheme)
	case plain && !cfg.plainHTTP && !loopback.Is(u.Hostname()):
		return nil, fmt.Errorf("rpc endpoint with scheme %q, want https or wss unless AllowPlainHTTP is given", u.Scheme)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = maxIdle
	client, err := rpc.DialOptions(ctx, address, rpc.WithHTTPClient(&http.Client{
		Transport:     boundedTransport{transport},
		Timeout:       cfg.timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}), rpc.WithWebsocketMessageSizeLimit(maxAnswerBytes))
	if err != nil {
		return nil, withoutAddress(err)
	}
	return &Conn{Client: client, transport: transport}, nil
}

// boundedTransport limits responses, and keeps the Retry-After header, which the rpc package drops.
type boundedTransport struct{ next http.RoundTripper }

func (t boundedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if after, _ := retryafter.Parse(resp.Header, time.Now()); after > 0 && resp.StatusCode >= 400 {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
		_ = resp.Body.Close()
		return nil, &busyError{Status: resp.StatusCode, After: after}
	}
	resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswerBytes}
	return resp, nil
}

// busyError is an HTTP error with a Retry-After header.
type busyError struct {
	Status int
	After  time.Duration
}

func (e *busyError) Error() string { return fmt.Sprintf("HTTP %d, retry after %s", e.Status, e.After) }

var errTooLong = fmt.Errorf("an answer of more than %d MiB", maxAnswerBytes>>20)

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// withoutAddress removes the endpoint's address from an error of net/http.
func withoutAddress(err error) error {
	var withURL *url.Error
	if errors.As(err, &withURL) {
		return fmt.Errorf("rpc: %w", withURL.Err)
	}
	return err
}
