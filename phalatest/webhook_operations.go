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

// webhookTest is the type of the event of a test. What the cloud calls it is not documented.
const webhookTest webhook.Type = "webhook.test"

// withWebhooks is a handler that has the lock of the webhooks.
func withWebhooks(h func(*Server, *call, *webhooks) answer) handler {
	return func(s *Server, c *call) answer {
		s.webhooks.mu.Lock()
		defer s.webhooks.mu.Unlock()
		return h(s, c, s.webhooks)
	}
}

// onWebhook is a handler of an operation on one webhook.
func onWebhook(fn func(*Server, *call, *webhooks, *hook) answer) handler {
	return withWebhooks(func(s *Server, c *call, w *webhooks) answer {
		h := w.find(c.tenant, c.params["webhook_id"])
		if h == nil {
			return plain(http.StatusNotFound, "Webhook not found")
		}
		return fn(s, c, w, h)
	})
}

func createWebhook(s *Server, c *call) answer {
	s.drive()
	return withWebhooks(addWebhook)(s, c)
}

func addWebhook(s *Server, c *call, w *webhooks) answer {
	var request openapi.CreateWebhookRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	now := time.Now().UTC()
	h := &hook{
		tenant: c.tenant, id: "wh_" + newUUID(), url: request.URL, events: request.Events, enabled: true, secret: newWebhookSecret(),
		created: now, updated: now, name: deref(request.Name),
	}
	if request.Secret != nil {
		h.secret = string(*request.Secret)
	}
	if bad, ok := w.check(h); !ok {
		return bad
	}
	w.hooks = append(w.hooks, h)
	return answer{status: http.StatusCreated, body: h.describe(h.secret)}
}

// check refuses a webhook as the API does.
func (w *webhooks) check(h *hook) (bad answer, ok bool) {
	refuse := func(message, member string) (answer, bool) {
		return invalid("Value error, "+message, "value_error", "body", member), false
	}
	if err := w.sender.CheckURL(h.url); err != nil {
		return refuse(err.Error(), "url")
	}
	switch {
	case len(h.events) == 0:
		return refuse("at least one event", "events")
	case slices.Contains(h.events, ""):
		return refuse("an event is empty", "events")
	case utf8.RuneCountInString(h.name) > 100:
		return refuse("at most 100 characters", "name")
	case h.secret == "":
		return refuse("empty", "secret")
	}
	return answer{}, true
}

// describe is a webhook with its secret whole or masked.
func (h *hook) describe(secret string) openapi.Webhook {
	return openapi.Webhook{
		ID: openapi.ID(h.id), URL: h.url, Secret: openapi.Secret(secret), Events: h.events, Name: h.name, Enabled: h.enabled,
		CreatedAt: second(h.created), UpdatedAt: second(h.updated),
	}
}

// masked shows the last four characters of a secret that is long enough for it.
func (h *hook) masked() string {
	tail := h.secret
	if len(tail) < 16 {
		tail = ""
	}
	return "whsec_****..." + tail[max(0, len(tail)-4):]
}

func listWebhooks(_ *Server, c *call, w *webhooks) answer {
	all := []openapi.Webhook{}
	for _, h := range w.hooks {
		if h.tenant == c.tenant {
			all = append(all, h.describe(h.masked()))
		}
	}
	return ok(all)
}

func getWebhook(_ *Server, _ *call, _ *webhooks, h *hook) answer { return ok(h.describe(h.masked())) }

func updateWebhook(s *Server, c *call, w *webhooks, h *hook) answer {
	var request openapi.UpdateWebhookRequest
	if bad, ok := s.decode(c, &request); !ok {
		return bad
	}
	changed := *h
	if request.URL != nil {
		changed.url = *request.URL
	}
	if request.Events != nil {
		changed.events = request.Events
	}
	if request.Name != nil {
		changed.name = *request.Name
	}
	if request.Enabled != nil {
		changed.enabled = *request.Enabled
	}
	if bad, ok := w.check(&changed); !ok {
		return bad
	}
	changed.updated = time.Now().UTC()
	*h = changed
	return ok(h.describe(h.masked()))
}

func deleteWebhook(_ *Server, _ *call, w *webhooks, h *hook) answer {
	w.hooks = slices.DeleteFunc(w.hooks, func(other *hook) bool { return other == h })
	return noContent()
}

// secondFactor refuses to show a secret if an option is set.
func (w *webhooks) secondFactor() (bad answer, ok bool) {
	switch w.refused {
	case http.StatusForbidden:
		return plain(w.refused, "The account has no second factor"), false
	case http.StatusPreconditionRequired:
		return plain(w.refused, "The second factor must be checked again"), false
	}
	return answer{}, true
}

func revealWebhookSecret(_ *Server, _ *call, w *webhooks, h *hook) answer {
	if bad, ok := w.secondFactor(); !ok {
		return bad
	}
	return ok(openapi.WebhookSecret{Secret: openapi.Secret(h.secret)})
}

func rotateWebhookSecret(_ *Server, _ *call, w *webhooks, h *hook) answer {
	if bad, ok := w.secondFactor(); !ok {
		return bad
	}
	h.secret, h.updated = newWebhookSecret(), time.Now().UTC()
	return ok(openapi.WebhookSecret{Secret: openapi.Secret(h.secret)})
}

// testWebhook delivers a test event, whatever types the webhook has.
func testWebhook(_ *Server, _ *call, w *webhooks, h *hook) answer {
	event, err := h.tenant.newEvent(webhookTest, object{"message": "a test of the webhook"})
	if err != nil {
		return plain(http.StatusInternalServerError, err.Error())
	}
	w.start(h, posted{event: event, asked: true})
	return ok(object{"success": true, "event_id": event.ID})
}

func listDeliveries(_ *Server, c *call, _ *webhooks, h *hook) answer {
	limit, offset := c.number("limit", 50), c.number("offset", 0)
	newest := slices.Clone(h.deliveries)
	slices.SortFunc(newest, func(a, b *posted) int { return cmp.Compare(b.number, a.number) })
	offset = min(offset, len(newest))
	rows := []openapi.WebhookDelivery{}
	for _, d := range newest[offset:min(offset+limit, len(newest))] {
		rows = append(rows, d.describe())
	}
	return ok(rows)
}

func (d *posted) describe() openapi.WebhookDelivery {
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

// resendDelivery delivers an event again, under a new id.
func resendDelivery(_ *Server, c *call, w *webhooks, h *hook) answer {
	id := c.params["event_id"]
	i := slices.IndexFunc(h.deliveries, func(d *posted) bool { return d.event.ID == id })
	if i < 0 {
		return plain(http.StatusNotFound, fmt.Sprintf("Delivery %.80s not found", id))
	}
	event := h.deliveries[i].event
	event.ID = newEventID()
	w.start(h, posted{event: event, original: id, asked: true})
	return ok(object{"event_id": event.ID, "original_event_id": id})
}

// webhookStats counts the deliveries that have ended. The rate is of 1.
func webhookStats(_ *Server, _ *call, _ *webhooks, h *hook) answer {
	var succeeded int
	var sum, longest time.Duration
	total := len(h.deliveries)
	stats := openapi.WebhookStats{Total: total}
	for _, d := range h.deliveries {
		if d.Failure == "" {
			succeeded++
		}
		sum, longest = sum+d.Took, max(longest, d.Took)
	}
	if total > 0 {
		stats.LastDeliveryAt = openapi.Time{Time: h.deliveries[total-1].created}
		stats.SuccessRate, stats.AvgDurationMS = float64(succeeded)/float64(total), int((sum / time.Duration(total)).Milliseconds())
	}
	stats.SuccessCount, stats.FailedCount, stats.MaxDurationMS = succeeded, total-succeeded, int(longest.Milliseconds())
	return ok(stats)
}
