package onchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
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
