package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aymanbagabas/go-udiff"
	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/strictjson"
	"github.com/phala-go/phala/kms"
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
			return fmt.Errorf("approval: %w", &MismatchError{What: CheckComposeHash, Local: sum.String(), Remote: a.ComposeHash.String()})
		}
	}
	if a.Before != "" {
		if sum := compose.Sum([]byte(a.Before)); !sum.Equal(a.BeforeHash) {
			return fmt.Errorf("approval: the document before: %w", &MismatchError{What: CheckComposeHash, Local: sum.String(), Remote: a.BeforeHash.String()})
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
		fmt.Fprintf(&b, "%s:\n", printable(fmt.Sprint(name)))
		for line := range strings.Lines(text) {
			fmt.Fprintf(&b, "  %s\n", printable(strings.TrimSuffix(line, "\n")))
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
