// Package delivery posts the events of webhooks as the cloud does: signed, with its time limit, attempts and pauses, and to
// public addresses only. It has no state: the caller keeps the webhooks and the outcomes.
package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/phala-go/phala/internal/pause"
	"github.com/phala-go/phala/webhook"
)

// timeout limits one attempt, from connecting to the end of the response.
const timeout = 10 * time.Second

// maxResponse limits the part of a response that is read, in bytes.
const maxResponse = 64 << 10

// Sender posts events.
type Sender struct {
	// Local accepts http, and hosts of this machine and of private networks.
	Local bool
	// Pauses are the pauses between the attempts; there is one attempt more.
	Pauses []time.Duration

	client *http.Client
}

// New returns a sender with the pauses of the cloud: 1 minute, 10 minutes and 1 hour.
func New() *Sender {
	s := &Sender{Pauses: []time.Duration{time.Minute, 10 * time.Minute, time.Hour}}
	s.client = &http.Client{
		Transport:     s.publicTransport(),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s
}

// Through sets the transport, which may reach any address.
func (s *Sender) Through(t http.RoundTripper) { s.client.Transport = t }

// Target is the URL of an event, and the secret that signs it.
type Target struct{ URL, Secret string }

// Outcome is the result of a delivery, with its last attempt.
type Outcome struct {
	// Attempts is the number of attempts; 0 if there was no target before the first.
	Attempts int
	// Delivered is the time of the delivery; zero if it failed.
	Delivered time.Time
	// URL is the URL of the last attempt.
	URL string
	// Status is the status of the response; 0 if there is none.
	Status int
	// Failure is empty if the event was delivered.
	Failure string
	// Took is the duration of the last attempt.
	Took time.Duration
}

// Deliver tries until it succeeds, the attempts are used up, ctx ends, or target reports false. It calls target before each
// attempt, so that a changed URL and a rotated secret take effect at once.
func (s *Sender) Deliver(ctx context.Context, event webhook.Event, target func() (Target, bool)) Outcome {
	var o Outcome
	for {
		to, exists := target()
		if !exists {
			return o
		}
		began := time.Now()
		o.URL = to.URL
		o.Status, o.Failure = s.attempt(ctx, to, event)
		o.Attempts++
		o.Took = time.Since(began)
		if o.Failure == "" {
			o.Delivered = time.Now().UTC()
			return o
		}
		if o.Attempts > len(s.Pauses) || pause.For(ctx, s.Pauses[o.Attempts-1]) != nil {
			return o
		}
	}
}

// attempt sends an event once. The failure is empty if it succeeded; the status is 0 if there was no response.
func (s *Sender) attempt(ctx context.Context, to Target, event webhook.Event) (status int, failure string) {
	if err := s.CheckURL(to.URL); err != nil {
		return 0, err.Error()
	}
	body, err := webhook.Marshal(event)
	if err != nil {
		return 0, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return 0, "the URL does not parse"
	}
	// Signed for each attempt: an hour later the first signature would be beyond the tolerance of all receivers.
	req.Header = webhook.Sign(to.Secret, body, time.Now())
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, explain(ctx, err)
	}
	defer resp.Body.Close()
	if ctx.Err() != nil { // a receiver that responds at the time limit is too late, even if its response is complete
		return 0, explain(ctx, ctx.Err())
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxResponse))
	switch {
	case err != nil || ctx.Err() != nil:
		return resp.StatusCode, explain(ctx, err)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return resp.StatusCode, fmt.Sprintf("HTTP %d: redirects are not followed", resp.StatusCode)
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return resp.StatusCode, fmt.Sprintf("HTTP %d", resp.StatusCode)
	}
	return resp.StatusCode, ""
}

// explain returns the reason why there was no complete response.
func explain(ctx context.Context, err error) string {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no complete response within %s", timeout)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return err.Error()
}
