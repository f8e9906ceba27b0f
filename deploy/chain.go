package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Chain is the contract of a KMS on a chain, with an account to act for: what Flow of a *onchain.Chain in
// package kms/onchain gives. The interface is here so that only who deploys on a chain compiles it.
//
// Calls that send a transaction take a [kms.Journal]. They save before they send, and go on from what was saved
// instead of sending something else, so that nothing is sent twice. A transaction of zero means that nothing had
// to be sent.
type Chain interface {
	// ChainID is the EIP-155 id: 1 is Ethereum, 8453 is Base.
	ChainID() uint64
	// KMS is the address of the KMS's contract.
	KMS() common.Address
	// Sender is the account that signs and pays.
	Sender() common.Address
	// RootKey reads the KMS's root key from its contract.
	RootKey(ctx context.Context) (kms.Signer, error)
	// RootCA reads the public key of the KMS's root CA from its contract (DER SubjectPublicKeyInfo): what the
	// hardware measures as the provider of an app's keys. It is empty where the contract names none.
	RootCA(ctx context.Context) ([]byte, error)
	// Allowance reads what the contract of an app allows for a compose hash and a device.
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	// DeployApp deploys the contract of an app. It returns the app and the transaction.
	DeployApp(ctx context.Context, spec kms.AppContract, j kms.Journal) (kms.AppID, common.Hash, error)
	// AddComposeHash allows hash in the contract of an app.
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error)
	// RemoveComposeHash no longer allows hash in the contract of an app.
	RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, j kms.Journal) (common.Hash, error)
	// AddDevice allows device in the contract of an app.
	AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error)
	// RemoveDevice no longer allows device in the contract of an app.
	RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, j kms.Journal) (common.Hash, error)
}

// ContractSpec says how the contract of a new app is deployed.
type ContractSpec struct {
	// Owner decides what the app may run; zero is the account of the [Chain].
	Owner common.Address `json:"owner,omitzero"`
	// AllowAnyDevice lets the app run on every device, not only on the one that the cloud named.
	AllowAnyDevice bool `json:"allow_any_device,omitempty"`
	// RequireTCBUpToDate refuses keys to platforms that are out of date. Contracts before dstack 0.5.9 do not
	// know it.
	RequireTCBUpToDate bool `json:"require_tcb_up_to_date,omitempty"`
}

// ErrUnpredictable says that a compose hash would go on chain that could not be computed here, only taken
// from the cloud. Give the app-compose its own pre-launch script, or give the check up by
// [TrustComposeHashFromCloud].
var ErrUnpredictable = errors.New("the compose hash cannot be computed here, so it must not go on chain")

// The names of the checks that belong to a chain.
const (
	CheckChain       = "chain id"
	CheckKMSContract = "kms contract"
)

// device reads a device id; the zero device where the cloud names none, which allows no device.
func device(text string) (kms.DeviceID, error) {
	if text == "" {
		return kms.DeviceID{}, nil
	}
	return kms.ParseDeviceID(text)
}

// bareDevice gives a device id as 64 lower-case digits; empty where the cloud names none.
func bareDevice(text string) (string, error) {
	dev, err := device(text)
	if err != nil || dev.IsZero() {
		return "", err
	}
	return dev.String(), nil
}

// sameChain refuses a KMS that is not the one on the chain of this side: what was allowed there would be
// worth nothing.
func sameChain(chain Chain, id uint64, contract common.Address) error {
	if id != 0 {
		if _, err := compare(CheckChain, fmt.Sprint(chain.ChainID()), fmt.Sprint(id)); err != nil {
			return err
		}
	}
	if contract != (common.Address{}) {
		if _, err := compare(CheckKMSContract, chain.KMS().Hex(), contract.Hex()); err != nil {
			return err
		}
	}
	return nil
}

// chainOf is where the cloud says that a KMS is governed; 0 and zero where it does not say.
func chainOf(k *openapi.KMS) (id uint64, contract common.Address) {
	if k == nil {
		return 0, contract
	}
	if k.ChainID != nil && *k.ChainID > 0 {
		id = uint64(*k.ChainID)
	}
	if common.IsHexAddress(k.KMSContractAddress) {
		contract = common.HexToAddress(k.KMSContractAddress)
	}
	return id, contract
}

// kmsType is the kind of KMS by the chain that it is on; nil where the API has no name for the chain, and
// the contract's address says it all.
func kmsType(chain Chain) *openapi.KMSType {
	switch chain.ChainID() {
	case 1:
		return openapi.Ptr(openapi.KMSTypeEthereum)
	case 8453:
		return openapi.Ptr(openapi.KMSTypeBase)
	}
	return nil
}

// allow lets the contract of an app allow what it does not yet, and returns the transaction that allowed the
// hash, or [AlreadyRegistered].
func allow(ctx context.Context, chain Chain, app kms.AppID, hash compose.Hash, dev kms.DeviceID, log *intents) (string, error) {
	is, err := chain.Allowance(ctx, app, hash, dev)
	if err != nil {
		return "", fmt.Errorf("contract of app %s: %w", app, err)
	}
	if !dev.IsZero() && (!is.Device && !is.AnyDevice || log.has("device")) {
		if _, err := chain.AddDevice(ctx, app, dev, log.journal("device")); err != nil {
			return "", fmt.Errorf("allow device %s for app %s: %w", dev, app, err)
		}
	}
	tx, err := chain.AddComposeHash(ctx, app, hash, log.journal("hash"))
	switch {
	case err != nil:
		return "", fmt.Errorf("allow compose hash %s for app %s: %w", hash, app, err)
	case tx == common.Hash{}:
		return AlreadyRegistered, nil
	}
	return tx.Hex(), nil
}

// intents are the transactions of one flow by what they do.
type intents struct {
	all  *map[string]json.RawMessage
	save func() error
}

func (l *intents) has(name string) bool { return len((*l.all)[name]) > 0 }

func (l *intents) journal(name string) kms.Journal {
	return kms.Journal{Saved: (*l.all)[name], Save: func(intent []byte) error {
		if *l.all == nil {
			*l.all = map[string]json.RawMessage{}
		}
		(*l.all)[name] = intent
		return l.save()
	}}
}
