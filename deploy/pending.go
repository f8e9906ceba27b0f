package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// PendingKind is a kind of change.
type PendingKind string

// The kinds of a [Pending].
const (
	PendingUpdate   PendingKind = "update"   // a change of a CVM
	PendingReplica  PendingKind = "replica"  // one more CVM like another one
	PendingInstance PendingKind = "instance" // one more CVM of an app
)

// Pending is a running change. It is plain JSON: one process prepares it, people approve it over days, another process
// commits it. It may contain a commit token and ciphertext, so it needs a private file, see [SaveFile]; formatting it
// shows neither. An approver needs Approval alone, which contains no secret.
//
// It is also the error of a flow that needs an approval and has no [Chain].
type Pending struct {
	Kind PendingKind `json:"kind"`
	// ID distinguishes a replica or instance from others of this process. It is random.
	ID string `json:"id,omitempty"`
	// App is the anchor from before the change.
	App *App `json:"app"`
	// CVM is the CVM that changes, or the origin of a replica; zero for an instance.
	CVM CVM `json:"cvm,omitzero"`
	// WasStopped reports that the CVM did not run before the change.
	WasStopped bool `json:"was_stopped,omitempty"`

	// Approval is the change that the chain must allow. Its document and compose hash are those after the change,
	// with every type of KMS. NeedsApproval reports whether anything must be allowed.
	Approval      Approval `json:"approval"`
	NeedsApproval bool     `json:"needs_approval,omitempty"`

	// Devices are the machines that the caller accepted for this change, in addition to those of App.
	Devices []kms.DeviceID `json:"devices,omitempty"`
	// Device is the machine of the preparation: one that was accepted, or that the contract allowed already.
	Device kms.DeviceID `json:"device,omitzero"`

	// Secrets are the names after the change, sorted; nil if the secrets stay. EncryptedEnv is their ciphertext.
	Secrets      []string       `json:"secrets,omitzero"`
	EncryptedEnv openapi.Secret `json:"encrypted_env,omitempty"`
	// Settings are the other changes of a CVM, in the format of the API, sent after the document.
	Settings     *openapi.UpdateCVMRequest `json:"settings,omitempty"`
	SettingsSent bool                      `json:"settings_sent,omitempty"`
	// Request is the prepared request, as JSON, for preparing it again after it has expired. Its secrets are
	// encrypted.
	Request openapi.Secret `json:"request,omitempty"`
	// Token authorises the commit; empty if the cloud issued none, so that the commit needs an API key.
	Token openapi.Secret `json:"token,omitempty"`

	// Asked reports that the API was requested to create a CVM and has not responded. Siblings are the vm_uuids of
	// the app's CVMs at that time, so that a new one is detected; nil if the client could not list them without an
	// API key.
	Asked    bool     `json:"asked,omitempty"`
	Siblings []string `json:"siblings,omitzero"`
	// Committed reports that the cloud has accepted the change.
	Committed bool `json:"committed,omitempty"`
	// Created is the vm_uuid of the new CVM of a replica or instance. Resolved reports that it was set by
	// [Pending.Resolve].
	Created  string `json:"created,omitempty"`
	Resolved bool   `json:"resolved,omitempty"`

	// RetireOld removes the compose hash from before the change from the contract after the new one runs.
	RetireOld bool `json:"retire_old,omitempty"`
	// Retirements are the transactions of that removal.
	Retirements map[string]json.RawMessage `json:"retirements,omitempty"`

	// KMSRoot signed the key of the secrets, if it was checked. RootFromCloud reports whether it came from the cloud.
	KMSRoot       kms.RootKey `json:"kms_root,omitzero"`
	RootFromCloud bool        `json:"kms_root_from_cloud,omitempty"`
	// Comparisons are those made so far.
	Comparisons []Comparison `json:"comparisons,omitempty"`
}

// MarshalJSON writes the complete change, with its ciphertext and its commit token.
func (p Pending) MarshalJSON() ([]byte, error) {
	type plain Pending
	return openapi.Marshal(plain(p))
}

// LogValue returns the text of [Pending.Error]: the JSON of a change must not be logged.
func (p Pending) LogValue() slog.Value { return slog.StringValue(p.Error()) }

// Error returns the change to approve.
func (p *Pending) Error() string {
	if p.Approval.OnlyDevice {
		return fmt.Sprintf("%s of %s waits for the owner of app %s to allow device %s on chain %d",
			p.Kind, p.Approval.Name, p.Approval.App, p.Approval.Device, p.Approval.ChainID)
	}
	return fmt.Sprintf("%s of %s waits for the owner of app %s to allow compose hash %s on chain %d",
		p.Kind, p.Approval.Name, p.Approval.App, p.Approval.ComposeHash, p.Approval.ChainID)
}

// Prepared reports whether the cloud keeps the change as a preparation, see [Prepare].
func (p *Pending) Prepared() bool { return !p.Approval.Expires.IsZero() }

// Expired reports whether the prepared change has expired, by the local clock.
func (p *Pending) Expired(now time.Time) bool {
	return p.Prepared() && !now.Before(p.Approval.Expires)
}

// Approved records that somebody else has allowed the change of p. After a Safe, or another owner that is a contract,
// has executed a proposal, pass the zero hash: the contract allows it already, and the cloud reads the contract
// itself. It is not documented whether the cloud accepts the transaction in which a Safe executed. Pass a transaction
// if it called the app's contract itself.
func (p *Pending) Approved(transaction common.Hash) {
	p.Approval.Transaction = AlreadyRegistered
	if transaction != (common.Hash{}) {
		p.Approval.Transaction = transaction.Hex()
	}
}

// Resolve sets the CVM that a replica or instance created, by its vm_uuid as found by hand, if the flow ended with an
// [*AmbiguousError]. [Finish] continues from there, and compares and verifies the CVM as if the cloud had returned
// it. An empty name states that none of the CVMs is the one: then Finish requests it again. Another call replaces a
// wrong name.
func (p *Pending) Resolve(cvm string) error {
	switch {
	case p.Kind == PendingUpdate || !p.Asked || p.Committed && !p.Resolved:
		return &InputError{Field: "Pending", Value: string(p.Kind) + " of " + p.Approval.Name, Rule: "there is nothing to resolve"}
	case p.existed(cvm):
		return &InputError{Field: "CVM", Value: cvm, Rule: "it was there before, so name the new one"}
	}
	p.Created, p.Committed, p.Resolved, p.Asked = cvm, cvm != "", cvm != "", cvm != ""
	return nil
}

// existed reports whether a CVM existed before p was requested.
func (p *Pending) existed(cvm string) bool {
	same := func(id string) bool { return uuid.Bare(id) == uuid.Bare(cvm) }
	return slices.ContainsFunc(p.Siblings, same) || slices.ContainsFunc(p.App.CVMs, func(c CVM) bool { return same(c.ID) })
}

// ParsePending parses a [Pending] in JSON.
func ParsePending(data []byte) (*Pending, error) {
	var p Pending
	if err := strictjson.Unmarshal(data, &p); err != nil {
		return nil, &InputError{Field: "pending change", Rule: "it must be what SaveFile wrote", Err: err}
	}
	switch p.Kind {
	case PendingUpdate, PendingReplica:
		if p.CVM.ID == "" {
			return nil, &InputError{Field: "pending " + string(p.Kind), Rule: "without a cvm"}
		}
	case PendingInstance:
	default:
		return nil, &InputError{Field: "pending change", Rule: fmt.Sprintf("unknown kind %.100q", p.Kind)}
	}
	if err := p.App.check(); err != nil {
		return nil, fmt.Errorf("pending %s: %w", p.Kind, err)
	}
	if err := p.Approval.Check(); err != nil {
		return nil, fmt.Errorf("pending %s: %w", p.Kind, err)
	}
	if p.Approval.App != p.App.ID {
		return nil, fmt.Errorf("pending %s: %w", p.Kind, &MismatchError{What: ComparedAppID, Local: p.App.ID.String(), Remote: p.Approval.App.String()})
	}
	return &p, nil
}

// Finish does the remaining steps of a change: request, approval, commit, wait and verification. It follows [Commit], and
// it continues [Update], [Replicate] and [AddInstance] after a crash, from the value that [WithPending] saved. Without
// [WithChain] it returns p as its error if an approval is missing.
func Finish(ctx context.Context, c *client.Client, p *Pending, opts ...Option) (*App, error) {
	f, err := anchoredFlow(inChange, c, p.App, opts)
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

// finishUpdate changes the document first, then the settings.
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

// approved makes the chain allow a change. Without a chain, p is the error.
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

// conclude verifies the CVM after a change, and returns the new anchor.
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
	proof := &proof{document: p.Approval.Document}
	if cvm.Status != openapi.CVMRunning {
		reason := fmt.Sprintf("the CVM is %.100q; start it and verify it with Finish", cvm.Status)
		if f.cfg.strict {
			return nil, &VerificationError{CVM: handle(cvm), Err: fmt.Errorf("%w: %s", attest.ErrNotPossible, reason)}
		}
		f.report(&comparisons, attestation(Undecided, reason))
		if p.Approval.Unpredicted {
			proof.document, proof.unproven = "", "the platform completed the document, and the CVM does not run yet"
		}
	} else {
		f.cfg.progress(RunningEvent{CVM: cvm})
		doc, err := p.document()
		if err != nil {
			return nil, err
		}
		s := subject{cvm: cvm, doc: doc, hash: p.Approval.ComposeHash, predicted: !p.Approval.Unpredicted, changed: p.Kind == PendingUpdate}
		if proof, err = f.prove(ctx, s); err != nil {
			return nil, err
		}
	}
	f.updateAnchor(p, cvm, proof)
	if p.RetireOld {
		if err := f.retireOld(ctx, p, cvm.Status == openapi.CVMRunning && proof.document != "", &comparisons); err != nil {
			return nil, err
		}
	}
	app.Last = proof.result(cvm, comparisons)
	app.Last.Pending = p
	return app, nil
}

// document returns the document after a change, byte for byte as it is approved.
func (p *Pending) document() (document, error) {
	doc, err := parseDocument(p.Approval.Document)
	if err == nil && !p.Approval.Unpredicted {
		doc.text, doc.hash = []byte(p.Approval.Document), p.Approval.ComposeHash
	}
	return doc, err
}

// updateAnchor writes the result of a change into the anchor of the flow.
func (f *flow) updateAnchor(p *Pending, cvm *openapi.CVMDetail, proof *proof) {
	app := f.app
	changed := CVM{ID: handle(cvm), Name: cloudtext.Clean(cvm.Name), InstanceID: proof.instance()}
	if proof.document != "" {
		changed.ComposeHash = compose.Sum([]byte(proof.document))
		if p.Kind == PendingUpdate {
			app.revise(proof.document, changed.ComposeHash)
		}
	} else {
		app.Document, app.ComposeHash, app.Unproven = "", compose.Hash{}, proof.unproven
	}
	app.put(changed)
	if p.Secrets != nil {
		app.Secrets = p.Secrets
	}
	if p.KMSRoot != (kms.RootKey{}) {
		app.KMSRoot, app.RootFromCloud = p.KMSRoot, p.RootFromCloud
	}
	if d := p.Approval.Device; !d.IsZero() && !slices.Contains(app.Devices, d) {
		app.Devices = append(app.Devices, d)
	}
	app.keepMeasured(proof)
}

// retireOld removes the previous compose hash from the contract, if no CVM needs it any more.
func (f *flow) retireOld(ctx context.Context, p *Pending, runs bool, comparisons *[]Comparison) error {
	old := p.Approval.BeforeHash
	switch {
	case f.cfg.chain == nil:
		return &InputError{Field: "RetireOld", Rule: "it needs WithChain"}
	case old == (compose.Hash{}) || old.Equal(p.Approval.ComposeHash):
		return nil
	case !runs:
		f.report(comparisons, Comparison{Name: ComparedContract, Outcome: Undecided, Local: old.String(), Reason: "the CVM is not known to run the new document yet, so the old hash stays allowed; remove it with Retire"})
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
	f.cfg.progress(RetiredEvent{ComposeHash: old.String(), Transaction: txText(tx)})
	return f.cfg.keep(p)
}
