package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
)

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
