package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/internal/uuid"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// preparedFor is how long the cloud keeps a prepared change, and its commit token good.
const preparedFor = 14 * 24 * time.Hour

// PendingKind is a kind of change.
type PendingKind string

// The kinds of a [Pending].
const (
	PendingUpdate   PendingKind = "update"   // a change of a CVM
	PendingReplica  PendingKind = "replica"  // one more CVM, as another one is
	PendingInstance PendingKind = "instance" // one more CVM of an app
)

// Pending is a running change. It is plain JSON: one process prepares it, people approve it over days, another process
// commits it. It may contain a commit token and ciphertext, so it needs a private file, see [SaveFile]; printing it shows
// neither. An approver needs Approval alone, which contains no secret.
//
// It is also the error of a flow that ends here because no [Chain] was given.
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

// Prepared reports whether the cloud keeps the change under a token, see [Prepare].
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

// existed reports whether a CVM was there before a creation was asked for.
func (p *Pending) existed(cvm string) bool {
	same := func(id string) bool { return uuid.Bare(id) == uuid.Bare(cvm) }
	return slices.ContainsFunc(p.Siblings, same) || slices.ContainsFunc(p.App.CVMs, func(c CVM) bool { return same(c.ID) })
}

// ParsePending parses a [Pending] in JSON.
func ParsePending(data []byte) (*Pending, error) {
	var p Pending
	if err := strictjson.Unmarshal(data, &p); err != nil {
		return nil, &InputError{Field: "pending change", Rule: "want what SaveFile wrote", Err: err}
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
