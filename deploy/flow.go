package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// flow is what every step of a flow needs: the cloud, the options, and what this side knows of the app.
type flow struct {
	c   *client.Client
	cfg *config
	app *App
}

// begin begins a flow on an app that exists.
func begin(kind flows, c *client.Client, app *App, opts []Option) (*flow, error) {
	cfg, err := configure(kind, opts)
	if err != nil {
		return nil, err
	}
	if err := app.check(); err != nil {
		return nil, err
	}
	if cfg.chain == nil {
		return &flow{c: c, cfg: cfg, app: app}, nil
	}
	if !app.onChain() {
		return nil, &InputError{Field: "WithChain", Rule: fmt.Sprintf("it is for an app whose KMS is on a chain; that of app %s is the central one", app.ID)}
	}
	return &flow{c: c, cfg: cfg, app: app}, sameChain(cfg.chain, app.ChainID, app.KMSContract)
}

// conflictWait is how long a change waits for another operation on the same CVM; booting takes minutes.
const conflictWait = 10 * time.Minute

// get reads a CVM of the app and compares it with the anchor: the cloud may answer with any other one.
func (f *flow) get(ctx context.Context, cvm CVM) (*openapi.CVMDetail, error) {
	detail, err := f.c.CVMs.Get(ctx, cvm.ID)
	if err != nil {
		return nil, err
	}
	return detail, f.compareCVM(cvm, detail)
}

// compareCVM compares what the cloud describes with the CVM that was asked for. An equal description proves nothing;
// another one ends the flow.
func (f *flow) compareCVM(cvm CVM, detail *openapi.CVMDetail) error {
	if err := f.compareIdentity(cvm, detail); err != nil {
		return err
	}
	if cvm.ComposeHash == (compose.Hash{}) {
		return nil
	}
	hash, err := compose.ParseHash(detail.ComposeHash)
	if err != nil {
		return mismatch(ComparedComposeHash, cvm.ComposeHash.String(), detail.ComposeHash)
	}
	if !hash.Equal(cvm.ComposeHash) {
		return &MismatchError{
			What: ComparedComposeHash, Local: cvm.ComposeHash.String(), Remote: hash.String(),
			Hint: "if somebody else changed the app, take over what the hardware proves with Attach",
		}
	}
	return nil
}

// compareIdentity compares id, app id and KMS of a CVM.
func (f *flow) compareIdentity(cvm CVM, detail *openapi.CVMDetail) error {
	if cvm.ID != cvm.Name && uuid.Bare(cvm.ID) != uuid.Bare(handle(detail)) && cvm.ID != string(detail.ID) {
		return &MismatchError{What: ComparedCVM, Local: cvm.ID, Remote: handle(detail)}
	}
	id, err := kms.ParseAppID(detail.AppID)
	if err != nil || id != f.app.ID {
		return mismatch(ComparedAppID, f.app.ID.String(), detail.AppID)
	}
	if k := detail.KMSInfo; f.app.onChain() && k != nil {
		id, contract := chainOf(&openapi.KMS{ChainID: k.ChainID, KMSContractAddress: k.DstackKMSAddress})
		return f.app.compareKMS(id, contract)
	}
	return nil
}

// report records comparisons and passes them to the progress function.
func (f *flow) report(to *[]Comparison, comparisons ...Comparison) {
	for _, comparison := range comparisons {
		comparison.Local, comparison.Remote, comparison.Reason = cloudtext.Clean(comparison.Local), cloudtext.Clean(comparison.Remote), cloudtext.Clean(comparison.Reason)
		*to = append(*to, comparison)
		f.cfg.progress(ComparisonEvent{comparison})
	}
}

// ended is the error of a context that has ended, with its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}
