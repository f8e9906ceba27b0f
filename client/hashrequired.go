package client

import (
	"encoding/json"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// HashRegistrationRequired is what a 465 carries: everything that is needed to allow an update on chain and
// to commit it afterwards. errors.As gives it from the error of the call.
type HashRegistrationRequired struct {
	// ComposeHash is the hash to allow, 64 hexadecimal digits.
	ComposeHash string
	// AppID is the app, which is also the address of its contract.
	AppID string
	// DeviceID is the device to allow, 64 hexadecimal digits.
	DeviceID string
	// KMSInfo is the KMS with its chain and contract; nil where the API does not say.
	KMSInfo *openapi.KMS
	// CommitToken authorises the commit, for 14 days; empty where the server cannot mint one.
	CommitToken openapi.Secret
	// CommitURL is a page of the dashboard for people. It holds the token.
	CommitURL openapi.Secret
	// APICommitURL is where the commit is posted. It holds the token.
	APICommitURL openapi.Secret
	// OnChainStatus is what the contract allows already; nil where the API does not say.
	OnChainStatus *OnChainStatus
}

// MarshalJSON writes the payload without the token and the addresses that hold it.
func (h HashRegistrationRequired) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ComposeHash   string         `json:"compose_hash"`
		AppID         string         `json:"app_id,omitempty"`
		DeviceID      string         `json:"device_id,omitempty"`
		OnChainStatus *OnChainStatus `json:"onchain_status,omitempty"`
	}{h.ComposeHash, h.AppID, h.DeviceID, h.OnChainStatus})
}

// OnChainStatus is what an app's contract allows.
type OnChainStatus struct {
	ComposeHashAllowed bool `json:"compose_hash_allowed"`
	DeviceIDAllowed    bool `json:"device_id_allowed"`
	IsAllowed          bool `json:"is_allowed"`
}

// Error lets errors.As find the payload; the error to show is the APIError.
func (h *HashRegistrationRequired) Error() string {
	return "compose hash " + h.ComposeHash + " of app " + h.AppID + " must be registered on chain first"
}

// legacyHash is the flat body of older servers.
type legacyHash struct {
	ComposeHash string       `json:"compose_hash"`
	AppID       string       `json:"app_id"`
	DeviceID    string       `json:"device_id"`
	KMSInfo     *openapi.KMS `json:"kms_info"`
}

// decodeHashRegistration reads the payload from the details of a structured error, or from a flat body, at
// the top or within "detail".
func decodeHashRegistration(e *APIError) *HashRegistrationRequired {
	var h HashRegistrationRequired
	var flat legacyHash
	var nested struct {
		Detail legacyHash `json:"detail"`
	}
	_ = json.Unmarshal(e.Raw, &flat)
	_ = json.Unmarshal(e.Raw, &nested)
	for _, from := range []legacyHash{flat, nested.Detail} {
		if from.ComposeHash != "" {
			h.ComposeHash, h.AppID = cloudtext.Clean(from.ComposeHash), cloudtext.Clean(from.AppID)
			h.DeviceID, h.KMSInfo = cloudtext.Clean(from.DeviceID), from.KMSInfo
		}
	}
	for _, f := range e.Fields {
		switch f.Field {
		case "compose_hash":
			h.ComposeHash = cloudtext.Clean(text(json.RawMessage(f.Value)))
		case "app_id":
			h.AppID = cloudtext.Clean(text(json.RawMessage(f.Value)))
		case "device_id":
			h.DeviceID = cloudtext.Clean(text(json.RawMessage(f.Value)))
		case "kms_info":
			_ = json.Unmarshal(f.Value, &h.KMSInfo)
		case "commit_token":
			h.CommitToken = openapi.Secret(text(json.RawMessage(f.Value)))
		case "commit_url":
			h.CommitURL = openapi.Secret(text(json.RawMessage(f.Value)))
		case "api_commit_url":
			h.APICommitURL = openapi.Secret(text(json.RawMessage(f.Value)))
		case "onchain_status":
			_ = json.Unmarshal(f.Value, &h.OnChainStatus)
		}
	}
	return &h
}
