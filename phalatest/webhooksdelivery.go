package phalatest

import (
	"slices"
	"time"

	"github.com/phala-go/phala/phalatest/internal/delivery"
	"github.com/phala-go/phala/webhook"
)

// posted is an event on its way to a webhook, or at its end.
type posted struct {
	delivery.Outcome

	number   int64
	event    webhook.Event
	original string // id of the event that this one repeats
	asked    bool   // by a call, so that a pause of the webhook does not count
	created  time.Time
}

// start sets an event on its way. The lock is held.
func (w *webhooks) start(h *hook, d posted) {
	w.number++
	d.number, d.created = w.number, time.Now().UTC()
	w.run(func() { w.deliver(h, &d) })
}

// deliver posts an event, and keeps a row of it unless the webhook was gone or paused before the first attempt.
func (w *webhooks) deliver(h *hook, d *posted) {
	d.Outcome = w.sender.Deliver(w.ctx, d.event, func() (delivery.Target, bool) { return w.aim(h, d) })
	if d.Attempts == 0 || w.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(h.deliveries) >= maxHistory {
		h.deliveries = slices.Delete(h.deliveries, 0, len(h.deliveries)-maxHistory+1)
	}
	h.deliveries = append(h.deliveries, d)
}

// aim is the webhook as it is now.
func (w *webhooks) aim(h *hook, d *posted) (delivery.Target, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.hooks, h) || !h.enabled && !d.asked {
		return delivery.Target{}, false
	}
	return delivery.Target{URL: h.url, Secret: h.secret}, true
}
