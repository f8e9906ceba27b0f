package client

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/phala-go/phala/internal/cloudtext"
	"github.com/phala-go/phala/internal/retryafter"
	"github.com/phala-go/phala/internal/strictjson"
)

// maxDetails limits the details, suggestions and links that are taken from the body of an error.
const maxDetails = 100

// errorBody is the union of the formats of error bodies, read leniently: a member of an unexpected type is treated as
// absent.
type errorBody struct {
	Detail           json.RawMessage `json:"detail"`
	ErrorCode        json.RawMessage `json:"error_code"`
	Code             json.RawMessage `json:"code"`
	Message          json.RawMessage `json:"message"`
	RequestID        json.RawMessage `json:"request_id"`
	Details          json.RawMessage `json:"details"`
	Suggestions      json.RawMessage `json:"suggestions"`
	Links            json.RawMessage `json:"links"`
	Error            json.RawMessage `json:"error"`
	ErrorDescription json.RawMessage `json:"error_description"`
}

func decodeError(resp *http.Response, data []byte, now time.Time) *APIError {
	e := &APIError{StatusCode: resp.StatusCode, RequestID: requestID(resp.Header), Raw: data, Attempts: 1}
	e.RetryAfter, e.hasRetryAfter = retryafter.Parse(resp.Header, now)
	var body errorBody
	if strictjson.Unmarshal(data, &body) == nil {
		e.take(body)
	}
	e.clean()
	if e.Message == "" {
		e.Message = statusText(resp.StatusCode)
	}
	return e
}

// requestID returns the id by which the operator of the API finds the request.
func requestID(h http.Header) string { return cloudtext.Clean(h.Get("X-Request-Id")) }

// clean limits and escapes every text from the cloud. Values stay unchanged, and are never printed.
func (e *APIError) clean() {
	e.Code = Code(cloudtext.Clean(string(e.Code)))
	e.Message, e.RequestID = cloudtext.Clean(e.Message), cloudtext.Clean(e.RequestID)
	e.Fields = e.Fields[:min(len(e.Fields), maxDetails)]
	for i, f := range e.Fields {
		e.Fields[i].Field, e.Fields[i].Message, e.Fields[i].Type = cloudtext.Clean(f.Field), cloudtext.Clean(f.Message), cloudtext.Clean(f.Type)
	}
	e.Suggestions = e.Suggestions[:min(len(e.Suggestions), maxDetails)]
	for i, s := range e.Suggestions {
		e.Suggestions[i] = cloudtext.Clean(s)
	}
	e.Links = e.Links[:min(len(e.Links), maxDetails)]
	for i, l := range e.Links {
		e.Links[i] = Link{URL: cloudtext.Clean(l.URL), Label: cloudtext.Clean(l.Label)}
	}
}

// take reads the members of a body. "detail" may be a text, a list of violations, or the whole body nested, as older
// servers send it.
func (e *APIError) take(body errorBody) {
	e.Code = Code(firstText(body.ErrorCode, body.Code))
	e.Message = firstText(body.Message, body.ErrorDescription)
	if id := text(body.RequestID); id != "" {
		e.RequestID = id
	}
	e.Suggestions = list[string](body.Suggestions)
	e.Links = list[Link](body.Links)
	e.Fields = details(body.Details)
	if e.Message == "" {
		e.Message = text(body.Error)
	}
	if plain := text(body.Detail); plain != "" && e.Message == "" {
		e.Message = plain
		return
	}
	if violations := violations(body.Detail); len(violations) > 0 {
		e.Fields = append(e.Fields, violations...)
		if e.Message == "" {
			e.Message = violations[0].Message
		}
		return
	}
	var nested errorBody
	if json.Unmarshal(body.Detail, &nested) != nil {
		return
	}
	nested.Detail = nil
	inner := &APIError{RequestID: e.RequestID}
	inner.take(nested)
	e.RequestID = inner.RequestID
	if e.Code == "" {
		e.Code = inner.Code
	}
	if e.Message == "" {
		e.Message = inner.Message
	}
	e.Fields = append(e.Fields, inner.Fields...)
	e.Suggestions = append(e.Suggestions, inner.Suggestions...)
	e.Links = append(e.Links, inner.Links...)
}

// details reads the list of a structured error: {"field", "value", "message"}.
func details(raw json.RawMessage) []FieldError {
	var fields []FieldError
	for _, item := range list[struct {
		Field   json.RawMessage `json:"field"`
		Value   json.RawMessage `json:"value"`
		Message json.RawMessage `json:"message"`
	}](raw) {
		fields = append(fields, FieldError{Field: text(item.Field), Message: text(item.Message), Value: Hidden(item.Value)})
	}
	return fields
}

// violations reads the list of a 422: {"loc", "msg", "type"}. The location loses its leading "body".
func violations(raw json.RawMessage) []FieldError {
	var fields []FieldError
	for _, item := range list[struct {
		Loc   []json.RawMessage `json:"loc"`
		Msg   json.RawMessage   `json:"msg"`
		Type  json.RawMessage   `json:"type"`
		Input json.RawMessage   `json:"input"`
	}](raw) {
		var path []string
		for i, step := range item.Loc {
			name := text(step)
			if name == "" {
				name = string(step)
			}
			if i == 0 && name == "body" {
				continue
			}
			path = append(path, name)
		}
		fields = append(fields, FieldError{
			Field: strings.Join(path, "."), Message: text(item.Msg), Type: text(item.Type), Value: Hidden(item.Input),
		})
	}
	return fields
}

// list reads a JSON list, without the items of an unexpected type.
func list[T any](raw json.RawMessage) []T {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return nil
	}
	var values []T
	for _, item := range items {
		var v T
		if json.Unmarshal(item, &v) == nil {
			values = append(values, v)
		}
	}
	return values
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

func firstText(raws ...json.RawMessage) string {
	for _, raw := range raws {
		if s := text(raw); s != "" {
			return s
		}
	}
	return ""
}

func statusText(status int) string {
	switch status {
	case StatusHashRegistrationRequired:
		return ErrHashRegistrationRequired.Error()
	case StatusHashInvalidOrExpired:
		return ErrHashInvalidOrExpired.Error()
	case StatusTxVerificationFailed:
		return ErrTxVerificationFailed.Error()
	case StatusHashNotAllowed:
		return ErrHashNotAllowed.Error()
	}
	if s := http.StatusText(status); s != "" {
		return strings.ToLower(s)
	}
	return "status " + strconv.Itoa(status)
}
