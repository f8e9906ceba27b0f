package onchain

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/kms"
)

// Flow is a [Chain] in plain types, for programs that describe the chain they need as an interface and do not
// want to import this package. Intents are JSON text here: saved is what save was last called with, or nil.
type Flow struct{ chain *Chain }

// Flow gives the chain in plain types.
func (c *Chain) Flow() Flow { return Flow{c} }

// ChainID is that of the chain.
func (f Flow) ChainID() uint64 { return f.chain.contract.ChainID }

// KMS is the address of the KMS's contract.
func (f Flow) KMS() common.Address { return f.chain.contract.Address }

// Sender is the account of the signer, or zero.
func (f Flow) Sender() common.Address { return f.chain.Sender() }

// RootKey is the key that the KMS published in its contract.
func (f Flow) RootKey(ctx context.Context) (kms.Signer, error) {
	info, err := f.chain.KMSInfo(ctx)
	if err != nil {
		return kms.Signer{}, err
	}
	return info.RootKey, nil
}

// RootCA is the public key of the root CA that the KMS published in its contract (DER SubjectPublicKeyInfo); it is
// empty where the contract names none.
func (f Flow) RootCA(ctx context.Context) ([]byte, error) {
	info, err := f.chain.KMSInfo(ctx)
	if err != nil {
		return nil, err
	}
	return info.CAPublicKey, nil
}

// Allowed tells whether the app may run the compose hash at all, and run on the device.
func (f Flow) Allowed(ctx context.Context, app kms.AppID, hash, device [32]byte) (hashOK, deviceOK bool, owner common.Address, err error) {
	a, err := f.chain.Allowed(ctx, app, hash, device)
	return a.ComposeHash, a.Device || a.AnyDevice, a.Owner, err
}

// DeployApp is [Chain.DeployApp], with the transaction that did it.
func (f Flow) DeployApp(ctx context.Context, owner common.Address, hash, device [32]byte, anyDevice, requireTCB bool, saved []byte, save func([]byte) error) (kms.AppID, common.Hash, error) {
	opts, err := flowOptions(saved, save)
	if err != nil {
		return kms.AppID{}, common.Hash{}, err
	}
	done, err := f.chain.DeployApp(ctx, AppSpec{
		Owner: owner, ComposeHash: hash, Device: device, AllowAnyDevice: anyDevice, RequireTCBUpToDate: requireTCB,
	}, opts...)
	if err != nil {
		return kms.AppID{}, common.Hash{}, err
	}
	return done.App, done.Receipt.Tx, nil
}

// AddComposeHash is [Chain.AddComposeHash]. The transaction is zero where the hash was allowed already.
func (f Flow) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, saved []byte, save func([]byte) error) (common.Hash, error) {
	opts, err := flowOptions(saved, save)
	if err != nil {
		return common.Hash{}, err
	}
	return txOf(f.chain.AddComposeHash(ctx, app, hash, opts...))
}

// AddDevice is [Chain.AddDevice]. The transaction is zero where the device was allowed already.
func (f Flow) AddDevice(ctx context.Context, app kms.AppID, device [32]byte, saved []byte, save func([]byte) error) (common.Hash, error) {
	opts, err := flowOptions(saved, save)
	if err != nil {
		return common.Hash{}, err
	}
	return txOf(f.chain.AddDevice(ctx, app, device, opts...))
}

// Deployed is [Chain.Deployed]: the app that a transaction of somebody else deployed.
func (f Flow) Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (kms.AppID, error) {
	done, err := f.chain.Deployed(ctx, tx, deployer)
	if err != nil {
		return kms.AppID{}, err
	}
	return done.App, nil
}

func txOf(receipt *Receipt, err error) (common.Hash, error) {
	if err != nil {
		return common.Hash{}, err
	}
	return receipt.Tx, nil
}

func flowOptions(saved []byte, save func([]byte) error) ([]SendOption, error) {
	var opts []SendOption
	if len(saved) > 0 {
		intent := new(Intent)
		if err := json.Unmarshal(saved, intent); err != nil {
			return nil, fmt.Errorf("intent: %w", err)
		}
		opts = append(opts, Resume(intent))
	}
	if save != nil {
		opts = append(opts, Checkpoint(func(intent *Intent) error {
			data, err := json.Marshal(intent)
			if err != nil {
				return err
			}
			return save(data)
		}))
	}
	return opts, nil
}
