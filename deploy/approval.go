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

// Approval is the change that the owner of an app's contract must allow. It is plain JSON without any secret, for
// passing on: it contains the whole document, so that the approver can read it, see the differences, and compute the
// compose hash again. [Approve] makes the change; a multisig proposes the same calls.
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
		return nil, &InputError{Field: "approval", Rule: "want what SaveFile wrote", Err: err}
	}
	return &a, a.Check()
}

// Check returns an error if the compose hash does not follow from the document, or the one before from the document
// before.
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

// readable writes a document for people: a member a paragraph, texts as they are, but for what steers a terminal.
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
func Prepare(ctx context.Context, c *client.Client, app *App, spec UpdateSpec, opts ...Option) (*Pending, error) {
	f, err := begin(inPrepare, c, app, opts)
	if err != nil {
		return nil, err
	}
	p, doc, err := f.planUpdate(ctx, spec)
	if err != nil {
		return nil, err
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

// preparable is the change as one request, with the settings; an error if the API cannot express it so.
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
	if after := doc.app.DockerComposeFile; !equal(base.app.DockerComposeFile, after) {
		request.DockerComposeFile, rest.DockerComposeFile = after, after
	}
	if after := doc.app.PreLaunchScript; !equal(base.app.PreLaunchScript, after) {
		request.PreLaunchScript, rest.PreLaunchScript = after, after
	}
	if after := doc.app.PublicLogs; !equal(base.app.PublicLogs, after) {
		request.PublicLogs, rest.PublicLogs = after, after
	}
	if after := doc.app.PublicSysInfo; !equal(base.app.PublicSysInfo, after) {
		request.PublicSysInfo, rest.PublicSysInfo = after, after
	}
	if after := doc.app.PublicTCBInfo; !equal(base.app.PublicTCBInfo, after) {
		request.PublicTCBInfo, rest.PublicTCBInfo = after, after
	}
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

// preparation is what the cloud holds under a token until it is committed.
type preparation struct {
	hash    compose.Hash
	app     kms.AppID
	device  kms.DeviceID
	chain   uint64
	kms     common.Address
	token   openapi.Secret
	expires time.Time
	request openapi.Secret
}

// prepareUpdate asks for a preparation, which the cloud answers as a refusal that carries all that is needed.
func (f *flow) prepareUpdate(ctx context.Context, p *Pending, request openapi.UpdateCVMRequest) (*preparation, error) {
	accepted, err := f.c.CVMs.Update(ctx, p.CVM.ID, request, &openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)},
		client.WithConflictWait(conflictWait))
	if err == nil {
		return nil, mismatch(ComparedChain, "a change that waits for the chain", "taken at once: "+string(accepted.Status))
	}
	return preparationOf(err, request)
}

// preparationOf reads what a 465 asks for; any other error stays.
func preparationOf(err error, request any) (*preparation, error) {
	var required *client.HashRegistrationRequired
	if !errors.As(err, &required) {
		return nil, err
	}
	p := &preparation{token: required.CommitToken, expires: time.Now().Add(preparedFor).UTC().Truncate(time.Second)}
	var parseErr error
	if p.hash, parseErr = compose.ParseHash(required.ComposeHash); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedComposeHash, "that of the change", required.ComposeHash), err)
	}
	if p.app, parseErr = kms.ParseAppID(required.AppID); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedAppID, "that of the change", required.AppID), err)
	}
	if p.device, parseErr = parseDevice(required.DeviceID); parseErr != nil {
		return nil, errors.Join(mismatch(ComparedDevice, "64 hexadecimal digits", required.DeviceID), err)
	}
	p.chain, p.kms = chainOf(required.KMSInfo)
	data, parseErr := openapi.Marshal(request)
	if parseErr != nil {
		return nil, parseErr
	}
	p.request = openapi.Secret(data)
	return p, nil
}

// takePreparation compares what the cloud prepared with what was asked for, and keeps the token.
func (f *flow) takePreparation(ctx context.Context, p *Pending, prepared *preparation) error {
	if _, err := compare(ComparedAppID, p.App.ID.String(), prepared.app.String()); err != nil {
		return err
	}
	if err := p.App.compareKMS(prepared.chain, prepared.kms); err != nil {
		return err
	}
	if err := f.compareApproved(p, prepared.hash); err != nil {
		return err
	}
	if p.Device.IsZero() || p.Device != prepared.device {
		if err := f.acceptPending(ctx, p, prepared.device); err != nil {
			return err
		}
	}
	p.NeedsApproval, p.Device = true, prepared.device
	p.Token, p.Approval.Expires, p.Request = prepared.token, prepared.expires, prepared.request
	return nil
}

// compareApproved compares the hash that the cloud wants allowed with the one computed here.
func (f *flow) compareApproved(p *Pending, remote compose.Hash) error {
	if !p.Approval.Unpredicted {
		comparison, err := compare(ComparedComposeHash, p.Approval.ComposeHash.String(), remote.String())
		if err != nil {
			return err
		}
		f.report(&p.Comparisons, comparison)
		return nil
	}
	comparison := Comparison{Name: ComparedComposeHash, Outcome: Undecided, Remote: remote.String(), Reason: "the platform completes the document; what boots is compared afterwards"}
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

// acceptPending keeps the machine that the contract must allow, if the caller accepts it. A machine that the contract
// allows already, by name or because it allows any, is not to be allowed again.
func (f *flow) acceptPending(ctx context.Context, p *Pending, device kms.DeviceID) error {
	p.Approval.Device = kms.DeviceID{}
	allowed := p.App.AnyDevice || device.IsZero()
	if f.cfg.chain != nil && !allowed {
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

// preparedFor is how long the cloud keeps a prepared change, and its commit token good.
const preparedFor = 14 * 24 * time.Hour

// Approve makes the contract allow the change of a, with the account of chain, which must own the app's contract. It
// sends only what the contract does not allow yet, and needs no access to the cloud. With [WithApproval] a is saved
// before each transaction, so that a run after a crash sends nothing twice. Afterwards a.Transaction is the argument
// of [Pending.Approved].
//
// It returns a [*MismatchError] if the compose hash does not follow from the document, or if the contract does not
// allow the present document of a, so that its Diff could be misleading.
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
	if err := sameChain(c.chain, a.ChainID, a.KMSContract); err != nil {
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
