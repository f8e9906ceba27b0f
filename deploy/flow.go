package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// flow is one run of a flow.
type flow struct {
	c   *client.Client
	cfg *config
	app *App // the anchor; nil until a deployment has one
}

// newFlow returns a flow without an anchor.
func newFlow(kind flows, c *client.Client, opts []Option) (*flow, error) {
	cfg, err := configure(kind, opts)
	if err != nil {
		return nil, err
	}
	return &flow{c: c, cfg: cfg}, nil
}

// anchoredFlow returns a flow on an app that exists.
func anchoredFlow(kind flows, c *client.Client, app *App, opts []Option) (*flow, error) {
	f, err := newFlow(kind, c, opts)
	if err != nil {
		return nil, err
	}
	if err := app.check(); err != nil {
		return nil, err
	}
	f.app = app
	switch {
	case f.cfg.chain == nil:
		return f, nil
	case !app.onChain():
		return nil, &InputError{Field: "WithChain", Rule: fmt.Sprintf("it is for an app whose KMS is on a chain; that of app %s is the central one", app.ID)}
	}
	return f, compareChain(f.cfg.chain, app.ChainID, app.KMSContract)
}

// conflictWait is how long a change waits for another operation on the same CVM; booting takes minutes.
const conflictWait = 10 * time.Minute

// get reads a CVM of the app and compares it with the anchor, because the cloud may return another CVM.
func (f *flow) get(ctx context.Context, cvm CVM) (*openapi.CVMDetail, error) {
	detail, err := f.c.CVMs.Get(ctx, cvm.ID)
	if err != nil {
		return nil, err
	}
	return detail, f.compareCVM(cvm, detail)
}

// compareCVM returns an error if the cloud describes another CVM than the requested one. An equal description proves
// nothing.
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
			Hint: "if another process changed the app, call Attach for its proven document",
		}
	}
	return nil
}

// compareIdentity compares id, app id and KMS of a CVM.
func (f *flow) compareIdentity(cvm CVM, detail *openapi.CVMDetail) error {
	if cvm.ID != cvm.Name && uuid.Bare(cvm.ID) != uuid.Bare(handle(detail)) && cvm.ID != string(detail.ID) {
		return &MismatchError{What: ComparedCVM, Local: cvm.ID, Remote: handle(detail)}
	}
	if err := checkAppID(f.app.ID, detail.AppID); err != nil {
		return err
	}
	if k := detail.KMSInfo; f.app.onChain() && k != nil {
		return f.app.compareKMS(&openapi.KMS{ChainID: k.ChainID, KMSContractAddress: k.DstackKMSAddress})
	}
	return nil
}

// checkAppID returns an error unless a text of the cloud is the app id.
func checkAppID(id kms.AppID, text string) error {
	if got, err := kms.ParseAppID(text); err != nil || got != id {
		return mismatch(ComparedAppID, id.String(), text)
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

// ended returns the error of a context that has ended, with its cause.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// waitFor waits until a CVM has a status and no operation runs, for as long as a boot may take.
func (f *flow) waitFor(ctx context.Context, cvm CVM, status openapi.CVMStatus) error {
	ctx, cancel := bounded(ctx, f.cfg.bootTimeout, fmt.Sprintf("the wait for cvm %s to be %s", cvm.ID, status))
	defer cancel()
	err := f.c.CVMs.WaitFor(ctx, cvm.ID, status, f.stateProgress())
	return waitError(ctx, cvm, err)
}

// waitError returns a [*BootError] if the CVM has failed, and any other error wrapped.
func waitError(ctx context.Context, cvm CVM, err error) error {
	var wait *client.WaitError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait for cvm %s: %w: %w", cvm.ID, ended(ctx), err)
	case errors.As(err, &wait) && wait.State != nil && errors.Is(err, client.ErrFailedState):
		return &BootError{CVM: cvm.ID, Status: openapi.CVMStatus(cloudtext.Clean(string(wait.State.Status))), Progress: cloudtext.Clean(wait.State.BootProgress), Text: cloudtext.Clean(wait.State.BootError), Err: err}
	}
	return fmt.Errorf("wait for cvm %s: %w", cvm.ID, err)
}

// stateProgress reports each state that differs from the previous one.
func (f *flow) stateProgress() client.WaitOption {
	var last StatusEvent
	return client.WithWaitProgress(func(s client.StateEvent) {
		if e := (StatusEvent{Status: openapi.CVMStatus(cloudtext.Clean(string(s.State.Status))), BootProgress: cloudtext.Clean(s.State.BootProgress)}); e != last {
			last = e
			f.cfg.progress(e)
		}
	})
}

// hashLag is how long the cloud may report the previous compose hash after an update.
const hashLag = 2 * time.Minute

// hashPause is the interval at which the hash is read.
const hashPause = 5 * time.Second

// settle waits after a change until no operation runs on the CVM and the cloud reports the new compose hash. A CVM
// that was stopped before the change may be stopped or running after it.
func (f *flow) settle(ctx context.Context, want CVM, wasStopped bool) (*openapi.CVMDetail, error) {
	lag := min(hashLag, f.cfg.bootTimeout)
	ctx, cancel := bounded(ctx, f.cfg.bootTimeout+lag, fmt.Sprintf("the wait for cvm %s to run its change", want.ID))
	defer cancel()
	began := time.Now()
	for {
		if err := f.idle(ctx, want, wasStopped); err != nil {
			return nil, err
		}
		cvm, err := f.get(ctx, want)
		var mismatch *MismatchError
		lags := errors.As(err, &mismatch) && mismatch.What == ComparedComposeHash && time.Since(began) <= lag
		if !lags {
			if err != nil {
				err = fmt.Errorf("cvm %s was changed, but: %w", want.ID, err)
			}
			return cvm, err
		}
		if err := pause.For(ctx, min(hashPause, lag)); err != nil {
			return nil, fmt.Errorf("wait for cvm %s: %w", want.ID, err)
		}
	}
}

// idle waits until the CVM runs, or, if it did not run before, until no operation runs on it.
func (f *flow) idle(ctx context.Context, cvm CVM, wasStopped bool) error {
	if !wasStopped {
		return waitError(ctx, cvm, f.c.CVMs.WaitFor(ctx, cvm.ID, openapi.CVMRunning, f.stateProgress()))
	}
	if err := f.c.CVMs.WaitIdle(ctx, cvm.ID, f.stateProgress()); err != nil {
		return waitError(ctx, cvm, err)
	}
	detail, err := f.c.CVMs.Get(ctx, cvm.ID)
	if err != nil {
		return fmt.Errorf("wait for cvm %s: %w", cvm.ID, err)
	}
	switch detail.Status {
	case openapi.CVMRunning, openapi.CVMStopped, openapi.CVMExited:
		return nil
	}
	return &BootError{CVM: cvm.ID, Status: openapi.CVMStatus(cloudtext.Clean(string(detail.Status))), Err: client.ErrFailedState}
}

func urls(cvm *openapi.CVMDetail) []string {
	var all []string
	for _, e := range cvm.Endpoints {
		if e.App != "" {
			all = append(all, cloudtext.Clean(e.App))
		}
	}
	return all
}
