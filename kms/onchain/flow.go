package onchain

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/kms"
)

// Flow is a [Chain] with plain types, for packages that declare an interface for the chain and do not import this
// package. A transaction of zero means that nothing had to be sent.
type Flow struct{ chain *Chain }

// Flow returns the chain with plain types.
func (c *Chain) Flow() Flow { return Flow{c} }

// ChainID returns the EIP-155 id of the chain.
func (f Flow) ChainID() uint64 { return f.chain.contract.ChainID }

// KMS returns the address of the KMS's contract.
func (f Flow) KMS() common.Address { return f.chain.contract.Address }

// Sender returns the account of the signer, or zero.
func (f Flow) Sender() common.Address { return f.chain.Sender() }

// RootKey returns the root key that the KMS published in its contract.
func (f Flow) RootKey(ctx context.Context) (kms.RootKey, error) {
	info, err := f.chain.KMSInfo(ctx)
	if err != nil {
		return kms.RootKey{}, err
	}
	return info.RootKey, nil
}

// RootCA returns the public key of the root CA that the KMS published in its contract (DER SubjectPublicKeyInfo). It
// is empty if the contract has none.
func (f Flow) RootCA(ctx context.Context) ([]byte, error) {
	info, err := f.chain.KMSInfo(ctx)
	if err != nil {
		return nil, err
	}
	return info.CAPublicKey, nil
}

// Allowance calls [Chain.Allowance].
func (f Flow) Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error) {
	return f.chain.Allowance(ctx, app, hash, device)
}

// DeployApp calls [Chain.DeployApp]. It returns the app and the transaction that deployed it.
func (f Flow) DeployApp(ctx context.Context, spec kms.AppContract, j kms.Journal) (kms.AppID, common.Hash, error) {
	opts, err := journalOptions(j)
	if err != nil {
		return kms.AppID{}, common.Hash{}, err
	}
	done, err := f.chain.DeployApp(ctx, spec, opts...)
	if err != nil {
		return kms.AppID{}, common.Hash{}, err
	}
	return done.App, done.Receipt.Tx, nil
}

// AddComposeHash calls [Chain.AddComposeHash].
func (f Flow) AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error) {
	return journaled(ctx, f.chain.AddComposeHash, app, hash, j)
}

// RemoveComposeHash calls [Chain.RemoveComposeHash].
func (f Flow) RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error) {
	return journaled(ctx, f.chain.RemoveComposeHash, app, hash, j)
}

// AddDevice calls [Chain.AddDevice].
func (f Flow) AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error) {
	return journaled(ctx, f.chain.AddDevice, app, device, j)
}

// RemoveDevice calls [Chain.RemoveDevice].
func (f Flow) RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error) {
	return journaled(ctx, f.chain.RemoveDevice, app, device, j)
}

// Deployed calls [Chain.Deployed]: it returns the app that another sender's transaction deployed.
func (f Flow) Deployed(ctx context.Context, tx common.Hash, deployer common.Address) (kms.AppID, error) {
	done, err := f.chain.Deployed(ctx, tx, deployer)
	if err != nil {
		return kms.AppID{}, err
	}
	return done.App, nil
}

type changeFunc[T any] func(context.Context, kms.AppID, T, ...SendOption) (*Receipt, error)

func journaled[T any](ctx context.Context, change changeFunc[T], app kms.AppID, value T, j kms.Journal) (common.Hash, error) {
	opts, err := journalOptions(j)
	if err != nil {
		return common.Hash{}, err
	}
	receipt, err := change(ctx, app, value, opts...)
	if err != nil {
		return common.Hash{}, err
	}
	return receipt.Tx, nil
}

// journalOptions reads the intent of a journal, which is stored as JSON.
func journalOptions(j kms.Journal) ([]SendOption, error) {
	var opts []SendOption
	if len(j.Saved) > 0 {
		intent := new(Intent)
		if err := json.Unmarshal(j.Saved, intent); err != nil {
			return nil, fmt.Errorf("intent: %w", err)
		}
		opts = append(opts, ResumeIntent(intent))
	}
	if j.Save != nil {
		opts = append(opts, Checkpoint(func(intent *Intent) error {
			data, err := json.Marshal(intent)
			if err != nil {
				return err
			}
			return j.Save(data)
		}))
	}
	return opts, nil
}
