package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/openapi"
)

// Wait follows the CVM until it runs and no operation runs on it, verifies it as [Run] does, and returns the app. If
// the CVM does not reach that, the error is a [*BootError]; if the context ends, the CVM continues to boot.
func Wait(ctx context.Context, c *client.Client, st *State, opts ...Option) (*App, error) {
	cfg, err := configure(inRun, opts)
	if err != nil {
		return nil, err
	}
	return (&flow{c: c, cfg: cfg}).boot(ctx, st)
}

// boot ends a deployment.
func (f *flow) boot(ctx context.Context, st *State) (*App, error) {
	if err := st.checkPhase(PhaseCreated, PhaseRunning); err != nil {
		return nil, err
	}
	f.app = st.anchor()
	doc, err := parseDocument(st.Document)
	if err != nil {
		return nil, err
	}
	want := CVM{ID: st.CVM, Name: st.Name, ComposeHash: st.ComposeHash}
	if err := f.waitFor(ctx, want, openapi.CVMRunning); err != nil {
		return nil, err
	}
	cvm, err := f.get(ctx, want)
	if err != nil {
		return nil, fmt.Errorf("cvm %s runs, but: %w", st.CVM, err)
	}
	comparisons := slices.Clone(st.Comparisons)
	if err := f.compareOS(cvm, &comparisons); err != nil {
		return nil, err
	}
	st.Phase = PhaseRunning
	f.cfg.progress(RunningEvent{CVM: cvm})
	if err := f.cfg.checkpoint(st); err != nil {
		return nil, err
	}
	proof, err := f.prove(ctx, subject{cvm: cvm, doc: doc, hash: st.ComposeHash, predicted: st.Predicted, changed: st.Adopted})
	if err != nil {
		return nil, err
	}
	app := f.app
	if proof.document == "" {
		app.Unproven = proof.unproven
		app.CVMs[0].ComposeHash = compose.Hash{}
	} else {
		app.Document, app.ComposeHash = proof.document, compose.Sum([]byte(proof.document))
		app.CVMs[0].ComposeHash = app.ComposeHash
	}
	app.CVMs[0].InstanceID = proof.instance()
	app.learn(proof)
	app.Last = &Result{CVM: cvm, URLs: urls(cvm), Comparisons: append(comparisons, proof.comparisons...), Report: proof.report, Bundle: proof.bundle}
	return app, nil
}

// waitFor waits until a CVM has a status and no operation runs, for as long as a boot may take.
func (f *flow) waitFor(ctx context.Context, cvm CVM, status openapi.CVMStatus) error {
	ctx, cancel := bounded(ctx, f.cfg.bootTimeout, fmt.Sprintf("the wait for cvm %s to be %s", cvm.ID, status))
	defer cancel()
	err := f.c.CVMs.WaitFor(ctx, cvm.ID, status, f.stateProgress())
	return waitError(ctx, cvm, err)
}

// waitError is a [*BootError] if the CVM is in a state of failure; any other error stays what it is.
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

// stateProgress reports each state that differs from the one before.
func (f *flow) stateProgress() client.WaitOption {
	var last StatusEvent
	return client.WithWaitProgress(func(s client.StateEvent) {
		if e := (StatusEvent{Status: openapi.CVMStatus(cloudtext.Clean(string(s.State.Status))), BootProgress: cloudtext.Clean(s.State.BootProgress)}); e != last {
			last = e
			f.cfg.progress(e)
		}
	})
}

// compareOS compares the image of a CVM with what the caller asked for.
func (f *flow) compareOS(cvm *openapi.CVMDetail, comparisons *[]Comparison) error {
	if cvm.OS == nil || cvm.OS.IsDev == nil {
		f.report(comparisons, Comparison{Name: ComparedOS, Outcome: Undecided, Local: f.app.OS.kind(), Reason: "the cloud does not report the image"})
		return nil
	}
	if err := f.app.OS.compare(cvm.OS.Name, cvm.OS.IsDev); err != nil {
		return fmt.Errorf("cvm %s: %w", handle(cvm), err)
	}
	f.app.OS.Name, f.app.OS.Version = cloudtext.Clean(cvm.OS.Name), cloudtext.Clean(cvm.OS.Version)
	f.app.OS.Hash, f.app.OS.Measured = cloudtext.Clean(cvm.OS.OSImageHash), false
	f.report(comparisons, Comparison{Name: ComparedOS, Outcome: Confirmed, Local: f.app.OS.kind(), Remote: cvm.OS.Name, Reason: "as the cloud reports it"})
	return nil
}

// hashLag is how long the cloud may go on showing the compose hash from before an update.
const hashLag = 2 * time.Minute

// hashPause lies between two looks at it.
const hashPause = 5 * time.Second

// settle waits after a change until no operation runs on the CVM and it shows the new compose hash. A CVM that was
// stopped before may be left stopped or running.
func (f *flow) settle(ctx context.Context, want CVM, wasStopped bool) (*openapi.CVMDetail, error) {
	lag := min(hashLag, f.cfg.bootTimeout)
	ctx, cancel := bounded(ctx, f.cfg.bootTimeout+lag, fmt.Sprintf("the wait for cvm %s to run what it was changed to", want.ID))
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
