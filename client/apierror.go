package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/openapi"
)

// The kinds of failure, for errors.Is.
var (
	ErrBadRequest   = errors.New("bad request")                        // 400
	ErrUnauthorized = errors.New("the api key was refused")            // 401
	ErrForbidden    = errors.New("not allowed")                        // 403
	ErrNotFound     = errors.New("not found")                          // 404; also for the CVMs of another workspace
	ErrConflict     = errors.New("conflict")                           // 409
	ErrBusy         = errors.New("another operation runs on this CVM") // 409 without a code
	ErrValidation   = errors.New("invalid request")                    // 422
	ErrRateLimited  = errors.New("too many requests")                  // 429
	ErrServer       = errors.New("server failure")                     // 5xx
	ErrRedirect     = errors.New("the API sent a redirect")            // 3xx

	ErrHashRegistrationRequired = errors.New("the compose hash or device must be registered on chain first")       // 465
	ErrHashInvalidOrExpired     = errors.New("the compose hash or commit token is unknown, expired or superseded") // 466
	ErrTxVerificationFailed     = errors.New("the transaction could not be verified")                              // 467
	ErrHashNotAllowed           = errors.New("the contract does not allow the compose hash")                       // 468
)

// The status codes that Phala Cloud adds to those of HTTP.
const (
	StatusHashRegistrationRequired = 465
	StatusHashInvalidOrExpired     = 466
	StatusTxVerificationFailed     = 467
	StatusHashNotAllowed           = 468
)

// APIError is an error response of the API. All five formats of its error bodies, HTML from a proxy and an empty body
// are decoded to it.
type APIError struct {
	// Operation is the method that failed, such as "CVMs.Get", or verb and path for [Client.Do].
	Operation string
	// Method is the HTTP verb.
	Method string
	// StatusCode is the HTTP status.
	StatusCode int
	// Code is the exact reason, if the API sends one; see the Code constants.
	Code Code
	// Message is the API's text, or the status text if there is none.
	Message string
	// Fields are the details: the invalid fields and the reasons.
	Fields []FieldError
	// Suggestions are the API's hints on what to do.
	Suggestions []string
	// Links refer to further information about the failure.
	Links []Link
	// RequestID identifies the request to the operator of the API.
	RequestID string
	// Attempts is the number of times the request was sent.
	Attempts int
	// RetryAfter is the pause that the API requests; 0 if there is none.
	RetryAfter time.Duration
	// Raw is the unchanged body, at most 1 MiB. It may repeat the request and is never printed.
	Raw Hidden

	hasRetryAfter bool
	tooLong       time.Duration // the limit that RetryAfter exceeds; 0 if there is none
}

// FieldError is one detail of an [APIError].
type FieldError struct {
	// Field is the location: a path in the body such as "compose_file.name", or a key.
	Field string
	// Message is the reason.
	Message string
	// Type is the API's name for the type of violation, such as "missing".
	Type string
	// Value is the API's value of the field, as JSON. It may repeat the request and is never printed.
	Value Hidden
}

// Format writes field and message, whatever the verb.
func (e FieldError) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s: %s (%s)", e.Field, e.Message, e.Type)
}

// Link refers to further information about a failure.
type Link struct {
	URL   string `json:"url"`
	Label string `json:"label"`
}

// Error returns one line: operation, status, code, message and request id.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d", e.Operation, e.StatusCode)
	if e.Code != "" {
		fmt.Fprintf(&b, " %s", e.Code)
	}
	fmt.Fprintf(&b, ": %s", e.Message)
	if e.StatusCode == http.StatusUnprocessableEntity && len(e.Fields) > 0 && e.Fields[0].Field != "" {
		fmt.Fprintf(&b, " (%s)", e.Fields[0].Field)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " [request %s]", e.RequestID)
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " after %d attempts", e.Attempts)
	}
	if e.hasRetryAfter && e.RetryAfter > 0 {
		fmt.Fprintf(&b, ", retry after %s", e.RetryAfter)
		if e.tooLong > 0 {
			fmt.Fprintf(&b, " (more than the %s that are waited)", e.tooLong)
		}
	}
	return b.String()
}

// Format writes the text of Error for every verb: Raw and the values of the fields may contain secrets.
func (e APIError) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.Error())
		return
	}
	_, _ = f.Write([]byte(e.Error()))
}

// shown is the part of an APIError that logs and JSON contain.
type shown struct {
	Operation  string       `json:"operation"`
	Method     string       `json:"method,omitempty"`
	StatusCode int          `json:"status"`
	Code       Code         `json:"code,omitempty"`
	Message    string       `json:"message"`
	Fields     []shownField `json:"fields,omitempty"`
	RequestID  string       `json:"request_id,omitempty"`
	Attempts   int          `json:"attempts"`
	RetryAfter string       `json:"retry_after,omitempty"`
}

type shownField struct {
	Field   string `json:"field,omitempty"`
	Message string `json:"message,omitempty"`
	Type    string `json:"type,omitempty"`
}

// MarshalJSON writes the error without Raw and the values of the fields.
func (e APIError) MarshalJSON() ([]byte, error) {
	s := shown{
		Operation: e.Operation, Method: e.Method, StatusCode: e.StatusCode, Code: e.Code, Message: e.Message,
		RequestID: e.RequestID, Attempts: e.Attempts,
	}
	for _, f := range e.Fields {
		s.Fields = append(s.Fields, shownField{f.Field, f.Message, f.Type})
	}
	if e.hasRetryAfter {
		s.RetryAfter = e.RetryAfter.String()
	}
	return json.Marshal(s)
}

// LogValue returns the error as a group, without Raw and the values of the fields.
func (e APIError) LogValue() slog.Value {
	attrs := []slog.Attr{
		slog.String("operation", e.Operation),
		slog.Int("status", e.StatusCode),
		slog.String("message", e.Message),
		slog.Int("attempts", e.Attempts),
	}
	if e.Code != "" {
		attrs = append(attrs, slog.String("code", string(e.Code)))
	}
	if e.RequestID != "" {
		attrs = append(attrs, slog.String("request_id", e.RequestID))
	}
	return slog.GroupValue(attrs...)
}

// Is reports whether target is the kind of this failure, such as [ErrNotFound].
func (e *APIError) Is(target error) bool {
	switch target {
	case ErrBusy:
		return e.StatusCode == http.StatusConflict && e.Code == ""
	case ErrServer:
		return e.StatusCode >= 500 && e.StatusCode < 600
	case ErrRedirect:
		return e.StatusCode >= 300 && e.StatusCode < 400
	}
	kind := e.kind()
	return kind != nil && target == kind
}

func (e *APIError) kind() error {
	switch e.StatusCode {
	case http.StatusBadRequest:
		return ErrBadRequest
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusUnprocessableEntity:
		return ErrValidation
	case http.StatusTooManyRequests:
		return ErrRateLimited
	case StatusHashRegistrationRequired:
		return ErrHashRegistrationRequired
	case StatusHashInvalidOrExpired:
		return ErrHashInvalidOrExpired
	case StatusTxVerificationFailed:
		return ErrTxVerificationFailed
	case StatusHashNotAllowed:
		return ErrHashNotAllowed
	}
	return nil
}

// As reports whether the error is a 465 and target a **HashRegistrationRequired, which it sets to the payload.
func (e *APIError) As(target any) bool {
	payload, ok := target.(**HashRegistrationRequired)
	if !ok || e.StatusCode != StatusHashRegistrationRequired {
		return false
	}
	*payload = decodeHashRegistration(e)
	return true
}

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
