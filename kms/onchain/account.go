package onchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"sync"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rpc"
)

// Signer signs the transactions of one account: with a key in memory, or through a remote signer such as clef or a
// cloud's key service. The signed transaction is compared with the requested one. It may be slow.
type Signer interface {
	// Address is the account.
	Address() common.Address
	// SignTx returns tx with the account's signature and nothing else changed. It can be called again for the same
	// change, with another nonce, if another transaction of the account was signed meanwhile.
	SignTx(ctx context.Context, tx *types.Transaction, chainID *big.Int) (*types.Transaction, error)
}

// PrivateKeySigner returns a signer with a key in memory. Formatting it prints the address only.
func PrivateKeySigner(key *ecdsa.PrivateKey) (Signer, error) {
	if key == nil || key.D == nil || key.D.Sign() <= 0 || key.X == nil {
		return nil, errors.New("private key: none given")
	}
	return keySigner{new(accounts), func() *ecdsa.PrivateKey { return key }, crypto.PubkeyToAddress(key.PublicKey)}, nil
}

// keySigner keeps its key in a function, so that reflection does not reach it.
type keySigner struct {
	*accounts
	key     func() *ecdsa.PrivateKey
	address common.Address
}

func (s keySigner) Address() common.Address { return s.address }

func (s keySigner) String() string { return "signer " + s.address.String() }

// Format prints the address, whatever the verb.
func (s keySigner) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

func (s keySigner) SignTx(_ context.Context, tx *types.Transaction, chainID *big.Int) (*types.Transaction, error) {
	return types.SignTx(tx, types.LatestSignerForChainID(chainID), s.key())
}

// KeystoreSigner returns a signer with the key of a keystore file (Web3 Secret Storage, as geth writes it). content
// is the content of the file. Decryption takes about a second, on purpose. Errors contain neither content nor
// passphrase.
func KeystoreSigner(content []byte, passphrase string) (Signer, error) {
	key, err := keystore.DecryptKey(content, passphrase)
	if errors.Is(err, keystore.ErrDecrypt) {
		return nil, errors.New("keystore file: the passphrase does not open it")
	}
	if err != nil {
		// The text of the error could repeat the content of the file.
		return nil, errors.New("keystore file: not a key file that can be read")
	}
	return PrivateKeySigner(key.PrivateKey)
}

// TransactOptsSigner returns a signer that uses go-ethereum's bind.TransactOpts, of which only From and Signer are
// used.
func TransactOptsSigner(opts *bind.TransactOpts) (Signer, error) {
	if opts == nil || opts.Signer == nil || opts.From == (common.Address{}) {
		return nil, errors.New("transact options: want From and Signer")
	}
	return optsSigner{new(accounts), opts.From, opts.Signer}, nil
}

type optsSigner struct {
	*accounts
	from common.Address
	sign bind.SignerFn
}

func (s optsSigner) Address() common.Address { return s.from }

func (s optsSigner) SignTx(_ context.Context, tx *types.Transaction, _ *big.Int) (*types.Transaction, error) {
	return s.sign(s.from, tx)
}

// SharedNonces returns a signer whose Chains share the nonces of its account, so that they can send concurrently. The
// signers of this package do so by themselves.
func SharedNonces(signer Signer) Signer { return sharedSigner{Signer: signer, accounts: new(accounts)} }

type sharedSigner struct {
	Signer
	*accounts
}

// sign calls the signer and compares the result with the request.
func (c *Chain) sign(ctx context.Context, tx *types.Transaction) (SignedTx, error) {
	chainID := new(big.Int).SetUint64(c.contract.ChainID)
	signed, err := c.cfg.signer.SignTx(ctx, tx, chainID)
	if err != nil {
		return SignedTx{}, fmt.Errorf("signing: %w", err)
	}
	if signed == nil {
		return SignedTx{}, &SignatureError{"no transaction"}
	}
	signer := types.LatestSignerForChainID(chainID)
	if signer.Hash(signed) != signer.Hash(tx) {
		return SignedTx{}, &SignatureError{"the transaction was changed"}
	}
	from, err := types.Sender(signer, signed)
	if err != nil {
		return SignedTx{}, &SignatureError{err.Error()}
	}
	if want := c.cfg.signer.Address(); from != want {
		return SignedTx{}, &SignatureError{fmt.Sprintf("signed by %s, want %s", from, want)}
	}
	encoded, err := signed.MarshalBinary()
	if err != nil {
		return SignedTx{}, err
	}
	return SignedTx{Hash: signed.Hash(), Raw: encoded}, nil
}

// nonces assigns the nonces of one account on one chain, so that several sends can be in flight before the endpoint
// has seen the first. A nonce is taken when the transaction is signed, so that a slow signer blocks no other send, and
// a failing one leaves no gap.
type nonces struct {
	mu   sync.Mutex
	next uint64
	// free are the released nonces, in ascending order.
	free []uint64
}

// peek returns the next nonce. pending is the next one according to the endpoint, which may lag.
func (n *nonces) peek(pending uint64) uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.first(pending)
}

func (n *nonces) first(pending uint64) uint64 {
	n.free = slices.DeleteFunc(n.free, func(nonce uint64) bool { return nonce < pending })
	if len(n.free) > 0 {
		return n.free[0]
	}
	return max(n.next, pending)
}

// take takes a nonce if it is still the next one, and reports whether it was.
func (n *nonces) take(nonce, pending uint64) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.first(pending) != nonce {
		return false
	}
	if len(n.free) > 0 {
		n.free = n.free[1:]
		return true
	}
	n.next = nonce + 1
	return true
}

// release returns a nonce that no accepted transaction has, so that later ones do not wait behind a gap.
func (n *nonces) release(nonce uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch at, found := slices.BinarySearch(n.free, nonce); {
	case found || nonce >= n.next:
	case nonce == n.next-1:
		n.next--
	default:
		n.free = slices.Insert(n.free, at, nonce)
	}
}

// accounts are the nonces of one account by chain. The signers of this package contain them, so that two Chains with
// one signer do not use the same nonce.
type accounts struct {
	mu     sync.Mutex
	chains map[uint64]*nonces
}

func (a *accounts) nonces(chainID uint64) *nonces {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.chains == nil {
		a.chains = map[uint64]*nonces{}
	}
	if a.chains[chainID] == nil {
		a.chains[chainID] = new(nonces)
	}
	return a.chains[chainID]
}

// noncesOf returns the nonces of a signer, or new ones.
func noncesOf(signer Signer, chainID uint64) *nonces {
	if carrier, ok := signer.(interface{ nonces(uint64) *nonces }); ok {
		return carrier.nonces(chainID)
	}
	return new(nonces)
}

const (
	// searchStep is how far back the search for an older block goes at a time.
	searchStep = 1000
	// maxScan is the number of whole blocks that are read if the endpoint has no state to search in. The transaction
	// that took the nonce of an intent was most likely mined soon after the intent was prepared.
	maxScan = 256
	// scanBatch is the number of whole blocks in one batch.
	scanBatch = 8
)

// nonceUser returns the transaction that used the nonce of an intent, up to block high. used reports that it is used
// there; by is zero if the endpoint cannot search the block that has it.
func (c *Chain) nonceUser(ctx context.Context, intent *Intent, high uint64) (used bool, by common.Hash, err error) {
	usedAt := func(block uint64) (bool, error) {
		var count hexutil.Uint64
		err := c.reader.call(ctx, &count, "eth_getTransactionCount", intent.From, blockTag(block))
		return uint64(count) > intent.Nonce, err
	}
	if used, err = usedAt(high); err != nil || !used {
		return false, by, err
	}
	block, err := firstUse(min(intent.Block, high), high, usedAt)
	if err == nil {
		by, err = c.transactionOf(ctx, intent, block, block)
		return err == nil, by, err
	}
	if !isHistoryError(err) {
		return false, by, err
	}
	by, err = c.transactionOf(ctx, intent, intent.Block, min(high, intent.Block+maxScan))
	return err == nil, by, err
}

// isHistoryError reports whether a node may no longer have the state of a block. The texts differ, and some nodes
// return only a failure.
func isHistoryError(err error) bool {
	var endpoint *EndpointError
	if !errors.As(err, &endpoint) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var answered rpc.Error
	return errors.As(err, &answered) && classify(err) != throttled
}

// firstUse returns the first block at which used is true. It is true at high; the search begins at low.
func firstUse(low, high uint64, used func(uint64) (bool, error)) (uint64, error) {
	// A lagging endpoint may have returned a nonce that was used before low.
	for low > 0 {
		yes, err := used(low)
		if err != nil {
			return 0, err
		}
		if !yes {
			break
		}
		high, low = low, low-min(low, searchStep)
	}
	for low < high {
		middle := low + (high-low)/2
		yes, err := used(middle)
		if err != nil {
			return 0, err
		}
		if yes {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low, nil
}

// transactionOf reads whole blocks and returns the transaction with the nonce of an intent, or zero.
func (c *Chain) transactionOf(ctx context.Context, intent *Intent, from, to uint64) (common.Hash, error) {
	for ; from <= to; from += scanBatch {
		var elems []rpc.BatchElem
		blocks := make([]*fullBlock, min(scanBatch, to-from+1))
		for i := range blocks {
			elems = append(elems, request(&blocks[i], "eth_getBlockByNumber", blockTag(from+uint64(i)), true))
		}
		if err := c.reader.all(ctx, elems); err != nil {
			return common.Hash{}, err
		}
		for _, block := range blocks {
			if block == nil {
				continue
			}
			for _, tx := range block.Transactions {
				if tx.From == intent.From && uint64(tx.Nonce) == intent.Nonce {
					return tx.Hash, nil
				}
			}
		}
	}
	return common.Hash{}, nil
}
