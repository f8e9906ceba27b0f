package phalatest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/webhook"
)

func (s *Server) answerWebhooksCreate(c *call, r openapi.CreateWebhookRequest) *response {
	s.advanceInBackground()
	now := time.Now().UTC()
	h := &hook{
		workspace: c.workspace, id: "wh_" + newUUID(), url: r.URL, events: r.Events, enabled: true, secret: newWebhookSecret(),
		created: now, updated: now, name: deref(r.Name),
	}
	if r.Secret != nil {
		h.secret = string(*r.Secret)
	}
	if bad := s.checkWebhook(h); bad != nil {
		return bad
	}
	s.webhooks.hooks = append(s.webhooks.hooks, h)
	return created(h.describe(h.secret))
}

func (s *Server) checkWebhook(h *hook) *response {
	message, member := "", ""
	err := s.webhooks.sender.CheckURL(h.url)
	switch {
	case err != nil:
		message, member = err.Error(), "url"
	case len(h.events) == 0:
		message, member = "at least one event", "events"
	case slices.Contains(h.events, ""):
		message, member = "an event is empty", "events"
	case utf8.RuneCountInString(h.name) > 100:
		message, member = "at most 100 characters", "name"
	case h.secret == "":
		message, member = "empty", "secret"
	default:
		return nil
	}
	return invalidField("Value error, "+message, "body", member)
}

// describe returns a webhook with the given secret, which may be masked.
func (h *hook) describe(secret string) openapi.Webhook {
	return openapi.Webhook{
		ID: openapi.ID(h.id), URL: h.url, Secret: openapi.Secret(secret), Events: h.events, Name: h.name, Enabled: h.enabled,
		CreatedAt: second(h.created), UpdatedAt: second(h.updated),
	}
}

// describeMasked shows the last four characters of a secret that is long enough for it.
func (h *hook) describeMasked() openapi.Webhook {
	tail := h.secret
	if len(tail) < 16 {
		tail = ""
	}
	return h.describe("whsec_****..." + tail[max(0, len(tail)-4):])
}

func (s *Server) answerWebhooksList(c *call) *response {
	all := []openapi.Webhook{}
	for _, h := range s.webhooks.hooks {
		if h.workspace == c.workspace {
			all = append(all, h.describeMasked())
		}
	}
	return ok(all)
}

func (*Server) answerWebhooksGet(c *call) *response { return ok(c.hook.describeMasked()) }

func (s *Server) answerWebhooksUpdate(c *call, r openapi.UpdateWebhookRequest) *response {
	changed := *c.hook
	setIf(&changed.url, r.URL)
	setIf(&changed.name, r.Name)
	setIf(&changed.enabled, r.Enabled)
	if r.Events != nil {
		changed.events = r.Events
	}
	if bad := s.checkWebhook(&changed); bad != nil {
		return bad
	}
	changed.updated = time.Now().UTC()
	*c.hook = changed
	return ok(c.hook.describeMasked())
}

func (s *Server) answerWebhooksDelete(c *call) *response {
	s.webhooks.hooks = slices.DeleteFunc(s.webhooks.hooks, func(h *hook) bool { return h == c.hook })
	return noContent()
}

func (s *Server) answerWebhooksRevealSecret(c *call) *response {
	switch s.webhooks.refused {
	case http.StatusForbidden:
		return plainError(http.StatusForbidden, "The account has no second factor")
	case http.StatusPreconditionRequired:
		return plainError(http.StatusPreconditionRequired, "The second factor must be checked again")
	}
	return ok(openapi.WebhookSecret{Secret: openapi.Secret(c.hook.secret)})
}

func (s *Server) answerWebhooksRotateSecret(c *call) *response {
	if s.webhooks.refused == 0 {
		c.hook.secret, c.hook.updated = newWebhookSecret(), time.Now().UTC()
	}
	return s.answerWebhooksRevealSecret(c)
}

// webhookTest is the type of a test event. The cloud's own name for it is not documented.
const webhookTest webhook.Type = "webhook.test"

// answerWebhooksTest delivers a test event, whatever types the webhook has.
func (s *Server) answerWebhooksTest(c *call) *response {
	event, err := c.workspace.newEvent(webhookTest, object{"message": "a test of the webhook"})
	if err != nil {
		return internalError(err)
	}
	s.deliver(c.hook, eventDelivery{event: event, requested: true})
	return ok(object{"success": true, "event_id": event.ID})
}

func (*Server) answerWebhooksListDeliveries(c *call) *response {
	newest := slices.Clone(c.hook.deliveries)
	slices.SortFunc(newest, func(a, b *eventDelivery) int { return cmp.Compare(b.number, a.number) })
	from := min(c.number("offset", 0), len(newest))
	to := min(from+c.number("limit", 50), len(newest))
	return ok(mapped(newest[from:to], (*eventDelivery).describe))
}

func (d *eventDelivery) describe() openapi.WebhookDelivery {
	described := openapi.WebhookDelivery{
		SnowflakeID: d.number, EventID: d.event.ID, EventType: string(d.event.Type), Status: "failed", Attempts: d.Attempts, RequestURL: d.URL,
		ResponseStatus: d.Status, ErrorMessage: d.Failure, DurationMS: ref(int(d.Took.Milliseconds())), CreatedAt: openapi.Time{Time: d.created},
		OriginalEventID: d.original,
	}
	if d.Failure == "" {
		described.Status, described.DeliveredAt = "success", openapi.Time{Time: d.Delivered}
	}
	return described
}

// answerWebhooksResend delivers an event again, under a new id.
func (s *Server) answerWebhooksResend(c *call) *response {
	id := c.params["event_id"]
	d := first(c.hook.deliveries, func(d *eventDelivery) bool { return d.event.ID == id })
	if d == nil {
		return plainError(http.StatusNotFound, fmt.Sprintf("Delivery %.80s not found", id))
	}
	event := d.event
	event.ID = newEventID()
	s.deliver(c.hook, eventDelivery{event: event, original: id, requested: true})
	return ok(object{"event_id": event.ID, "original_event_id": id})
}

// answerWebhooksGetStats counts the deliveries that have ended. The success rate is from 0 to 1.
func (*Server) answerWebhooksGetStats(c *call) *response {
	var succeeded int
	var sum, longest time.Duration
	total := len(c.hook.deliveries)
	stats := openapi.WebhookStats{Total: total}
	for _, d := range c.hook.deliveries {
		if d.Failure == "" {
			succeeded++
		}
		sum, longest = sum+d.Took, max(longest, d.Took)
	}
	if total > 0 {
		stats.LastDeliveryAt = openapi.Time{Time: c.hook.deliveries[total-1].created}
		stats.SuccessRate, stats.AvgDurationMS = float64(succeeded)/float64(total), int((sum / time.Duration(total)).Milliseconds())
	}
	stats.SuccessCount, stats.FailedCount, stats.MaxDurationMS = succeeded, total-succeeded, int(longest.Milliseconds())
	return ok(stats)
}
