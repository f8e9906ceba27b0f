package deploy

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
)

// tokenLife is how long the cloud keeps a prepared change, and its commit token good.
const tokenLife = 14 * 24 * time.Hour

// AlreadyRegistered stands for the transaction where the contract allows everything already.
const AlreadyRegistered = "already-registered"

// PendingKind tells what waits for an approval.
type PendingKind string

// The kinds of a [Pending].
const (
	PendingUpdate   PendingKind = "update"   // a change of a CVM
	PendingReplica  PendingKind = "replica"  // one more CVM, as another one is
	PendingInstance PendingKind = "instance" // one more CVM of an app
)

// Pending is a change that the cloud has prepared and an owner of the app's contract must allow first. It is
// plain JSON: one process prepares it, people approve it over days, another process commits it. It holds a
// commit token and ciphertext, so it deserves a private file; printing it shows neither.
//
// It is also the error of a flow that ends here because no [Chain] was given.
type Pending struct {
	Kind PendingKind `json:"kind"`
	// CVM is the vm_uuid of the CVM that changes, or that a replica is made of; empty for an instance.
	CVM  string `json:"cvm,omitempty"`
	Name string `json:"name,omitempty"`

	AppID       kms.AppID    `json:"app_id"`
	ComposeHash compose.Hash `json:"compose_hash"`
	// DeviceID is the device to allow, 64 hexadecimal digits; empty where the cloud names none.
	DeviceID string `json:"device_id,omitempty"`
	// ChainID and KMSContract say where the approval belongs; 0 and zero where the cloud does not say.
	ChainID     uint64         `json:"chain_id,omitempty"`
	KMSContract common.Address `json:"kms_contract,omitzero"`

	// Token authorises the commit; empty where the cloud minted none, so that the commit needs an API key.
	Token openapi.Secret `json:"token,omitempty"`
	// Expires is when the cloud forgets what was prepared.
	Expires time.Time `json:"expires"`
	// Request is what was prepared, as JSON, to prepare it anew once it has expired. Its secrets are encrypted.
	Request openapi.Secret `json:"request,omitempty"`
	// Asked says that the API was asked to make a CVM and has not answered; Siblings are the vm_uuids of the
	// app's CVMs at that time, so that a new one is known.
	Asked    bool     `json:"asked,omitempty"`
	Siblings []string `json:"siblings,omitzero"`

	// Transaction allowed the compose hash or the device, or is [AlreadyRegistered]; empty before that.
	Transaction string `json:"transaction,omitempty"`
	// Intents are the transactions that were sent or are about to be, by what they do.
	Intents map[string]json.RawMessage `json:"intents,omitempty"`
	// Committed says that the cloud has taken the commit.
	Committed bool `json:"committed,omitempty"`
	// Created is the vm_uuid of the new CVM of a replica or instance.
	Created string `json:"created,omitempty"`

	// Checks are the comparisons made so far.
	Checks []Check `json:"checks,omitempty"`
}

// Error says what is to be approved.
func (p *Pending) Error() string {
	what := fmt.Sprintf("%s of %s", p.Kind, p.Name)
	return fmt.Sprintf("%s waits for the owner of app %s to allow compose hash %s on chain %d", what, p.AppID, p.ComposeHash, p.ChainID)
}

// Expired tells whether the cloud has forgotten what was prepared, by the clock of this side.
func (p *Pending) Expired(now time.Time) bool { return !now.Before(p.Expires) }

// ParsePending reads a [Pending] that was written as JSON.
func ParsePending(data []byte) (*Pending, error) {
	var p Pending
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("pending change: %w", err)
	}
	switch p.Kind {
	case PendingUpdate, PendingReplica:
		if p.CVM == "" {
			return nil, fmt.Errorf("pending %s: without a cvm", p.Kind)
		}
	case PendingInstance:
	default:
		return nil, fmt.Errorf("pending change: unknown kind %q", p.Kind)
	}
	if p.AppID.IsZero() {
		return nil, fmt.Errorf("pending %s: without an app id", p.Kind)
	}
	if p.ComposeHash == (compose.Hash{}) {
		return nil, fmt.Errorf("pending %s: without a compose hash", p.Kind)
	}
	return &p, nil
}

var (
	// ErrNotApproved says that a commit comes before its approval.
	ErrNotApproved = errors.New("not approved yet: allow the compose hash and the device on chain first")
	// ErrExpired says that the cloud has forgotten what was prepared, and it could not be prepared anew.
	ErrExpired = errors.New("what was prepared has expired")
)
