package deploy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Commit commits a prepared and approved change. Its commit token is sufficient: c may be a client without an API
// key. An expired change is prepared again first, which needs a key; the compose hash must be the same, otherwise the
// error is a [*MismatchError].
//
// Commit returns when the cloud has accepted the change; [Finish] follows it from there. A commit whose response was
// lost may be repeated.
func Commit(ctx context.Context, c *client.Client, p *Pending, opts ...Option) error {
	cfg, err := configure(inCommit, opts)
	if err != nil {
		return err
	}
	return (&flow{c: c, cfg: cfg, app: p.App}).commit(ctx, p)
}

// commit sends a change that is approved.
func (f *flow) commit(ctx context.Context, p *Pending) error {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Approval.Name)
	switch {
	case p.Committed:
		return nil
	case p.NeedsApproval && p.Approval.Transaction == "":
		return fmt.Errorf("commit %s: %w", what, ErrNotApproved)
	case p.Kind != PendingUpdate && p.Token == "":
		return &InputError{Field: "commit " + what, Rule: "it has no commit token; finish it with Finish and an API key"}
	}
	if p.Expired(time.Now()) {
		if err := f.renew(ctx, p); err != nil {
			return fmt.Errorf("commit %s: %w", what, err)
		}
		if err := f.cfg.keep(p); err != nil {
			return err
		}
		if p.Approval.Transaction == "" {
			return fmt.Errorf("commit %s: prepared anew for device %s: %w", what, p.Approval.Device, ErrNotApproved)
		}
	}
	send := func() error { return f.orUpdated(ctx, p, f.commitUpdate(ctx, p)) }
	switch p.Kind {
	case PendingReplica:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitReplica(ctx, p) }) }
	case PendingInstance:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitInstance(ctx, p) }) }
	}
	if err := untilSeen(ctx, send); err != nil {
		return fmt.Errorf("commit %s: %w", what, explain(err))
	}
	p.Committed = true
	return f.cfg.keep(p)
}

// commitUpdate commits what was prepared: by the token, or if there is none by the headers and the API key.
func (f *flow) commitUpdate(ctx context.Context, p *Pending) error {
	hash, transaction := openapi.Ptr(p.Approval.ComposeHash.String()), openapi.Ptr(p.Approval.Transaction)
	if !p.Prepared() {
		return f.commitDocument(ctx, p)
	}
	if p.Token != "" {
		_, err := f.c.CVMs.CommitUpdate(ctx, p.CVM.ID, &openapi.CommitUpdateRequest{
			Token: &p.Token, ComposeHash: hash, TransactionHash: transaction,
		}, nil, client.WithConflictWait(conflictWait))
		return err
	}
	_, err := f.c.CVMs.Update(ctx, p.CVM.ID, openapi.UpdateCVMRequest{},
		&openapi.CVMsUpdateParams{ComposeHash: hash, TransactionHash: transaction}, client.WithConflictWait(conflictWait))
	return err
}

// orUpdated forgives a refusal of what was prepared if the CVM shows it already: the commit before had
// worked, and its answer was lost. If the CVM cannot be read, that is the error: a refusal would advise to prepare it
// anew, which a change that was committed does not survive. Without an API key nobody can tell. What it runs is verified
// afterwards.
func (f *flow) orUpdated(ctx context.Context, p *Pending, err error) error {
	if !errors.Is(err, client.ErrHashInvalidOrExpired) {
		return err
	}
	cvm, getErr := f.c.CVMs.Get(ctx, p.CVM.ID)
	switch {
	case errors.Is(getErr, client.ErrNoAPIKey):
		return err
	case getErr != nil:
		return fmt.Errorf("whether the commit before has worked: %w", getErr)
	}
	if hash, parseErr := compose.ParseHash(cvm.ComposeHash); parseErr == nil && hash == p.Approval.ComposeHash {
		return nil
	}
	return err
}

// renew prepares an expired change anew. The compose hash must come out the same, so that what was allowed
// on chain stays allowed. If the cloud chooses another device, that is yet to be allowed.
func (f *flow) renew(ctx context.Context, p *Pending) error {
	var fresh *preparation
	var err error
	switch p.Kind {
	case PendingUpdate:
		var request openapi.UpdateCVMRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = f.prepareUpdate(ctx, p, request)
		}
	case PendingReplica:
		var request openapi.ReplicateRequest
		if err = json.Unmarshal([]byte(p.Request), &request); err == nil {
			fresh, err = f.prepareReplica(ctx, p, request)
		}
	default:
		err = &InputError{Field: "instance", Rule: "it is prepared by asking for it again"}
	}
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrExpired, p.Approval.Expires.Format(time.RFC3339), err)
	}
	device := p.Approval.Device
	if err := f.takePreparation(ctx, p, fresh); err != nil {
		return err
	}
	if p.Approval.Device != device {
		p.Approval.Transaction, p.Approval.Transactions = "", nil
	}
	return nil
}

// seeingPauses are how long to wait for the cloud's node to see a transaction that has just been mined; it
// lags behind by a few blocks.
func seeingPauses() []time.Duration {
	return []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second}
}

// untilSeen repeats send for as long as the cloud may just not see the transaction yet.
func untilSeen(ctx context.Context, send func() error) error {
	for _, wait := range seeingPauses() {
		err := send()
		if !errors.Is(err, client.ErrTxVerificationFailed) {
			return err
		}
		if pauseErr := pause.For(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w while waiting for the cloud to see the transaction: %w", pauseErr, err)
		}
	}
	return send()
}

// explain adds what to do about the refusals that belong to a chain.
func explain(err error) error {
	var refused *client.APIError
	switch {
	case errors.As(err, &refused) && refused.Code == client.CodeDuplicateCVMName:
		return fmt.Errorf("%w: if another run of this spec created it, call Run without this state, which takes the CVM over", err)
	case errors.Is(err, client.ErrHashInvalidOrExpired):
		return fmt.Errorf("%w: what was prepared has expired (14 days), was superseded by a newer preparation, or the app has changed since; prepare it again", err)
	case errors.Is(err, client.ErrTxVerificationFailed):
		return fmt.Errorf("%w: the cloud's node does not see the transaction, or sees it fail; look at its receipt and try the commit again", err)
	case errors.Is(err, client.ErrHashNotAllowed):
		return fmt.Errorf("%w: the contract of the app does not allow this compose hash on this device; allow both and commit again", err)
	}
	return err
}

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
	comparisons := slices.Clone(p.Comparisons)
	if err := f.compareOS(cvm, &comparisons); err != nil {
		return nil, err
	}
	shown := &proof{document: p.Approval.Document}
	if cvm.Status != openapi.CVMRunning {
		f.report(&comparisons, attestation(Undecided, fmt.Sprintf("the CVM is %.100q; verify it when it runs", cvm.Status)))
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
		if err := f.retireOld(ctx, p, &comparisons); err != nil {
			return nil, err
		}
	}
	app.Last = &Result{CVM: cvm, URLs: urls(cvm), Comparisons: append(comparisons, shown.comparisons...), Report: shown.report, Bundle: shown.bundle, Pending: p}
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
	if p.KMSRoot != (kms.RootKey{}) {
		app.KMSRoot, app.RootFromCloud = p.KMSRoot, p.RootFromCloud
	}
	if d := p.Approval.Device; !d.IsZero() && !slices.Contains(app.Devices, d) {
		app.Devices = append(app.Devices, d)
	}
	app.learn(proof)
}

// retireOld takes the hash from before a change off the contract, unless another CVM runs it.
func (f *flow) retireOld(ctx context.Context, p *Pending, comparisons *[]Comparison) error {
	old := p.Approval.BeforeHash
	switch {
	case f.cfg.chain == nil:
		return &InputError{Field: "RetireOld", Rule: "it needs WithChain"}
	case old == (compose.Hash{}) || old.Equal(p.Approval.ComposeHash):
		return nil
	case slices.ContainsFunc(f.app.CVMs, func(c CVM) bool { return c.ComposeHash.Equal(old) }):
		f.report(comparisons, Comparison{Name: ComparedContract, Outcome: NotNeeded, Local: old.String(), Reason: "another CVM of the app still runs the old document, so its hash stays allowed"})
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
