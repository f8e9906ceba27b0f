package client

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// Answer is what came with the answer of a call that succeeded. [WithAnswer] fills one.
type Answer struct {
	// Operation is the method that was called, such as "CVMs.Get".
	Operation string
	// StatusCode is the HTTP status, such as 200 or 202.
	StatusCode int
	// Header has the headers of the answer.
	Header http.Header
	// RequestID names the request to the operator of the API; empty if the answer has none.
	RequestID string
	// Attempts is how often the request was sent.
	Attempts int
	// Took is the time from the first attempt to the end of the answer.
	Took time.Duration
	// Body is the answer as it came, for members that the SDK does not know; nil for a stream.
	Body Hidden
}

// Decode reads the JSON of the body into a value.
func (a *Answer) Decode(into any) error { return json.Unmarshal(a.Body, into) }

// Format writes operation, status and request id, whatever the verb: headers and body may hold a secret.
func (a Answer) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s: %d [request %s]", a.Operation, a.StatusCode, a.RequestID)
}

// MarshalJSON writes what Format does.
func (a Answer) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{"operation": a.Operation, "status": a.StatusCode, "request_id": a.RequestID, "attempts": a.Attempts})
}

// LogValue returns what Format writes.
func (a Answer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("operation", a.Operation), slog.Int("status", a.StatusCode), slog.String("request_id", a.RequestID), slog.Int("attempts", a.Attempts))
}

// WithAnswer fills a with what came with the answer of the call, if it succeeds. An iterator over pages fills it
// with each page.
func WithAnswer(a *Answer) CallOption {
	return callOption(func(c *callConfig) error {
		if a == nil {
			return errNilAnswer
		}
		c.answer = a
		return nil
	})
}

// fill notes an answer that came for a plan.
func (a *Answer) fill(p *plan, resp *http.Response, began time.Time) {
	*a = Answer{
		Operation: p.name, StatusCode: resp.StatusCode, Header: resp.Header.Clone(), RequestID: requestID(resp.Header),
		Attempts: max(1, p.attempts), Took: time.Since(began),
	}
	if b, ok := resp.Body.(*buffered); ok {
		a.Body = append(Hidden{}, b.data...)
	}
}
