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
// Calls that send a transaction take what an earlier run of the same call has saved, nil where there is none,
// and a function that saves. They save before they send, and go on from what was saved instead of sending
// something else, so that nothing is sent twice.
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
	// Allowed reads whether the contract of an app allows hash, and device or every device; and who owns it.
	Allowed(ctx context.Context, app kms.AppID, hash, device [32]byte) (hashOK, deviceOK bool, owner common.Address, err error)
	// DeployApp deploys the contract of an app that allows hash on device, and returns its address.
	DeployApp(ctx context.Context, owner common.Address, hash, device [32]byte, anyDevice, requireTCB bool, saved []byte, save func([]byte) error) (kms.AppID, common.Hash, error)
	// AddComposeHash lets the contract of an app allow hash. The transaction is zero where it did already.
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, saved []byte, save func([]byte) error) (common.Hash, error)
	// AddDevice lets the contract of an app allow device. The transaction is zero where it did already.
	AddDevice(ctx context.Context, app kms.AppID, device [32]byte, saved []byte, save func([]byte) error) (common.Hash, error)
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
func device(text string) ([32]byte, error) {
	if text == "" {
		return [32]byte{}, nil
	}
	hash, err := compose.ParseHash(text)
	if err != nil {
		return [32]byte{}, fmt.Errorf("device id %q: want 64 hexadecimal digits", text)
	}
	return hash, nil
}

// bareDevice gives a device id as 64 lower-case digits; empty where the cloud names none.
func bareDevice(text string) (string, error) {
	dev, err := device(text)
	if err != nil || dev == ([32]byte{}) {
		return "", err
	}
	return compose.Hash(dev).String(), nil
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
func allow(ctx context.Context, chain Chain, app kms.AppID, hash compose.Hash, dev [32]byte, log *intents) (string, error) {
	_, deviceOK, _, err := chain.Allowed(ctx, app, hash, dev)
	if err != nil {
		return "", fmt.Errorf("contract of app %s: %w", app, err)
	}
	if dev != ([32]byte{}) && (!deviceOK || log.has("device")) {
		if _, err := chain.AddDevice(ctx, app, dev, log.get("device"), log.saver("device")); err != nil {
			return "", fmt.Errorf("allow device %x for app %s: %w", dev, app, err)
		}
	}
	tx, err := chain.AddComposeHash(ctx, app, hash, log.get("hash"), log.saver("hash"))
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

func (l *intents) get(name string) []byte { return (*l.all)[name] }

func (l *intents) saver(name string) func([]byte) error {
	return func(intent []byte) error {
		if *l.all == nil {
			*l.all = map[string]json.RawMessage{}
		}
		(*l.all)[name] = intent
		return l.save()
	}
}
