package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
)

// Type is the type of an event. The set is open: expect other values.
type Type string

// The documented types of events. The change log of the cloud mentions a family "gpu_rental." as well, whose members
// are not documented.
const (
	// CVMCreated: the first deployment of a CVM runs.
	CVMCreated Type = "cvm.created"
	// CVMCreateFailed: the first deployment failed. Its [Lifecycle] has an error.
	CVMCreateFailed Type = "cvm.create_failed"
	// CVMStarted: a stopped CVM runs again.
	CVMStarted Type = "cvm.started"
	// CVMRestarted: a CVM was restarted and runs.
	CVMRestarted Type = "cvm.restarted"
	// CVMUpdated: an update is done, and the CVM runs.
	CVMUpdated Type = "cvm.updated"
	// CVMStopped: a CVM was stopped or has shut down.
	CVMStopped Type = "cvm.stopped"
	// CVMDeleted: a CVM is gone.
	CVMDeleted Type = "cvm.deleted"
	// CVMUpdatePendingApproval: an update was prepared and waits for the owner of the app's contract. It has
	// a [PendingApproval].
	CVMUpdatePendingApproval Type = "cvm.update.pending_approval"
	// CVMReplicaPendingApproval: the same for a replica.
	CVMReplicaPendingApproval Type = "cvm.replica.pending_approval"
)

// Event is an event of a workspace. Formatting it omits Data, which can contain a token. [Marshal] returns the whole
// event in the form in which the cloud sends it.
type Event struct {
	// ID is the same in all deliveries of the event.
	ID   string `json:"id"`
	Type Type   `json:"event"`
	// Version of the form, now "1".
	Version   string    `json:"version"`
	CreatedAt time.Time `json:"created_at"`
	Workspace Workspace `json:"workspace"`
	// Data depends on the type. See [Event.Lifecycle] and [Event.PendingApproval]; decode it yourself for
	// other types.
	Data Hidden `json:"data"`
}

// Workspace is the workspace that an event belongs to.
type Workspace struct {
	// ID is its slug.
	ID   string `json:"id"`
	Name string `json:"name"`
}

// maxID limits the id of an event in bytes, because it becomes a key. The documented form is "evt_" and 16 hex
// digits.
const maxID = 128

// UnmarshalJSON reads the body of a delivery. Id and type are required, everything else may be missing; unknown
// members are ignored.
func (e *Event) UnmarshalJSON(data []byte) error {
	type plain Event
	wire := struct {
		*plain
		Version   text `json:"version"`
		CreatedAt when `json:"created_at"`
	}{plain: &plain{}}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	switch {
	case wire.ID == "":
		return errors.New("no id")
	case len(wire.ID) > maxID:
		return fmt.Errorf("id %.40q: %d bytes, want at most %d", wire.ID, len(wire.ID), maxID)
	case wire.Type == "":
		return errors.New("no event")
	}
	*e = Event(*wire.plain)
	e.Version, e.CreatedAt = string(wire.Version), wire.CreatedAt.Time
	return nil
}

// Format writes type, id and workspace, whatever the verb.
func (e Event) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, cloudtext.Clean(string(e.Type))+" "+cloudtext.Clean(e.ID)+" of workspace "+cloudtext.Clean(e.Workspace.ID))
}

// LogValue returns everything but the data.
func (e Event) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", cloudtext.Clean(e.ID)), slog.String("type", cloudtext.Clean(string(e.Type))),
		slog.Time("created_at", e.CreatedAt), slog.String("workspace", cloudtext.Clean(e.Workspace.ID)),
	)
}

// decode reads the data into v, a pointer.
func (e Event) decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("webhook: data of %s %s: %w", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID), err)
	}
	return nil
}

// Lifecycle is the data of an event in the life of a CVM.
type Lifecycle struct {
	// CVMID is the UUID of the CVM, which every call of the API accepts.
	CVMID   string `json:"cvm_id"`
	CVMName string `json:"cvm_name"`
	AppID   string `json:"app_id"`
	// Status is the status of the CVM after the event, such as "running"; "error" if it failed.
	Status string `json:"status"`
	// Error is the reason of a failure; empty if there is none.
	Error string `json:"error,omitempty"`
}

// Lifecycle returns the data of an event of the lifecycle of a CVM: of every type that begins with "cvm." and does not end
// in ".pending_approval". It returns an error for others.
func (e Event) Lifecycle() (Lifecycle, error) {
	if !strings.HasPrefix(string(e.Type), "cvm.") || e.pendingApproval() {
		return Lifecycle{}, fmt.Errorf("webhook: %s %s is no event of the lifecycle of a CVM", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID))
	}
	var data Lifecycle
	if err := e.decode(&data); err != nil {
		return Lifecycle{}, err
	}
	return data, nil
}

// PendingApproval is the data of an event for an update, or a replica, that waits until the owner of the app's
// contract has allowed its compose hash.
type PendingApproval struct {
	// CVMID is the UUID of the CVM.
	CVMID   string `json:"cvm_id"`
	CVMName string `json:"cvm_name"`
	// ComposeHash to be allowed, AppID and DeviceID in hexadecimal with 0x.
	ComposeHash string `json:"compose_hash"`
	AppID       string `json:"app_id"`
	DeviceID    string `json:"device_id"`
	// KMS is the contract that the app is registered with.
	KMS           KMSContract   `json:"kms"`
	OnChainAction OnChainAction `json:"onchain_action"`
	// CommitToken authorises everybody who has it to commit this one update, without an API key. The two URLs contain
	// it: one is a page of the dashboard, the other the URL of the commit request.
	CommitToken  Secret `json:"commit_token"`
	CommitURL    Secret `json:"commit_url"`
	APICommitURL Secret `json:"api_commit_url"`
	// ExpiresAt is the time at which the token expires, 14 days after it was created.
	ExpiresAt   time.Time `json:"expires_at"`
	InitiatedBy Initiator `json:"initiated_by"`
}

// KMSContract identifies the contract of a KMS.
type KMSContract struct {
	// ChainID is 0 if there is none.
	ChainID uint64 `json:"chain_id"`
	Address string `json:"contract_address"`
}

// OnChainAction is the call that the owner of the app's contract has to make.
type OnChainAction struct {
	// To is the contract of the app.
	To string `json:"to"`
	// Method is the function, such as "addComposeHash(bytes32)".
	Method string `json:"method"`
	// Calldata is only the argument, the compose hash, and not the calldata of a transaction. Do not sign it without
	// computing the hash yourself.
	Calldata string `json:"calldata"`
}

// Initiator is the user who prepared the update.
type Initiator struct {
	UserID   string `json:"user_id"`
	Username string `json:"username"`
}

func (e Event) pendingApproval() bool { return strings.HasSuffix(string(e.Type), ".pending_approval") }

// PendingApproval returns the data of an event whose type ends in ".pending_approval", and an error for others.
func (e Event) PendingApproval() (PendingApproval, error) {
	if !e.pendingApproval() {
		return PendingApproval{}, fmt.Errorf("webhook: %s %s is no event of an approval", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID))
	}
	var data PendingApproval
	if err := e.decode(&data); err != nil {
		return PendingApproval{}, err
	}
	return data, nil
}

// UnmarshalJSON accepts a time of every form in which the API has written it.
func (p *PendingApproval) UnmarshalJSON(data []byte) error {
	type plain PendingApproval
	wire := struct {
		*plain
		ExpiresAt when `json:"expires_at"`
	}{plain: (*plain)(p)}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	p.ExpiresAt = wire.ExpiresAt.Time
	return nil
}

// Format writes the ids of the update, whatever the verb, without the token.
func (p PendingApproval) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "update of cvm %s to compose hash %s of app %s",
		cloudtext.Clean(p.CVMID), cloudtext.Clean(p.ComposeHash), cloudtext.Clean(p.AppID))
}

// LogValue returns the ids of the update, without the token.
func (p PendingApproval) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("cvm_id", cloudtext.Clean(p.CVMID)), slog.String("compose_hash", cloudtext.Clean(p.ComposeHash)), slog.String("app_id", cloudtext.Clean(p.AppID)),
		slog.Time("expires_at", p.ExpiresAt), slog.String("initiated_by", cloudtext.Clean(p.InitiatedBy.Username)),
	)
}

// UnmarshalJSON accepts a chain id that is a number or text.
func (k *KMSContract) UnmarshalJSON(data []byte) error {
	type plain KMSContract
	wire := struct {
		*plain
		ChainID text `json:"chain_id"`
	}{plain: (*plain)(k)}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	k.ChainID = 0
	if wire.ChainID == "" {
		return nil
	}
	id, err := strconv.ParseUint(string(wire.ChainID), 10, 64)
	if err != nil {
		return fmt.Errorf("chain id %.40q: want a whole number", string(wire.ChainID))
	}
	k.ChainID = id
	return nil
}

// UnmarshalJSON accepts a user id that is a number, as in older versions of the API, or text.
func (i *Initiator) UnmarshalJSON(data []byte) error {
	type plain Initiator
	wire := struct {
		*plain
		UserID text `json:"user_id"`
	}{plain: (*plain)(i)}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	i.UserID = string(wire.UserID)
	return nil
}

// text is a string, or a number in other versions of the API.
type text string

func (t *text) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) == nil { // also null
		*t = text(s)
		return nil
	}
	var n json.Number
	if err := json.Unmarshal(data, &n); err != nil {
		return fmt.Errorf("%.40q is neither text nor a number", data)
	}
	*t = text(n)
	return nil
}

// when is a time in one of the forms in which the cloud writes one.
type when struct{ time.Time }

func (w *when) UnmarshalJSON(data []byte) error {
	var s text
	if err := s.UnmarshalJSON(data); err != nil {
		return err
	}
	parsed, err := cloudtext.ParseTime(string(s))
	w.Time = parsed
	return err
}
