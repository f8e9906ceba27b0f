package phalatest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/phala-go/phala/webhook"
)

// deliveryTimeout bounds one attempt, from connecting to the end of the answer.
const deliveryTimeout = 10 * time.Second

// maxDeliveryAnswer is how much of an answer is read, in bytes.
const maxDeliveryAnswer = 64 << 10

// delivery is an event on its way to a webhook, or at its end.
type delivery struct {
	number    int64
	event     webhook.Event
	original  string // id of the event that this one repeats
	asked     bool   // by a call, so that a pause of the webhook does not count
	created   time.Time
	delivered time.Time // zero where it was not

	// of the last attempt
	attempts int
	url      string
	status   int
	failure  string
	took     time.Duration
}

// start sets an event on its way. The lock is held.
func (w *webhooks) start(h *hook, d delivery) {
	w.number++
	d.number, d.created = w.number, time.Now().UTC()
	w.run(func() { w.deliver(h, &d) })
}

// deliver tries until it succeeds, the attempts are used up, or the webhook is gone or paused.
func (w *webhooks) deliver(h *hook, d *delivery) {
	for {
		secret, active := w.aim(h, d)
		if !active {
			break
		}
		began := time.Now()
		d.status, d.failure = w.attempt(d, secret)
		d.attempts++
		d.took = time.Since(began)
		if d.failure == "" {
			d.delivered = time.Now().UTC()
			break
		}
		if d.attempts > len(w.pauses) || !sleep(w.ctx, w.pauses[d.attempts-1]) {
			break
		}
	}
	if d.attempts == 0 || w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(h.deliveries) >= maxHistory {
		h.deliveries = slices.Delete(h.deliveries, 0, len(h.deliveries)-maxHistory+1)
	}
	h.deliveries = append(h.deliveries, d)
}

// aim gives URL and secret as they are now: a rotated secret counts at once.
func (w *webhooks) aim(h *hook, d *delivery) (secret string, active bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.hooks, h) || !h.enabled && !d.asked {
		return "", false
	}
	d.url = h.url
	return h.secret, true
}

// attempt posts an event once. The failure is empty where it succeeded; the status 0 where there was no answer.
func (w *webhooks) attempt(d *delivery, secret string) (status int, failure string) {
	if err := w.checkURL(d.url); err != nil {
		return 0, err.Error()
	}
	body, err := json.Marshal(d.event)
	if err != nil {
		return 0, err.Error()
	}
	ctx, cancel := context.WithTimeout(w.ctx, deliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(body))
	if err != nil {
		return 0, "the URL does not parse"
	}
	// Anew for each attempt: an hour later the first signature would be beyond the tolerance of all receivers.
	req.Header = webhook.Sign(secret, body, time.Now())
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, explain(ctx, err)
	}
	defer resp.Body.Close()
	if ctx.Err() != nil { // a receiver that gives up when we do is too late, even where its answer is not
		return 0, explain(ctx, ctx.Err())
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxDeliveryAnswer))
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

// explain says why there was no answer, or none to its end.
func explain(ctx context.Context, err error) string {
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("no complete answer within %s", deliveryTimeout)
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	return err.Error()
}

// sleep pauses, and says whether that was to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
