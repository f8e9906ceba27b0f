package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"time"

	"github.com/phala-go/phala/internal/secret"
	"github.com/phala-go/phala/internal/strictjson"
)

// Answer contains the metadata of a successful call's response. [WithAnswer] fills it in.
type Answer struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// StatusCode is the HTTP status, such as 200 or 202.
	StatusCode int
	// Header contains the headers of the response.
	Header http.Header
	// RequestID identifies the request to the operator of the API; empty if the response has none.
	RequestID string
	// Attempts is the number of times the request was sent.
	Attempts int
	// Took is the time from the first attempt to the end of the response.
	Took time.Duration
	// Body is the unchanged response body, for members that the SDK does not know; nil for a stream.
	Body Hidden
}

// Decode decodes the JSON body into a pointer, under the same rules as every response: a field of an unexpected type is
// treated as absent. The error is a [*DecodeError].
func (a *Answer) Decode(into any) error {
	if to := reflect.ValueOf(into); to.Kind() != reflect.Pointer || to.IsNil() {
		return fmt.Errorf("client: Decode: into is a %T, want a pointer that is not nil", into)
	}
	if err := unmarshal(context.Background(), a.Body, into, strictjson.MaxItems); err != nil {
		return &DecodeError{Operation: a.Operation, StatusCode: a.StatusCode, Err: err}
	}
	return nil
}

// Format writes operation, status and request id, whatever the verb: headers and body may contain a secret.
func (a Answer) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s: %d [request %s]", a.Operation, a.StatusCode, a.RequestID)
}

// MarshalJSON writes the same as Format.
func (a Answer) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"operation": a.Operation, "status": a.StatusCode, "request_id": a.RequestID, "attempts": a.Attempts})
}

// LogValue returns the text that Format writes.
func (a Answer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("operation", a.Operation), slog.Int("status", a.StatusCode), slog.String("request_id", a.RequestID), slog.Int("attempts", a.Attempts))
}

// WithAnswer fills in a when the call succeeds. An iterator over pages fills it in for each page.
func WithAnswer(a *Answer) CallOption {
	return callOption(func(c *callConfig) error {
		if a == nil {
			return errNilAnswer
		}
		c.answer = a
		return nil
	})
}

// fill records the response of a plan.
func (a *Answer) fill(p *plan, resp *http.Response, began time.Time) {
	*a = Answer{
		Operation: p.name, StatusCode: resp.StatusCode, Header: resp.Header.Clone(), RequestID: requestID(resp.Header),
		Attempts: max(1, p.attempts), Took: time.Since(began),
	}
	if b, ok := resp.Body.(*buffered); ok {
		a.Body = append(Hidden{}, b.data...)
	}
}

// Hidden is text that may repeat what was sent, secrets included. Formatting, logs and JSON show its length only;
// []byte(h) is the text.
type Hidden = secret.Bytes
