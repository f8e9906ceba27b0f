package webhook

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
)

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
		return PendingApproval{}, fmt.Errorf("webhook: %s %s waits for no approval", cloudtext.Clean(string(e.Type)), cloudtext.Clean(e.ID))
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

// Format writes what names the update, whatever the verb, without the token.
func (p PendingApproval) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "update of cvm %s to compose hash %s of app %s",
		cloudtext.Clean(p.CVMID), cloudtext.Clean(p.ComposeHash), cloudtext.Clean(p.AppID))
}

// LogValue returns what names the update, without the token.
func (p PendingApproval) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("cvm_id", p.CVMID), slog.String("compose_hash", p.ComposeHash), slog.String("app_id", p.AppID),
		slog.Time("expires_at", p.ExpiresAt), slog.String("initiated_by", p.InitiatedBy.Username),
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
