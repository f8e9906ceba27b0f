package chaintest

import (
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/ethclient/simulated"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/rpc"

	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
)

// TB is the part of testing.TB that a chain uses, so that programs need not import package testing.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Chain is a chain with the contracts of a KMS. It is safe for concurrent use.
type Chain struct {
	// KMS is the address of the KMS's contract, and Accounts[0] is its owner.
	KMS common.Address
	// Accounts are keys with money: 100 ETH each on the simulated chain.
	Accounts []*ecdsa.PrivateKey
	// RootKey is the key of the KMS that its contract publishes.
	RootKey *ecdsa.PrivateKey
	rootCA  []byte // public key of the CA below it, which the contract publishes as well

	chainID   uint64
	sim       *simulated.Backend // nil on an external node
	inner     onchain.RPC
	socket    string
	contracts map[string]contract
	cfg       config

	// mining is locked while the chain changes.
	mining sync.Mutex

	mu         sync.Mutex
	manual     bool
	lag        uint64
	intercepts map[string]Interceptor
	sent       []common.Hash
}

// Option configures a chain.
type Option func(*config)

type config struct {
	generation Generation
	manual     bool
	accounts   []*ecdsa.PrivateKey
	rootKey    *ecdsa.PrivateKey
	rootCA     []byte
}

// WithGeneration sets the generation of the contracts. The default is [Head].
func WithGeneration(g Generation) Option { return func(c *config) { c.generation = g } }

// WithManualMining disables automatic mining; [Chain.Mine] mines.
func WithManualMining() Option { return func(c *config) { c.manual = true } }

const accounts = 4

// New starts a simulated chain for a test, which ends with it.
func New(t TB, opts ...Option) *Chain {
	t.Helper()
	c, stop, err := Start(opts...)
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	t.Cleanup(stop)
	return c
}

// Start starts a simulated chain for a program, which must call stop.
func Start(opts ...Option) (c *Chain, stop func(), err error) {
	c, err = newChain(opts)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "chain")
	if err != nil {
		return nil, nil, err
	}
	alloc := types.GenesisAlloc{}
	for i := range accounts {
		key, err := derivedKey(fmt.Sprintf("account %d", i))
		if err != nil {
			return nil, nil, err
		}
		c.Accounts = append(c.Accounts, key)
		alloc[crypto.PubkeyToAddress(key.PublicKey)] = types.Account{Balance: ether(100)}
	}
	socket := filepath.Join(dir, "rpc")
	c.socket = ipcPath(socket)
	c.sim = simulated.NewBackend(alloc, func(conf *node.Config, _ *ethconfig.Config) { conf.IPCPath = c.socket })
	var client *rpc.Client
	stop = func() {
		if client != nil {
			client.Close()
		}
		_ = c.sim.Close()
		_ = os.RemoveAll(dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if client, err = rpc.DialContext(ctx, c.socket); err == nil {
		c.inner = client
		err = c.setUp(ctx)
	}
	if err != nil {
		stop()
		return nil, nil, err
	}
	c.mu.Lock()
	c.manual, c.sent = c.cfg.manual, nil
	c.mu.Unlock()
	return c, stop, nil
}

// Dial deploys the contracts on the node at url, which must be of a development chain. It pays from the funded account,
// from which nothing else may send meanwhile. The accounts of the chain are new and receive a tenth of an ETH each.
func Dial(t TB, url string, funded *ecdsa.PrivateKey, opts ...Option) *Chain {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c, err := newChain(opts)
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	conn, err := onchain.Dial(ctx, url)
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	t.Cleanup(conn.Close)
	c.inner = conn
	if err = c.readChainID(ctx); err == nil {
		err = c.fund(ctx, funded)
	}
	if err == nil {
		err = c.setUp(ctx)
	}
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	return c
}

func newChain(opts []Option) (*Chain, error) {
	c := &Chain{intercepts: map[string]Interceptor{}}
	for _, o := range opts {
		o(&c.cfg)
	}
	var err error
	if c.contracts, err = contracts(); err != nil {
		return nil, err
	}
	c.RootKey, err = derivedKey("kms root")
	if err == nil {
		c.rootCA, err = derivedCA("kms root ca")
	}
	return c, err
}

func (c *Chain) readChainID(ctx context.Context) error {
	var id hexutil.Uint64
	err := c.inner.CallContext(ctx, &id, "eth_chainId")
	c.chainID = uint64(id)
	return err
}

func derivedKey(name string) (*ecdsa.PrivateKey, error) {
	return crypto.ToECDSA(crypto.Keccak256([]byte("phala chaintest " + name)))
}

// derivedCA returns the public key of a P-256 key.
func derivedCA(name string) ([]byte, error) {
	key, err := ecdh.P256().NewPrivateKey(crypto.Keccak256([]byte("phala chaintest " + name)))
	if err != nil {
		return nil, err
	}
	return x509.MarshalPKIXPublicKey(key.PublicKey())
}

func ether(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e18)) }

// Contract returns the argument of onchain.Open.
func (c *Chain) Contract() onchain.Contract {
	return onchain.Contract{ChainID: c.chainID, Address: c.KMS}
}

// Open opens the KMS's contract, signing with the first account and polling the chain every few milliseconds. The
// given options come last.
func (c *Chain) Open(ctx context.Context, opts ...onchain.Option) (*onchain.Chain, error) {
	var all []onchain.Option
	if len(c.Accounts) > 0 {
		signer, err := onchain.PrivateKeySigner(c.Accounts[0])
		if err != nil {
			return nil, err
		}
		all = append(all, onchain.WithSigner(signer))
	}
	poll := 5 * time.Millisecond
	if c.sim == nil {
		poll = 200 * time.Millisecond
	}
	return onchain.Open(ctx, c, c.Contract(), append(append(all, onchain.WithPollInterval(poll)), opts...)...)
}

// Root returns the root key of the KMS, for pinning.
func (c *Chain) Root() kms.RootKey { return kms.RootKeyOf(c.RootKey) }

// Address returns the address of an account by its number.
func (c *Chain) Address(account int) common.Address {
	return crypto.PubkeyToAddress(c.Accounts[account].PublicKey)
}

// Sent returns the transactions that were sent to the endpoint, each once, in order of arrival.
func (c *Chain) Sent() []common.Hash {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]common.Hash(nil), c.sent...)
}

// WithAccounts sets the accounts of [Attach]: the first one signs. None receives money.
func WithAccounts(keys ...*ecdsa.PrivateKey) Option {
	return func(c *config) { c.accounts = keys }
}

// WithKMSKey sets the root key of the KMS and the public key of its CA (DER SubjectPublicKeyInfo), which must be in
// the contract of [Attach].
func WithKMSKey(root *ecdsa.PrivateKey, ca []byte) Option {
	return func(c *config) { c.rootKey, c.rootCA = root, ca }
}

// Attach returns a chain with existing contracts: a KMS of your own on a development chain, or on a fork of a public
// one. It deploys nothing. Features of the simulated chain (mining, reorganisations) are not available; the faults of
// the endpoint are. The caller closes rpc.
func Attach(t TB, rpc onchain.RPC, contract onchain.Contract, opts ...Option) *Chain {
	t.Helper()
	c, err := newChain(opts)
	if err != nil {
		t.Fatalf("chaintest: %v", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.inner, c.KMS, c.Accounts = rpc, contract.Address, c.cfg.accounts
	if err := c.readChainID(ctx); err != nil {
		t.Fatalf("chaintest: eth_chainId: %v", err)
		return nil
	}
	if c.chainID != contract.ChainID {
		t.Fatalf("chaintest: the endpoint is of chain %d, want %d", c.chainID, contract.ChainID)
		return nil
	}
	if c.cfg.rootKey != nil {
		c.RootKey, c.rootCA = c.cfg.rootKey, c.cfg.rootCA
	}
	return c
}

// ipcPath returns the path of the simulated node's socket. The backend does not export its node, so the socket is the
// only access to plain JSON-RPC.
func ipcPath(socket string) string {
	if runtime.GOOS == "windows" {
		return `\\.\pipe\` + filepath.Base(filepath.Dir(socket))
	}
	return socket
}

// Endpoint returns the local socket of the simulated node, for other processes: an argument of rpc.DialContext and
// onchain.Dial. Transactions that come this way are mined with the next block, see [Chain.Mine], and the faults of
// the endpoint do not apply. It is empty on an external node.
func (c *Chain) Endpoint() string { return c.socket }
