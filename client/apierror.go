package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// The kinds of failure, to be asked for with errors.Is.
var (
	ErrBadRequest   = errors.New("bad request")                         // 400
	ErrUnauthorized = errors.New("the api key was refused")             // 401
	ErrForbidden    = errors.New("not allowed")                         // 403
	ErrNotFound     = errors.New("not found")                           // 404; also what another workspace owns
	ErrConflict     = errors.New("conflict")                            // 409
	ErrBusy         = errors.New("another operation runs on this CVM")  // 409 without a code
	ErrValidation   = errors.New("invalid request")                     // 422
	ErrRateLimited  = errors.New("too many requests")                   // 429
	ErrServer       = errors.New("server failure")                      // 5xx
	ErrRedirect     = errors.New("redirected, which is never followed") // 3xx

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

// APIError is a failure that the API answered. All five shapes of its error bodies, HTML of a proxy and an
// empty body become one of these.
type APIError struct {
	// Operation is the method that failed, such as "CVMs.Get", or verb and path for [Client.Do].
	Operation string
	// Method is the HTTP verb.
	Method string
	// StatusCode is the HTTP status.
	StatusCode int
	// Code is the exact reason where the API gives one; see the Code constants.
	Code Code
	// Message is the API's text, or the status text where it gave none.
	Message string
	// Fields are the details: what is wrong where.
	Fields []FieldError
	// Suggestions are the API's hints on what to do.
	Suggestions []string
	// Links lead to more about the failure.
	Links []Link
	// RequestID names the request to the operator of the API.
	RequestID string
	// Attempts is how often the request was sent.
	Attempts int
	// RetryAfter is how long the API asks to wait; 0 where it does not say.
	RetryAfter time.Duration
	// Raw is the body as it came, at most 1 MiB. It may repeat what was sent and is never printed.
	Raw Hidden

	hasRetryAfter bool
	tooLong       time.Duration // the bound that RetryAfter is beyond; 0 if it was or could be obeyed
}

// FieldError is one detail of an [APIError].
type FieldError struct {
	// Field is where: a path in the body such as "compose_file.name", or a key.
	Field string
	// Message is what is wrong there.
	Message string
	// Type is the API's name for the kind of violation, such as "missing".
	Type string
	// Value is what the API says of the field, as JSON. It may repeat what was sent and is never printed.
	Value Hidden
}

// Format writes where and what, whatever the verb.
func (e FieldError) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s: %s (%s)", e.Field, e.Message, e.Type)
}

// Link leads to more about a failure.
type Link struct {
	URL   string `json:"url"`
	Label string `json:"label"`
}

// Error is one line: operation, status, code, message and request id.
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

// Format keeps every verb to what Error says: Raw and the values of the fields may hold secrets.
func (e APIError) Format(f fmt.State, verb rune) {
	if verb == 'q' {
		fmt.Fprintf(f, "%q", e.Error())
		return
	}
	_, _ = f.Write([]byte(e.Error()))
}

// shown is what logs and JSON show of an APIError.
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

// MarshalJSON writes the error without Raw and values.
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

// LogValue returns the error as a group, without Raw and values.
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

// Is matches the kinds of failure of this package.
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

// As returns the payload of a 465 as a [*HashRegistrationRequired].
func (e *APIError) As(target any) bool {
	payload, ok := target.(**HashRegistrationRequired)
	if !ok || e.StatusCode != StatusHashRegistrationRequired {
		return false
	}
	*payload = decodeHashRegistration(e)
	return true
}
