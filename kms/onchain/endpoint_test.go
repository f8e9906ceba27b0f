package onchain_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/rpc"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/phalatest/chaintest"
)

var (
	_ onchain.Backend = simulated.Client(nil)
	_ onchain.Backend = (*ethclient.Client)(nil)
	_ onchain.RPC     = (*onchain.Conn)(nil)
	_ onchain.RPC     = (*rpc.Client)(nil)
)

// What go-ethereum's clients can do is enough for everything.
func TestFromBackend(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	c := chaintest.New(t)
	client, err := ethclient.Dial(c.Endpoint())
	require.NoError(t, err)
	defer client.Close()
	mining(t, c)
	chain := dialed(t, c, onchain.FromBackend(client))
	done, err := chain.DeployApp(ctx, kms.AppContract{ComposeHash: hash1, Device: device1, RequireTCBUpToDate: true})
	require.NoError(t, err)
	app := done.App
	_, err = chain.AddComposeHash(ctx, app, hash2)
	require.NoError(t, err)
	_, err = chain.RemoveComposeHash(ctx, app, hash1)
	require.NoError(t, err)
	allowed, err := chain.Allowance(ctx, app, hash2, device1)
	require.NoError(t, err)
	assert.True(t, allowed.OK() && *allowed.RequireTCBUpToDate)
	var unauthorized *onchain.UnauthorizedAccountError
	_, err = dialed(t, c, onchain.FromBackend(client), as(t, c.Accounts[1])).AddDevice(ctx, app, device2)
	require.ErrorAs(t, err, &unauthorized)
	hashes, err := chain.AllowedHashes(ctx, app, onchain.AllowedHashes{Cursor: onchain.Cursor{Block: done.Receipt.Block}})
	require.NoError(t, err)
	assert.Len(t, hashes.Hashes, 1)
	watching, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for event, err := range chain.Watch(watching, onchain.WatchOptions{From: done.Receipt.Block, Apps: []kms.AppID{app}}) {
		require.NoError(t, err)
		if event.Value.ContractEventName() == "ComposeHashRemoved" {
			break
		}
	}
	// Whole blocks are read to find who took a nonce.
	intent, err := chain.Prepare(ctx, addHash(t, app, [32]byte{3}))
	require.NoError(t, err)
	_, err = open(t, c).AddDevice(ctx, app, device2)
	require.NoError(t, err)
	var replaced *onchain.ReplacedError
	_, err = chain.Send(ctx, intent)
	require.ErrorAs(t, err, &replaced)
	assert.NotZero(t, replaced.By)

	require.Error(t, onchain.FromBackend(client).CallContext(ctx, nil, "eth_unknown"))
	for _, args := range [][]any{{}, {1, 2}, {"x", "y"}} {
		for _, method := range []string{"eth_getCode", "eth_call", "eth_getBlockByNumber", "eth_getLogs", "eth_sendRawTransaction", "eth_getStorageAt"} {
			require.Error(t, onchain.FromBackend(client).CallContext(ctx, nil, method, args...), method)
		}
	}
}

type chainIDService struct{}

func (chainIDService) ChainId() hexutil.Uint64 { return 7 } //nolint:revive // the name of the method on the wire

func TestDial_WebSocket(t *testing.T) {
	t.Parallel()
	node := rpc.NewServer()
	defer node.Stop()
	require.NoError(t, node.RegisterName("eth", chainIDService{}))
	server := httptest.NewServer(node.WebsocketHandler([]string{"*"}))
	defer server.Close()
	conn, err := onchain.Dial(t.Context(), strings.Replace(server.URL, "http", "ws", 1))
	require.NoError(t, err)
	defer conn.Close()
	var id hexutil.Uint64
	require.NoError(t, conn.CallContext(t.Context(), &id, "eth_chainId"))
	assert.Equal(t, hexutil.Uint64(7), id)
}

// http to another host is for who asks for it by name.
func TestDial_AllowPlainHTTP(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://node.cluster.local:8545", "ws://node.cluster.local:8546"} {
		_, err := onchain.Dial(t.Context(), address)
		require.ErrorContains(t, err, "AllowPlainHTTP", address)
	}
	conn, err := onchain.Dial(t.Context(), "http://node.cluster.local:8545", onchain.AllowPlainHTTP())
	require.NoError(t, err)
	conn.Close()
	_, err = onchain.Dial(t.Context(), "ftp://node.cluster.local", onchain.AllowPlainHTTP())
	require.Error(t, err)
}

// Close closes what idles, so that nothing is left of a connection.
func TestConn_ClosesIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 16)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":"0x7"}`))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	defer server.Close()
	conn, err := onchain.Dial(t.Context(), server.URL)
	require.NoError(t, err)
	var id hexutil.Uint64
	require.NoError(t, conn.CallContext(t.Context(), &id, "eth_chainId"))
	conn.Close()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection is still open")
	}
}

// An endpoint that asks for a pause gets it, and one that asks for too long is an error at once.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	after, asked := "1", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", after)
			http.Error(w, "busy", http.StatusTooManyRequests)
			return
		}
		newBadNode(c, 1, faults{}).ServeHTTP(w, r)
	}))
	defer server.Close()
	conn, err := onchain.Dial(t.Context(), server.URL)
	require.NoError(t, err)
	defer conn.Close()
	began := time.Now()
	chain := dialed(t, c, conn)
	assert.GreaterOrEqual(t, time.Since(began), time.Second)
	after, asked = "3600", 0
	_, err = chain.KMSInfo(t.Context())
	var endpoint *onchain.EndpointError
	require.ErrorAs(t, err, &endpoint)
	assert.Equal(t, 1, endpoint.Attempts)
	assert.ErrorContains(t, err, "HTTP 429")
}

// Under a tag, contracts are read at its block, and a transaction is confirmed when its block is not above it.
func TestWithBlockTag(t *testing.T) {
	t.Parallel()
	for _, tag := range []onchain.BlockTag{onchain.Safe, onchain.Finalized} {
		c := chaintest.New(t)
		app := deploy(t, open(t, c))
		require.NoError(t, c.Mine(3))
		// The tagged block is three behind.
		c.Intercept("eth_getBlockByNumber", func(params []any, next func() (json.RawMessage, error)) (json.RawMessage, error) {
			if params[0] != string(tag) {
				return next()
			}
			var block json.RawMessage
			err := c.Behind(3).CallContext(t.Context(), &block, "eth_getBlockByNumber", "latest", false)
			return block, err
		})
		chain := open(t, c, onchain.WithBlockTag(tag))
		assert.NotZero(t, app)
		type result struct {
			receipt *onchain.Receipt
			err     error
		}
		done := make(chan result, 1)
		sent := len(c.Sent())
		go func() {
			receipt, err := chain.AddComposeHash(t.Context(), app, hash2)
			done <- result{receipt, err}
		}()
		eventually(t, "sent", func() bool { return len(c.Sent()) == sent+1 })
		before, err := chain.Allowance(t.Context(), app, hash2, device1)
		require.NoError(t, err)
		assert.False(t, before.ComposeHash, "the %s block does not have it yet", tag)
		select {
		case got := <-done:
			t.Fatalf("confirmed too early: %+v", got)
		default:
		}
		require.NoError(t, c.Mine(3))
		got := <-done
		require.NoError(t, got.err)
		now, err := chain.Allowance(t.Context(), app, hash2, device1)
		require.NoError(t, err)
		assert.True(t, now.ComposeHash)
	}
}

// A chain that exists already, and a cloud beside it.
func TestAttach(t *testing.T) {
	t.Parallel()
	c := chaintest.New(t)
	mining(t, c)
	conn, err := onchain.Dial(t.Context(), c.Endpoint())
	require.NoError(t, err)
	defer conn.Close()
	attached := chaintest.Attach(t, conn, c.Contract(), chaintest.WithAccounts(c.Accounts[1]), chaintest.WithKMSKey(c.RootKey, c.View().KMSRootCA()))
	chain := open(t, attached)
	assert.Equal(t, c.Address(1), chain.Sender())
	app := deploy(t, chain)
	view := chaintest.ViewOf(conn, c.Contract(), c.RootKey, c.View().KMSRootCA())
	known, deployer, owner, err := view.App(t.Context(), app)
	require.NoError(t, err)
	assert.True(t, known && deployer == c.Address(1) && owner == c.Address(1))
	allowed, err := view.Allowance(t.Context(), app, hash1, device1)
	require.NoError(t, err)
	assert.True(t, allowed.OK())
	info, err := chain.KMSInfo(t.Context())
	require.NoError(t, err)
	require.NoError(t, kms.CheckSigner(info.RootKey, kms.RootKeyOf(view.KMSKey())))
}
