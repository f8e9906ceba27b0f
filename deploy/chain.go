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

// Chain is the contract of a KMS on a chain, with an account to act for. A *onchain.Deployer of package
// kms/onchain is one; the interface is here so that only who deploys on a chain compiles it.
//
// Calls that send a transaction take the intent that an earlier run saved, nil where there is none, and a
// function that saves one. They save before they send, and with an intent they finish what it says instead
// of sending something else, so that nothing is sent twice.
type Chain interface {
	// ChainID is the EIP-155 id: 1 is Ethereum, 8453 is Base.
	ChainID() int64
	// KMSContract is the address of the KMS's contract.
	KMSContract() common.Address
	// Account is the address that pays, and that owns the contracts of new apps.
	Account() common.Address
	// KMSRoot reads the KMS's root key from its contract.
	KMSRoot(ctx context.Context) (kms.Signer, error)
	// DeployApp deploys the contract of an app that allows hash on device, and returns its address.
	DeployApp(ctx context.Context, hash compose.Hash, device [32]byte, intent json.RawMessage, save func(json.RawMessage) error) (kms.AppID, error)
	// AppAllows reads whether the contract of an app allows hash, and device or every device.
	AppAllows(ctx context.Context, app kms.AppID, hash compose.Hash, device [32]byte) (hashAllowed, deviceAllowed bool, err error)
	// AllowHash lets the contract of an app allow hash.
	AllowHash(ctx context.Context, app kms.AppID, hash compose.Hash, intent json.RawMessage, save func(json.RawMessage) error) (common.Hash, error)
	// AllowDevice lets the contract of an app allow device.
	AllowDevice(ctx context.Context, app kms.AppID, device [32]byte, intent json.RawMessage, save func(json.RawMessage) error) (common.Hash, error)
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

// sameChain refuses a KMS that is not the one on the chain of this side: what was allowed there would be
// worth nothing.
func sameChain(chain Chain, id int64, contract common.Address) error {
	if id != 0 {
		if _, err := compare(CheckChain, fmt.Sprint(chain.ChainID()), fmt.Sprint(id)); err != nil {
			return err
		}
	}
	if contract != (common.Address{}) {
		if _, err := compare(CheckKMSContract, chain.KMSContract().Hex(), contract.Hex()); err != nil {
			return err
		}
	}
	return nil
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

// allow lets the contract of an app allow what it does not yet. It returns the transaction that allowed the
// hash, or [AlreadyRegistered]. step saves the intent of each transaction under its name.
func allow(ctx context.Context, chain Chain, app kms.AppID, hash compose.Hash, dev [32]byte, log *intents) (string, error) {
	hashAllowed, deviceAllowed, err := chain.AppAllows(ctx, app, hash, dev)
	if err != nil {
		return "", fmt.Errorf("contract of app %s: %w", app, err)
	}
	if dev == ([32]byte{}) {
		deviceAllowed = true // none was named, so none is to be allowed
	}
	// An intent that was saved is finished even where its effect shows already: its transaction is the proof.
	if !deviceAllowed || log.has("device") {
		if _, err := chain.AllowDevice(ctx, app, dev, log.get("device"), log.saver("device")); err != nil {
			return "", fmt.Errorf("allow device %x for app %s: %w", dev, app, err)
		}
	}
	if hashAllowed && !log.has("hash") {
		return AlreadyRegistered, nil
	}
	tx, err := chain.AllowHash(ctx, app, hash, log.get("hash"), log.saver("hash"))
	if err != nil {
		return "", fmt.Errorf("allow compose hash %s for app %s: %w", hash, app, err)
	}
	return tx.Hex(), nil
}

// intents are the transactions of one flow by what they do.
type intents struct {
	all  *map[string]json.RawMessage
	save func() error
}

func (l *intents) has(name string) bool { return len((*l.all)[name]) > 0 }

func (l *intents) get(name string) json.RawMessage { return (*l.all)[name] }

func (l *intents) saver(name string) func(json.RawMessage) error {
	return func(intent json.RawMessage) error {
		if *l.all == nil {
			*l.all = map[string]json.RawMessage{}
		}
		(*l.all)[name] = intent
		return l.save()
	}
}
