package onchain

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
)

// Signer signs the transactions of one account.
type Signer interface {
	// Address is the account.
	Address() common.Address
	// SignTx gives tx with the account's signature and nothing else changed.
	SignTx(ctx context.Context, tx *types.Transaction, chainID *big.Int) (*types.Transaction, error)
}

// PrivateKeySigner signs with a key in memory. Formatting it shows the address only.
func PrivateKeySigner(key *ecdsa.PrivateKey) (Signer, error) {
	if key == nil || key.D == nil || key.D.Sign() <= 0 || key.X == nil {
		return nil, errors.New("private key: none given")
	}
	return keySigner{key: func() *ecdsa.PrivateKey { return key }, address: crypto.PubkeyToAddress(key.PublicKey)}, nil
}

// keySigner holds its key in a function, so that no verb of package fmt prints it.
type keySigner struct {
	key     func() *ecdsa.PrivateKey
	address common.Address
}

func (s keySigner) Address() common.Address { return s.address }

func (s keySigner) String() string   { return "signer " + s.address.String() }
func (s keySigner) GoString() string { return s.String() }

func (s keySigner) SignTx(_ context.Context, tx *types.Transaction, chainID *big.Int) (*types.Transaction, error) {
	return types.SignTx(tx, types.LatestSignerForChainID(chainID), s.key())
}

// KeystoreSigner signs with the key in the content of a keystore file (Web3 Secret Storage, as geth writes
// it). Deciphering takes about a second, on purpose. Errors hold neither content nor passphrase.
func KeystoreSigner(content []byte, passphrase string) (Signer, error) {
	key, err := keystore.DecryptKey(content, passphrase)
	if errors.Is(err, keystore.ErrDecrypt) {
		return nil, errors.New("keystore file: the passphrase does not open it")
	}
	if err != nil {
		// The text of a failure could repeat what the file holds.
		return nil, errors.New("keystore file: not a key file that can be read")
	}
	return PrivateKeySigner(key.PrivateKey)
}

// TransactOptsSigner signs with go-ethereum's bind.TransactOpts, of which only From and Signer are used.
func TransactOptsSigner(opts *bind.TransactOpts) (Signer, error) {
	if opts == nil || opts.Signer == nil || opts.From == (common.Address{}) {
		return nil, errors.New("transact options: want From and Signer")
	}
	return optsSigner{opts.From, opts.Signer}, nil
}

type optsSigner struct {
	from common.Address
	sign bind.SignerFn
}

func (s optsSigner) Address() common.Address { return s.from }

func (s optsSigner) SignTx(_ context.Context, tx *types.Transaction, _ *big.Int) (*types.Transaction, error) {
	return s.sign(s.from, tx)
}

// sign asks the signer and holds its answer against the question.
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
