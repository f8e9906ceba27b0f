package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Chain is the contract of a KMS on a chain, with an account to act for. Flow of a *onchain.Chain in package
// kms/onchain returns one. It is an interface so that only programs that deploy on a chain compile it.
//
// Calls that send a transaction have a journal. They save what they are about to send before they send it, and
// continue from the saved value instead of sending something else, so that nothing is sent twice.
type Chain interface {
	// ChainID is the EIP-155 id: 1 is Ethereum, 8453 is Base.
	ChainID() uint64
	// KMS is the address of the KMS's contract.
	KMS() common.Address
	// Sender is the account that signs and pays.
	Sender() common.Address
	// RootKey reads the KMS's root key from its contract.
	RootKey(ctx context.Context) (kms.RootKey, error)
	// RootCA reads the public key of the KMS's root CA from its contract (DER SubjectPublicKeyInfo): what the
	// hardware measures as the provider of an app's keys. It is empty if the contract names none.
	RootCA(ctx context.Context) ([]byte, error)
	// Allowance reads what the contract of an app demands, and whether it allows hash and device.
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	// DeployApp deploys the contract of an app, and returns its address.
	DeployApp(ctx context.Context, contract kms.AppContract, journal kms.Journal) (kms.AppID, common.Hash, error)
	// AddComposeHash and AddDevice let the contract of an app allow a hash or a machine. The transaction is zero if
	// it did already.
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, journal kms.Journal) (common.Hash, error)
	AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, journal kms.Journal) (common.Hash, error)
	// RemoveComposeHash and RemoveDevice take that back. The transaction is zero if it was not allowed.
	RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, journal kms.Journal) (common.Hash, error)
	RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, journal kms.Journal) (common.Hash, error)
}

// AlreadyRegistered is the transaction of an approval if the contract allowed everything before.
const AlreadyRegistered = "already-registered"

// parseDevice reads the device id that the cloud names; the zero device if it names none.
func parseDevice(text string) (kms.DeviceID, error) {
	if text == "" {
		return kms.DeviceID{}, nil
	}
	return kms.ParseDeviceID(text)
}

// sameChain refuses a KMS that is not the one on the chain of this side: what was allowed there would be
// worth nothing.
func sameChain(chain Chain, id uint64, contract common.Address) error {
	if _, err := compare(ComparedChain, strconv.FormatUint(chain.ChainID(), 10), strconv.FormatUint(id, 10)); err != nil {
		return err
	}
	_, err := compare(ComparedKMSContract, chain.KMS().Hex(), contract.Hex())
	return err
}

// chainOf is where the cloud reports that a KMS is governed; 0 and zero if it reports nothing.
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

// kmsType is the kind of KMS by the chain that it is on; nil if the API has no name for the chain, and
// the contract's address is enough.
func kmsType(chain Chain) *openapi.KMSType {
	switch chain.ChainID() {
	case 1:
		return openapi.Ptr(openapi.KMSTypeEthereum)
	case 8453:
		return openapi.Ptr(openapi.KMSTypeBase)
	}
	return nil
}

// acceptDevice checks that the caller accepted a machine that the cloud names.
func (c *config) acceptDevice(device kms.DeviceID, accepted []kms.DeviceID) (Comparison, error) {
	switch {
	case device.IsZero():
		return Comparison{Name: ComparedDevice, Outcome: NotNeeded, Reason: "no machine is to be allowed"}, nil
	case slices.ContainsFunc(accepted, device.Equal):
		return Comparison{Name: ComparedDevice, Outcome: Confirmed, Local: device.String(), Remote: device.String()}, nil
	case c.devFromCloud:
		return Comparison{Name: ComparedDevice, Outcome: Waived, Remote: device.String(), Reason: "TrustDeviceFromCloud"}, nil
	}
	return Comparison{}, fmt.Errorf("device %s: %w", device, ErrDeviceNotAccepted)
}

// demands compares what a contract demands with what the caller named.
func (s ContractSpec) demands(app kms.AppID, a kms.Allowance) (Comparison, error) {
	differ := func(what, local, remote string) error {
		return fmt.Errorf("contract of app %s: %s: %w", app, what, mismatch(ComparedContract, local, remote))
	}
	tcb := a.RequireTCBUpToDate != nil && *a.RequireTCBUpToDate
	switch {
	case s.Owner != (common.Address{}) && a.Owner != s.Owner:
		return Comparison{}, differ("owner", s.Owner.Hex(), a.Owner.Hex())
	case s.AllowAnyDevice && !a.AnyDevice:
		return Comparison{}, differ("any device", "allowed", "not allowed")
	case len(s.Devices) > 0 && !s.AllowAnyDevice && a.AnyDevice:
		return Comparison{}, differ("any device", "not allowed", "allowed")
	case s.RequireTCBUpToDate && !tcb:
		return Comparison{}, differ("TCB up to date", "required", "not required")
	}
	return Comparison{Name: ComparedContract, Outcome: Confirmed, Local: app.String(), Reason: "owned by " + a.Owner.Hex()}, nil
}

// journals are the transactions of one flow by what they do.
type journals struct {
	all  *map[string]json.RawMessage
	save func() error
}

func (j journals) of(name string) kms.Journal {
	return kms.Journal{
		Saved: (*j.all)[name],
		Save: func(intent []byte) error {
			if *j.all == nil {
				*j.all = map[string]json.RawMessage{}
			}
			(*j.all)[name] = intent
			return j.save()
		},
	}
}

func (j journals) has(name string) bool { return len((*j.all)[name]) > 0 }

// allow adds a machine to the contract of an app, unless it is zero, and a hash, unless onlyDevice. It returns the
// transaction of the last of them, or [AlreadyRegistered].
func allow(ctx context.Context, chain Chain, a *Approval, log journals) (string, error) {
	last := AlreadyRegistered
	note := func(tx common.Hash) {
		if tx != (common.Hash{}) {
			last = tx.Hex()
		}
	}
	if !a.Device.IsZero() {
		allowed, err := chain.Allowance(ctx, a.App, a.ComposeHash, a.Device)
		if err != nil {
			return "", onChainError("contract of app "+a.App.String(), err)
		}
		if !allowed.Device && !allowed.AnyDevice || log.has("device") {
			tx, err := chain.AddDevice(ctx, a.App, a.Device, log.of("device"))
			if err != nil {
				return "", onChainError(fmt.Sprintf("allow device %s for app %s", a.Device, a.App), err)
			}
			note(tx)
		}
	}
	if a.OnlyDevice {
		return last, nil
	}
	tx, err := chain.AddComposeHash(ctx, a.App, a.ComposeHash, log.of("hash"))
	if err != nil {
		return "", onChainError(fmt.Sprintf("allow compose hash %s for app %s", a.ComposeHash, a.App), err)
	}
	note(tx)
	return last, nil
}

// mustAllow returns an error unless the contract of an app allows a hash.
func mustAllow(ctx context.Context, chain Chain, app kms.AppID, hash compose.Hash) error {
	a, err := chain.Allowance(ctx, app, hash, kms.DeviceID{})
	switch {
	case err != nil:
		return onChainError("contract of app "+app.String(), err)
	case !a.ComposeHash:
		return fmt.Errorf("compose hash %s of app %s: %w; an update that the owner approves adds it", hash, app, ErrNotAllowed)
	}
	return nil
}

// RetireSpec lists what the contract of an app must not allow any more.
type RetireSpec struct {
	// ComposeHashes are documents that must not run again. One that a CVM of the [App] runs is an error.
	ComposeHashes []compose.Hash
	// Devices are machines that must not run the app again.
	Devices []kms.DeviceID
}

// Retire removes compose hashes and machines from the contract of an app, with the account of chain, which must own
// the contract. A value that the contract does not allow needs no transaction, so Retire can be repeated after a
// crash. It returns the new anchor, without the retired machines and revisions.
func Retire(ctx context.Context, chain Chain, app *App, spec RetireSpec, opts ...Option) (*App, error) {
	cfg, err := configure(inRetire, opts)
	if err != nil {
		return nil, err
	}
	if err := app.check(); err != nil {
		return nil, fmt.Errorf("retire: %w", err)
	}
	if chain == nil {
		return nil, &InputError{Field: "retire", Rule: "a chain is required"}
	}
	if err := sameChain(chain, app.ChainID, app.KMSContract); err != nil {
		return nil, fmt.Errorf("retire: %w", err)
	}
	for _, hash := range spec.ComposeHashes {
		if i := slices.IndexFunc(app.CVMs, func(c CVM) bool { return c.ComposeHash.Equal(hash) }); i >= 0 {
			return nil, &InputError{Field: "RetireSpec.ComposeHashes", Value: hash.String(), Rule: fmt.Sprintf("cvm %s runs compose hash %s and could not boot again", app.CVMs[i].ID, hash)}
		}
	}
	after := app.clone()
	for _, hash := range spec.ComposeHashes {
		tx, err := chain.RemoveComposeHash(ctx, app.ID, hash, kms.Journal{})
		if err != nil {
			return nil, onChainError(fmt.Sprintf("retire compose hash %s of app %s", hash, app.ID), err)
		}
		cfg.progress(RetiredEvent{ComposeHash: hash.String(), Transaction: text(tx)})
		after.Revisions = slices.DeleteFunc(after.Revisions, func(r Revision) bool { return r.ComposeHash.Equal(hash) })
	}
	for _, device := range spec.Devices {
		tx, err := chain.RemoveDevice(ctx, app.ID, device, kms.Journal{})
		if err != nil {
			return nil, onChainError(fmt.Sprintf("retire device %s of app %s", device, app.ID), err)
		}
		cfg.progress(RetiredEvent{Device: device.String(), Transaction: text(tx)})
		after.Devices = slices.DeleteFunc(after.Devices, device.Equal)
	}
	return after, nil
}

// text is a transaction for an event; empty if there was none.
func text(tx common.Hash) string {
	if tx == (common.Hash{}) {
		return ""
	}
	return tx.Hex()
}

// compareKMS compares the chain and the contract that the cloud names for the KMS with those of the anchor.
func (a *App) compareKMS(id uint64, contract common.Address) error {
	if _, err := compare(ComparedChain, strconv.FormatUint(a.ChainID, 10), strconv.FormatUint(id, 10)); err != nil {
		return err
	}
	_, err := compare(ComparedKMSContract, a.KMSContract.Hex(), contract.Hex())
	return err
}
