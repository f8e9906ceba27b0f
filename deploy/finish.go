package deploy

import (
	"context"
	"fmt"
	"slices"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Finish finishes a change from any state: it requests it, makes the chain allow it, commits, waits and verifies,
// each if it is still to be done. With it [Update], [Replicate] and [AddInstance] continue after a crash, from the
// value that [WithPending] saved, and it follows [Commit]. Without [WithChain] it returns p as its error if an
// approval is missing.
func Finish(ctx context.Context, c *client.Client, p *Pending, opts ...Option) (*App, error) {
	f, err := begin(inChange, c, p.App, opts)
	if err != nil {
		return nil, err
	}
	return f.finish(ctx, p)
}

func (f *flow) finish(ctx context.Context, p *Pending) (*App, error) {
	if p.Kind == PendingUpdate {
		return f.finishUpdate(ctx, p)
	}
	return f.finishCreation(ctx, p)
}

// finishUpdate is the whole of an update: the document first, then what is not in it.
func (f *flow) finishUpdate(ctx context.Context, p *Pending) (*App, error) {
	if p.changesDocument() && !p.Committed {
		if !p.Prepared() {
			if err := f.provisionUpdate(ctx, p); err != nil {
				return nil, fmt.Errorf("update %s: %w", p.Approval.Name, explain(err))
			}
		}
		if err := f.approved(ctx, p); err != nil {
			return nil, err
		}
		if err := f.commit(ctx, p); err != nil {
			return nil, err
		}
	}
	after := p.CVM
	after.ComposeHash = p.Approval.ComposeHash
	if p.changesDocument() && p.Settings != nil && !p.SettingsSent {
		if _, err := f.settle(ctx, after, p.WasStopped); err != nil {
			return nil, err
		}
	}
	if sendsSettings := p.Settings != nil || !p.changesDocument(); sendsSettings && !p.SettingsSent {
		if err := f.changeSettings(ctx, p); err != nil {
			return nil, err
		}
	}
	cvm, err := f.settle(ctx, after, p.WasStopped)
	if err != nil {
		return nil, err
	}
	return f.conclude(ctx, p, cvm)
}

// approved has the chain allow a change, unless it does already. Without a chain, p is the error.
func (f *flow) approved(ctx context.Context, p *Pending) error {
	if err := f.cfg.keep(p); err != nil {
		return err
	}
	if !p.NeedsApproval || p.Approval.Transaction != "" {
		return nil
	}
	if f.cfg.chain == nil {
		return p
	}
	if p.Approval.Unpredicted && !f.cfg.hashFromCloud {
		return fmt.Errorf("approve: %w", ErrUnpredictable)
	}
	return f.cfg.approve(ctx, &p.Approval, func() error { return f.cfg.keep(p) })
}

// conclude verifies what runs after a change and returns the anchor from after it.
func (f *flow) conclude(ctx context.Context, p *Pending, cvm *openapi.CVMDetail) (*App, error) {
	app := p.App.clone()
	f.app = app
	if p.Settings != nil && p.Settings.Image != nil {
		app.OS = Image{Name: *p.Settings.Image, Development: app.OS.Development}
	}
	checks := slices.Clone(p.Checks)
	if err := f.compareOS(cvm, &checks); err != nil {
		return nil, err
	}
	shown := &proof{document: p.Approval.Document}
	if cvm.Status != openapi.CVMRunning {
		f.report(&checks, attestation(NotPossible, fmt.Sprintf("the CVM is %.100q; verify it when it runs", cvm.Status)))
		if p.Approval.Unpredicted {
			shown.document, shown.unproven = "", "the platform completed the document, and the CVM does not run yet"
		}
	} else {
		f.cfg.progress(RunningEvent{CVM: cvm})
		doc, err := p.document()
		if err != nil {
			return nil, err
		}
		s := subject{cvm: cvm, doc: doc, hash: p.Approval.ComposeHash, predicted: !p.Approval.Unpredicted, changed: p.Kind == PendingUpdate}
		if shown, err = f.prove(ctx, s); err != nil {
			return nil, err
		}
	}
	f.anchor(p, cvm, shown)
	if p.RetireOld {
		if err := f.retireOld(ctx, p, &checks); err != nil {
			return nil, err
		}
	}
	app.Last = &Result{CVM: cvm, URLs: urls(cvm), Checks: append(checks, shown.checks...), Report: shown.report, Bundle: shown.bundle, Pending: p}
	return app, nil
}

// document is the document after a change, byte for byte what is approved.
func (p *Pending) document() (document, error) {
	doc, err := parseDocument(p.Approval.Document)
	if err == nil && !p.Approval.Unpredicted {
		doc.text, doc.hash = []byte(p.Approval.Document), p.Approval.ComposeHash
	}
	return doc, err
}

// anchor writes what a change came to into the anchor of the flow.
func (f *flow) anchor(p *Pending, cvm *openapi.CVMDetail, proof *proof) {
	app := f.app
	made := CVM{ID: handle(cvm), Name: cloudtext.Clean(cvm.Name), InstanceID: proof.instance()}
	if proof.document != "" {
		made.ComposeHash = compose.Sum([]byte(proof.document))
		if p.Kind == PendingUpdate {
			app.revise(proof.document, made.ComposeHash)
		}
	} else {
		app.Document, app.ComposeHash, app.Unproven = "", compose.Hash{}, proof.unproven
	}
	app.put(made)
	if p.Secrets != nil {
		app.Secrets = p.Secrets
	}
	if p.KMSRoot != (kms.Signer{}) {
		app.KMSRoot, app.RootFromCloud = p.KMSRoot, p.RootFromCloud
	}
	if d := p.Approval.Device; !d.IsZero() && !slices.Contains(app.Devices, d) {
		app.Devices = append(app.Devices, d)
	}
	app.learn(proof)
}

// retireOld takes the hash from before a change off the contract, unless another CVM runs it.
func (f *flow) retireOld(ctx context.Context, p *Pending, checks *[]Check) error {
	old := p.Approval.BeforeHash
	switch {
	case f.cfg.chain == nil:
		return &InputError{Field: "RetireOld", Rule: "it needs WithChain"}
	case old == (compose.Hash{}) || old.Equal(p.Approval.ComposeHash):
		return nil
	case slices.ContainsFunc(f.app.CVMs, func(c CVM) bool { return c.ComposeHash.Equal(old) }):
		f.report(checks, Check{Name: CheckContract, Outcome: NotNeeded, Local: old.String(), Reason: "another CVM of the app still runs the old document, so its hash stays allowed"})
		return nil
	}
	log := journals{all: &p.Retirements, save: func() error { return f.cfg.keep(p) }}
	tx, err := f.cfg.chain.RemoveComposeHash(ctx, p.App.ID, old, log.of("hash"))
	if err != nil {
		return onChainError(fmt.Sprintf("the update runs, but compose hash %s is still allowed", old), err)
	}
	f.cfg.progress(RetiredEvent{ComposeHash: old.String(), Transaction: tx.Hex()})
	return f.cfg.keep(p)
}
