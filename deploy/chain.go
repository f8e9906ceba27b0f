package deploy

import (
	"cmp"
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

// Chain is the contract of a KMS on a chain, and the account that sends transactions. Method Flow of *onchain.Chain in
// package kms/onchain returns one. It is an interface so that only programs that deploy on a chain compile kms/onchain.
//
// Calls that send a transaction have a journal. They save a transaction in it before they send it, and continue from a
// saved one, so that nothing is sent twice.
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
	// Allowance reads the requirements of an app's contract, and whether it allows hash and device.
	Allowance(ctx context.Context, app kms.AppID, hash [32]byte, device kms.DeviceID) (kms.Allowance, error)
	// DeployApp deploys the contract of an app, and returns its address.
	DeployApp(ctx context.Context, contract kms.AppContract, journal kms.Journal) (kms.AppID, common.Hash, error)
	// AddComposeHash and AddDevice make the contract of an app allow a hash or a machine. The transaction is zero if
	// the contract allowed it already.
	AddComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, journal kms.Journal) (common.Hash, error)
	AddDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, journal kms.Journal) (common.Hash, error)
	// RemoveComposeHash and RemoveDevice make the contract of an app refuse a hash or a machine. The transaction is
	// zero if the contract did not allow it.
	RemoveComposeHash(ctx context.Context, app kms.AppID, hash [32]byte, journal kms.Journal) (common.Hash, error)
	RemoveDevice(ctx context.Context, app kms.AppID, device kms.DeviceID, journal kms.Journal) (common.Hash, error)
}

// AlreadyRegistered is the transaction of an approval if the contract allowed everything already.
const AlreadyRegistered = "already-registered"

// parseDevice parses a device id of the cloud. An empty text is the zero device.
func parseDevice(text string) (kms.DeviceID, error) {
	if text == "" {
		return kms.DeviceID{}, nil
	}
	device, err := kms.ParseDeviceID(text)
	if err != nil {
		return kms.DeviceID{}, mismatch(ComparedDevice, "64 hexadecimal digits", text)
	}
	return device, nil
}

// compareChain returns an error unless chain is the one with the id, and has the contract of the KMS.
func compareChain(chain Chain, id uint64, contract common.Address) error {
	return compareKMS(chain.ChainID(), chain.KMS(), id, contract)
}

// compareKMS compares the chain and the contract of the KMS that the cloud reports with those of the anchor.
func (a *App) compareKMS(k *openapi.KMS) error {
	id, contract := chainOf(k)
	return compareKMS(a.ChainID, a.KMSContract, id, contract)
}

func compareKMS(wantID uint64, wantContract common.Address, id uint64, contract common.Address) error {
	if _, err := compare(ComparedChain, strconv.FormatUint(wantID, 10), strconv.FormatUint(id, 10)); err != nil {
		return err
	}
	_, err := compare(ComparedKMSContract, wantContract.Hex(), contract.Hex())
	return err
}

// chainOf returns the chain id and the contract that the cloud reports for a KMS; zero if it reports none.
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

// kmsType returns the API's name for the KMS on a chain; nil if it has none, because the contract's address is enough.
func kmsType(chain Chain) *openapi.KMSType {
	switch chain.ChainID() {
	case 1:
		return openapi.Ptr(openapi.KMSTypeEthereum)
	case 8453:
		return openapi.Ptr(openapi.KMSTypeBase)
	}
	return nil
}

// acceptDevice returns an error unless the caller accepted the machine that the cloud chose.
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

// compare compares the requirements of a contract with those of the spec.
func (s ContractSpec) compare(app kms.AppID, a kms.Allowance) (Comparison, error) {
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

// journals are the transactions of one flow, by their purpose.
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

// allow makes the contract of an app allow the machine and the compose hash of an approval. It returns the last
// transaction, or [AlreadyRegistered].
func allow(ctx context.Context, chain Chain, a *Approval, log journals) (string, error) {
	last := AlreadyRegistered
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
			last = cmp.Or(txText(tx), last)
		}
	}
	if a.OnlyDevice {
		return last, nil
	}
	tx, err := chain.AddComposeHash(ctx, a.App, a.ComposeHash, log.of("hash"))
	if err != nil {
		return "", onChainError(fmt.Sprintf("allow compose hash %s for app %s", a.ComposeHash, a.App), err)
	}
	return cmp.Or(txText(tx), last), nil
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
	if err := compareChain(chain, app.ChainID, app.KMSContract); err != nil {
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
		cfg.progress(RetiredEvent{ComposeHash: hash.String(), Transaction: txText(tx)})
		after.Revisions = slices.DeleteFunc(after.Revisions, func(r Revision) bool { return r.ComposeHash.Equal(hash) })
	}
	for _, device := range spec.Devices {
		tx, err := chain.RemoveDevice(ctx, app.ID, device, kms.Journal{})
		if err != nil {
			return nil, onChainError(fmt.Sprintf("retire device %s of app %s", device, app.ID), err)
		}
		cfg.progress(RetiredEvent{Device: device.String(), Transaction: txText(tx)})
		after.Devices = slices.DeleteFunc(after.Devices, device.Equal)
	}
	return after, nil
}

// txText returns a transaction as text; empty if it is zero.
func txText(tx common.Hash) string {
	if tx == (common.Hash{}) {
		return ""
	}
	return tx.Hex()
}
