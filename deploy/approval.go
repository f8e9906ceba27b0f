package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// Approval is the change that the owner of an app's contract must allow. It is plain JSON without any secret. It contains
// the whole document, so that the approver can read it, see the differences, and compute the compose hash again.
// [Approve] makes the change; a multisig proposes the same calls.
type Approval struct {
	// Kind is the kind of change, and Name the CVM or app.
	Kind PendingKind `json:"kind"`
	Name string      `json:"name,omitempty"`

	// App is the app id, which is the address of its contract. ChainID and KMSContract are the chain and the KMS.
	App         kms.AppID      `json:"app_id"`
	ChainID     uint64         `json:"chain_id"`
	KMSContract common.Address `json:"kms_contract"`

	// ComposeHash is the hash to allow, unless OnlyDevice: then it is allowed already. It is the hash of Document,
	// unless Unpredicted: then the platform completes the document, and the hash is the cloud's.
	ComposeHash compose.Hash `json:"compose_hash"`
	OnlyDevice  bool         `json:"only_device,omitempty"`
	Unpredicted bool         `json:"unpredicted,omitempty"`
	// Document is the exact text of the new app-compose.
	Document string `json:"document"`
	// Before is the present text, and BeforeHash its hash; empty and zero if it is unknown.
	Before     string       `json:"before,omitempty"`
	BeforeHash compose.Hash `json:"before_hash,omitzero"`
	// Device is the machine to allow; zero if none is to be allowed.
	Device kms.DeviceID `json:"device,omitzero"`

	// Transaction is the transaction that allowed the change, or [AlreadyRegistered]; empty before that.
	Transaction string `json:"transaction,omitempty"`
	// Transactions are the sent and prepared transactions, by their purpose.
	Transactions map[string]json.RawMessage `json:"transactions,omitempty"`
	// Expires is the time at which the prepared change expires; zero if it does not.
	Expires time.Time `json:"expires,omitzero"`
}

// ParseApproval parses an [Approval] in JSON, and checks it as [Approval.Check] does.
func ParseApproval(data []byte) (*Approval, error) {
	var a Approval
	if err := strictjson.Unmarshal(data, &a); err != nil {
		return nil, &InputError{Field: "approval", Rule: "it must be what SaveFile wrote", Err: err}
	}
	return &a, a.Check()
}

// Check returns an error if a compose hash is not that of its document.
func (a *Approval) Check() error {
	switch {
	case a.App.IsZero():
		return &InputError{Field: "approval", Rule: "it has no app id"}
	case a.ComposeHash == (compose.Hash{}):
		return &InputError{Field: "approval", Rule: "it has no compose hash"}
	}
	if !a.Unpredicted {
		if sum := compose.Sum([]byte(a.Document)); !sum.Equal(a.ComposeHash) {
			return fmt.Errorf("approval: %w", &MismatchError{What: ComparedComposeHash, Local: sum.String(), Remote: a.ComposeHash.String()})
		}
	}
	if a.Before != "" {
		if sum := compose.Sum([]byte(a.Before)); !sum.Equal(a.BeforeHash) {
			return fmt.Errorf("approval: the document before: %w", &MismatchError{What: ComparedComposeHash, Local: sum.String(), Remote: a.BeforeHash.String()})
		}
	}
	return nil
}

// Diff returns the difference from the document before, as a unified diff of the members, text by line; empty if they
// are equal. Without a document before, all of the document is new.
func (a *Approval) Diff() (string, error) {
	before, err := readable(a.Before)
	if err != nil {
		return "", &InputError{Field: "Approval.Before", Err: err}
	}
	after, err := readable(a.Document)
	if err != nil {
		return "", &InputError{Field: "Approval.Document", Err: err}
	}
	return udiff.Unified(a.BeforeHash.String(), a.ComposeHash.String(), before, after), nil
}

// readable returns a document as text to read: each member is a paragraph, and control characters are escaped.
func readable(document string) (string, error) {
	if document == "" {
		return "", nil
	}
	canonical, err := compose.Canonicalize([]byte(document))
	if err != nil {
		return "", err
	}
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	if _, err := decoder.Token(); err != nil {
		return "", err
	}
	var b strings.Builder
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return "", err
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return "", err
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		fmt.Fprintf(&b, "%s:\n", cloudtext.Escape(fmt.Sprint(name)))
		for line := range strings.Lines(text) {
			fmt.Fprintf(&b, "  %s\n", cloudtext.Escape(strings.TrimSuffix(line, "\n")))
		}
	}
	return b.String(), nil
}

// Prepare prepares an update of a CVM whose KMS is on a chain, and does not change the CVM. The owner of the app's
// contract must allow the Approval of the result: pass it to [Approve], or to the multisig that owns the contract,
// and finally pass the whole [Pending] to [Commit]. The secrets of the change are encrypted locally and bound to it.
//
// A prepared update can change only what the API can prepare: the docker-compose file, the pre-launch script,
// allowed_envs, and what is public. A newer preparation for the same CVM supersedes the older one.
//
// Nothing boots yet, so that the options of the boot and of the verification are for [Finish], which follows [Commit]:
// here [WithVerification], [SkipVerification], [WithBootTimeout] and [AcceptPreLaunchScripts] are an error.
func Prepare(ctx context.Context, c *client.Client, app *App, spec UpdateSpec, opts ...Option) (*Pending, error) {
	f, err := anchoredFlow(inPrepare, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, doc, err := f.planUpdate(ctx, spec)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	if !p.changesDocument() {
		return nil, &InputError{Field: "prepare " + p.Approval.Name, Rule: "the document does not change, so that there is nothing to approve; use Update"}
	}
	request, err := f.preparable(p, doc)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	prepared, err := f.prepareUpdate(ctx, p, request)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	if err := f.takePreparation(ctx, p, prepared); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", p.Approval.Name, err)
	}
	return p, f.cfg.keep(p)
}

// preparable returns the change as one request, with the settings. It returns an error if the API cannot express it.
func (f *flow) preparable(p *Pending, doc document) (openapi.UpdateCVMRequest, error) {
	var request openapi.UpdateCVMRequest
	if p.Settings != nil {
		request, p.Settings = *p.Settings, nil
	}
	base, err := parseDocument(p.Approval.Before)
	if err != nil {
		return request, fmt.Errorf("the document before: %w", err)
	}
	rest := *base.app
	rest.DockerComposeFile, request.DockerComposeFile = changed(base.app.DockerComposeFile, doc.app.DockerComposeFile)
	rest.PreLaunchScript, request.PreLaunchScript = changed(base.app.PreLaunchScript, doc.app.PreLaunchScript)
	rest.PublicLogs, request.PublicLogs = changed(base.app.PublicLogs, doc.app.PublicLogs)
	rest.PublicSysInfo, request.PublicSysInfo = changed(base.app.PublicSysInfo, doc.app.PublicSysInfo)
	rest.PublicTCBInfo, request.PublicTCBInfo = changed(base.app.PublicTCBInfo, doc.app.PublicTCBInfo)
	if fmt.Sprint(base.app.AllowedEnvs) != fmt.Sprint(doc.app.AllowedEnvs) {
		rest.AllowedEnvs = append([]string{}, doc.app.AllowedEnvs...)
		request.AllowedEnvs = rest.AllowedEnvs
	}
	reached, err := newDocument(&rest)
	if err != nil {
		return request, err
	}
	if !reached.hash.Equal(doc.hash) {
		return request, &InputError{Field: "UpdateSpec", Rule: "the API can prepare only another docker-compose file, pre-launch script, allowed_envs and what is public; the document changes more than that, so use Update"}
	}
	if p.Secrets != nil {
		request.EncryptedEnv = &p.EncryptedEnv
	}
	return request, nil
}

// changed returns the value of a member after a request for it, and the value in the request, which cannot remove a
// member.
func changed[T comparable](before, after *T) (reached, request *T) {
	if after == nil || equal(before, after) {
		return before, nil
	}
	return after, after
}

// preparation is a change that the cloud keeps until it is committed or expires.
type preparation struct {
	hash    compose.Hash
	app     string
	device  kms.DeviceID
	kms     *openapi.KMS
	token   openapi.Secret
	expires time.Time
	request openapi.Secret
}

// prepareUpdate prepares an update. The response is an error of status 465, which contains the preparation.
func (f *flow) prepareUpdate(ctx context.Context, p *Pending, request openapi.UpdateCVMRequest) (*preparation, error) {
	accepted, err := f.c.CVMs.Update(ctx, p.CVM.ID, request, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)},
		client.WithConflictWait(conflictWait))
	if err == nil {
		return nil, mismatch(ComparedChain, "a change that waits for the chain", "taken at once: "+string(accepted.Status))
	}
	return preparationOf(err, request)
}

// preparationOf returns the preparation in an error of status 465, and any other error as it is.
func preparationOf(err error, request any) (*preparation, error) {
	var required *client.HashRegistrationRequired
	if !errors.As(err, &required) {
		return nil, err
	}
	p := &preparation{app: required.AppID, kms: required.KMSInfo, token: required.CommitToken, expires: time.Now().Add(preparedFor).UTC().Truncate(time.Second)}
	var parseErr error
	if p.hash, parseErr = compose.ParseHash(required.ComposeHash); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedComposeHash, "that of the change", required.ComposeHash), err)
	}
	if p.device, parseErr = parseDevice(required.DeviceID); parseErr != nil {
		return nil, errors.Join(parseErr, err)
	}
	data, parseErr := openapi.Marshal(request)
	if parseErr != nil {
		return nil, parseErr
	}
	p.request = openapi.Secret(data)
	return p, nil
}

// takePreparation compares a preparation with the change, and keeps its token.
func (f *flow) takePreparation(ctx context.Context, p *Pending, prepared *preparation) error {
	if err := checkAppID(p.App.ID, prepared.app); err != nil {
		return err
	}
	if err := p.App.compareKMS(prepared.kms); err != nil {
		return err
	}
	if err := f.acceptPendingHash(p, prepared.hash); err != nil {
		return err
	}
	if p.Device.IsZero() || p.Device != prepared.device {
		if err := f.acceptPendingDevice(ctx, p, prepared.device); err != nil {
			return err
		}
	}
	p.NeedsApproval, p.Device = true, prepared.device
	p.Token, p.Approval.Expires, p.Request = prepared.token, prepared.expires, prepared.request
	return nil
}

// acceptPendingHash compares the compose hash of a change in the cloud with the local one. It keeps the cloud's if there
// is no local one, once: the owner approves that one.
func (f *flow) acceptPendingHash(p *Pending, remote compose.Hash) error {
	if !p.Approval.Unpredicted || p.Prepared() || p.Approval.Transaction != "" {
		comparison, err := compare(ComparedComposeHash, p.Approval.ComposeHash.String(), remote.String())
		if err != nil {
			return err
		}
		f.report(&p.Comparisons, comparison)
		return nil
	}
	comparison := Comparison{Name: ComparedComposeHash, Outcome: Undecided, Remote: remote.String(), Reason: "the platform completes the document; the booted document is compared later"}
	if p.App.onChain() {
		if !f.cfg.hashFromCloud {
			return fmt.Errorf("%w: give the document a pre-launch script of its own", ErrUnpredictable)
		}
		comparison.Outcome, comparison.Reason = Waived, "TrustComposeHashFromCloud"
	}
	p.Approval.ComposeHash = remote
	f.report(&p.Comparisons, comparison)
	return nil
}

// acceptPendingDevice keeps the machine that the contract must allow, if the caller accepts it. A machine that the
// contract allows already needs no approval.
func (f *flow) acceptPendingDevice(ctx context.Context, p *Pending, device kms.DeviceID) error {
	p.Approval.Device = kms.DeviceID{}
	allowed := p.App.AnyDevice
	if f.cfg.chain != nil && !allowed && !device.IsZero() {
		a, err := f.cfg.chain.Allowance(ctx, p.App.ID, p.Approval.ComposeHash, device)
		if err != nil {
			return onChainError("contract of app "+p.App.ID.String(), err)
		}
		allowed = a.Device || a.AnyDevice
	}
	if allowed {
		f.report(&p.Comparisons, Comparison{Name: ComparedDevice, Outcome: NotNeeded, Remote: device.String(), Reason: "the contract allows the machine already"})
		return nil
	}
	comparison, err := f.cfg.acceptDevice(device, slices.Concat(p.App.Devices, p.Devices))
	if err != nil {
		return err
	}
	p.Approval.Device = device
	f.report(&p.Comparisons, comparison)
	return nil
}

// preparedFor is the time for which the cloud keeps a prepared change and its commit token.
const preparedFor = 14 * 24 * time.Hour

// Approve makes the contract allow the change of a, with the account of chain, which must own the app's contract. It
// sends only what the contract does not allow yet, and needs no access to the cloud. With [WithApproval] a is saved
// before each transaction, so that a run after a crash sends nothing twice. Afterwards a.Transaction is the argument
// of [Pending.Approved].
//
// It returns a [*MismatchError] if the compose hash is not that of the document, and [ErrNotAllowed] if the contract does
// not allow the document before the change, because Diff could be misleading then.
//
// An owner that is a contract itself, such as a Safe, approves with a proposal instead; see [Pending.Approved].
func Approve(ctx context.Context, chain Chain, a *Approval, opts ...Option) error {
	cfg, err := configure(inApprove, opts)
	if err != nil {
		return err
	}
	if chain == nil {
		return &InputError{Field: "approve", Rule: "a chain is required"}
	}
	if a.Unpredicted && !cfg.hashFromCloud {
		return fmt.Errorf("approve: %w", ErrUnpredictable)
	}
	cfg.chain = chain
	return cfg.approve(ctx, a, func() error { return cfg.keepApproval(a) })
}

func (c *config) approve(ctx context.Context, a *Approval, save func() error) error {
	if a.Transaction != "" {
		return nil
	}
	if err := a.Check(); err != nil {
		return err
	}
	if err := compareChain(c.chain, a.ChainID, a.KMSContract); err != nil {
		return err
	}
	if a.OnlyDevice {
		if err := mustAllow(ctx, c.chain, a.App, a.ComposeHash); err != nil {
			return err
		}
	}
	if a.BeforeHash != (compose.Hash{}) && !a.OnlyDevice {
		if err := mustAllow(ctx, c.chain, a.App, a.BeforeHash); err != nil {
			return fmt.Errorf("the document before: %w", err)
		}
	}
	transaction, err := allow(ctx, c.chain, a, journals{all: &a.Transactions, save: save})
	if err != nil {
		return err
	}
	a.Transaction = transaction
	c.progress(RegisteredEvent{AppID: a.App.String(), ChainID: c.chain.ChainID(), Transaction: transaction})
	return save()
}

// Commit commits a prepared and approved change. Its commit token is sufficient: c may be a client without an API
// key. An expired change is prepared again first, which needs a key; the compose hash must be the same, otherwise the
// error is a [*MismatchError].
//
// Commit returns after the cloud has accepted the change; [Finish] waits for it and verifies it. A commit whose response
// was lost may be repeated.
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
	send := func() error { return f.ignoreRepeated(ctx, p, f.commitUpdate(ctx, p)) }
	switch p.Kind {
	case PendingReplica:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitReplica(ctx, p) }) }
	case PendingInstance:
		send = func() error { return f.createOnce(ctx, p, func() error { return f.commitInstance(ctx, p) }) }
	}
	if err := untilMined(ctx, send); err != nil {
		return fmt.Errorf("commit %s: %w", what, explain(err))
	}
	p.Committed = true
	return f.cfg.keep(p)
}

// commitUpdate commits an update: by its token, or if it has none by the headers and the API key.
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

// ignoreRepeated ignores the error of a commit if the CVM has the change already: an earlier commit worked, and its
// response was lost. If the CVM cannot be read, that is the error, because the advice to prepare the change again would
// undo a change that was committed. The CVM is verified later.
func (f *flow) ignoreRepeated(ctx context.Context, p *Pending, err error) error {
	if !errors.Is(err, client.ErrHashInvalidOrExpired) {
		return err
	}
	cvm, getErr := f.c.CVMs.Get(ctx, p.CVM.ID)
	switch {
	case errors.Is(getErr, client.ErrNoAPIKey):
		return err
	case getErr != nil:
		return fmt.Errorf("reading whether an earlier commit worked: %w", getErr)
	}
	if hash, parseErr := compose.ParseHash(cvm.ComposeHash); parseErr == nil && hash == p.Approval.ComposeHash {
		return nil
	}
	return err
}

// renew prepares an expired change again. The compose hash must be the same, so that the approval stays valid. If the
// cloud chooses another device, that one must be allowed first.
func (f *flow) renew(ctx context.Context, p *Pending) error {
	var renewed *preparation
	var err error
	switch p.Kind {
	case PendingUpdate:
		var request openapi.UpdateCVMRequest
		if err = p.request(&request); err == nil {
			renewed, err = f.prepareUpdate(ctx, p, request)
		}
	case PendingReplica:
		renewed, err = f.prepareReplica(ctx, p)
	default:
		err = &InputError{Field: "instance", Rule: "only AddInstance can prepare it"}
	}
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrExpired, p.Approval.Expires.Format(time.RFC3339), err)
	}
	device := p.Approval.Device
	if err := f.takePreparation(ctx, p, renewed); err != nil {
		return err
	}
	if p.Approval.Device != device {
		p.Approval.Transaction, p.Approval.Transactions = "", nil
	}
	return nil
}

// untilMined repeats send while the cloud's node, which may be a few blocks late, does not have the transaction.
func untilMined(ctx context.Context, send func() error) error {
	for _, wait := range []time.Duration{2 * time.Second, 3 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second} {
		err := send()
		if !errors.Is(err, client.ErrTxVerificationFailed) {
			return err
		}
		if pauseErr := pause.For(ctx, wait); pauseErr != nil {
			return fmt.Errorf("%w while waiting for the transaction to reach the cloud's node: %w", pauseErr, err)
		}
	}
	return send()
}

// explain adds the remedy to an error of the API.
func explain(err error) error {
	var refused *client.APIError
	switch {
	case errors.As(err, &refused) && refused.Code == client.CodeDuplicateCVMName:
		return fmt.Errorf("%w: if another run of this spec created the CVM, call Run without this state", err)
	case errors.Is(err, client.ErrHashInvalidOrExpired):
		return fmt.Errorf("%w: the preparation has expired (14 days), was superseded by a newer preparation, or the app has changed since; prepare it again", err)
	case errors.Is(err, client.ErrTxVerificationFailed):
		return fmt.Errorf("%w: the cloud's node does not have the transaction, or it failed; look at its receipt and try the commit again", err)
	case errors.Is(err, client.ErrHashNotAllowed):
		return fmt.Errorf("%w: the contract of the app does not allow this compose hash on this device; allow both and commit again", err)
	}
	return err
}
