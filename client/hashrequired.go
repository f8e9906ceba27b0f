package client

import (
	"encoding/json"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// HashRegistrationRequired is the payload of a 465: everything needed to allow an update on chain and to commit it
// afterwards. errors.As extracts it from the error of the call.
type HashRegistrationRequired struct {
	// ComposeHash is the hash to allow, 64 hex digits.
	ComposeHash string
	// AppID is the app id, which is also the address of the app's contract.
	AppID string
	// DeviceID is the device to allow, 64 hex digits.
	DeviceID string
	// KMSInfo is the KMS with its chain and contract; nil if the API does not send it.
	KMSInfo *openapi.KMS
	// CommitToken authorises the commit, for 14 days; empty if the server cannot issue one.
	CommitToken openapi.Secret
	// CommitURL is a page of the dashboard. It contains the token.
	CommitURL openapi.Secret
	// APICommitURL is the URL of the commit request. It contains the token.
	APICommitURL openapi.Secret
	// OnChainStatus is the present state of the contract; nil if the API does not send it.
	OnChainStatus *OnChainStatus
}

// MarshalJSON writes the payload without the token and the URLs that contain it.
func (h HashRegistrationRequired) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		ComposeHash   string         `json:"compose_hash"`
		AppID         string         `json:"app_id,omitempty"`
		DeviceID      string         `json:"device_id,omitempty"`
		OnChainStatus *OnChainStatus `json:"onchain_status,omitempty"`
	}{h.ComposeHash, h.AppID, h.DeviceID, h.OnChainStatus})
}

// OnChainStatus is the present state of an app's contract.
type OnChainStatus struct {
	ComposeHashAllowed bool `json:"compose_hash_allowed"`
	DeviceIDAllowed    bool `json:"device_id_allowed"`
	IsAllowed          bool `json:"is_allowed"`
}

// Error makes the payload a target of errors.As; the error to print is the APIError.
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
