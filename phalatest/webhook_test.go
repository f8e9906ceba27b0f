package phalatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/webhook"
)

const hookSecret = "whsec_chosen_for_this_test"

// allEvents are the types that a webhook of these tests asks for.
var allEvents = []string{
	"cvm.created", "cvm.create_failed", "cvm.started", "cvm.restarted", "cvm.updated", "cvm.stopped", "cvm.deleted",
	"cvm.update.pending_approval",
}

// inbox notes what a receiver was sent.
type inbox struct {
	mu     sync.Mutex
	events []webhook.Event
}

func (i *inbox) take(_ context.Context, event webhook.Event) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.events = append(i.events, event)
	return nil
}

func (i *inbox) types() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var types []string
	for _, e := range i.events {
		types = append(types, string(e.Type))
	}
	return types
}

func receiver(t testing.TB, fn func(context.Context, webhook.Event) error) http.Handler {
	t.Helper()
	h, err := webhook.Handler(hookSecret, fn)
	require.NoError(t, err)
	return h
}

func subscribe(t testing.TB, c *client.Client, url string, events ...string) *openapi.Webhook {
	t.Helper()
	hook, err := c.Webhooks.Create(t.Context(), openapi.CreateWebhookRequest{
		URL: url, Events: events, Name: openapi.Ptr("mine"), Secret: openapi.Ptr(openapi.Secret(hookSecret)),
	})
	require.NoError(t, err)
	return hook
}

func deliveries(t testing.TB, c *client.Client, hook *openapi.Webhook) []openapi.WebhookDelivery {
	t.Helper()
	rows, err := c.Webhooks.ListDeliveries(t.Context(), string(hook.ID), nil)
	require.NoError(t, err)
	return rows
}

const publicURL = "https://app.example.com/hooks"

// Events are sent without any call about the CVM.
func TestWebhooks_OfALife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		s, c := start(t, phalatest.WithWebhookReceiver(receiver(t, in.take)))
		hook := subscribe(t, c, publicURL, allEvents...)
		p, vm := create(t, c, "web-1")
		later := func() { time.Sleep(time.Minute); synctest.Wait() }
		later()
		_, err := c.CVMs.Stop(t.Context(), vm.VMUUID)
		require.NoError(t, err)
		later()
		_, err = c.CVMs.Start(t.Context(), vm.VMUUID)
		require.NoError(t, err)
		later()
		_, err = c.CVMs.Restart(t.Context(), vm.VMUUID, nil)
		require.NoError(t, err)
		later()
		key, err := kms.ParsePublicKey(p.AppEnvEncryptPublicKey)
		require.NoError(t, err)
		blob, err := kms.EncryptEnv([]kms.EnvVar{{Key: "TOKEN", Value: "x"}}, key)
		require.NoError(t, err)
		_, err = c.CVMs.UpdateEnvs(t.Context(), vm.VMUUID, openapi.UpdateEnvsRequest{EncryptedEnv: openapi.Secret(blob)})
		require.NoError(t, err)
		later()
		_, err = c.CVMs.Shutdown(t.Context(), vm.VMUUID)
		require.NoError(t, err)
		later()
		require.NoError(t, c.CVMs.Delete(t.Context(), vm.VMUUID))
		later()
		s.FailBoot("web-2", "no such image")
		create(t, c, "web-2")
		later()

		assert.Equal(t, []string{
			"cvm.created", "cvm.stopped", "cvm.started", "cvm.restarted", "cvm.updated", "cvm.stopped", "cvm.deleted", "cvm.create_failed",
		}, in.types())
		first, err := in.events[0].Lifecycle()
		require.NoError(t, err)
		assert.Equal(t, webhook.Lifecycle{CVMID: vm.VMUUID, CVMName: "web-1", AppID: p.AppID, Status: "running"}, first)
		last, err := in.events[7].Lifecycle()
		require.NoError(t, err)
		assert.Equal(t, "error", last.Status)
		assert.Equal(t, "no such image", last.Error)
		assert.Equal(t, webhook.Workspace{ID: "test", Name: "Test"}, in.events[0].Workspace)
		assert.Regexp(t, `^evt_[0-9a-f]{16}$`, in.events[0].ID)

		rows := deliveries(t, c, hook)
		require.Len(t, rows, 8)
		assert.Equal(t, in.events[7].ID, rows[0].EventID, "the newest comes first")
		assert.Equal(t, "success", rows[0].Status)
		assert.Equal(t, 1, rows[0].Attempts)
		assert.Equal(t, http.StatusNoContent, rows[0].ResponseStatus)
		assert.Equal(t, publicURL, rows[0].RequestURL)
		assert.Empty(t, rows[0].ErrorMessage)
		assert.False(t, rows[0].DeliveredAt.IsZero())
	})
}

func TestWebhooks_WithTicksByHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		s, c := start(t, phalatest.WithManualTicks(), phalatest.WithWebhookReceiver(receiver(t, in.take)))
		subscribe(t, c, publicURL, allEvents...)
		create(t, c, "web-1")
		s.Tick()
		s.Tick()
		synctest.Wait()
		assert.Empty(t, in.types())
		s.Tick()
		synctest.Wait()
		assert.Equal(t, []string{"cvm.created"}, in.types())
	})
}

// attempt is what a receiver saw.
type attempt struct {
	after time.Duration
	id    string
	event string
}

// failing answers the first attempts with a status and then takes the event.
func failing(t testing.TB, times, status int, seen *[]attempt) http.Handler {
	t.Helper()
	began := time.Now()
	good := receiver(t, func(context.Context, webhook.Event) error { return nil })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*seen = append(*seen, attempt{time.Since(began), r.Header.Get(webhook.HeaderID), r.Header.Get(webhook.HeaderEvent)})
		if len(*seen) <= times {
			http.Error(w, "not now", status)
			return
		}
		good.ServeHTTP(w, r)
	})
}

func TestWebhookAttempts(t *testing.T) {
	t.Parallel()
	pauses := []time.Duration{0, time.Minute, 11 * time.Minute, 71 * time.Minute}
	for name, tt := range map[string]struct {
		failures, attempts int
		status             string
		response           int
		message            string
	}{
		"the second succeeds": {1, 2, "success", 204, ""},
		"the last succeeds":   {3, 4, "success", 204, ""},
		"all fail":            {4, 4, "failed", 503, "HTTP 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen []attempt
				s, c := start(t, phalatest.WithWebhookReceiver(failing(t, tt.failures, http.StatusServiceUnavailable, &seen)))
				hook := subscribe(t, c, publicURL, "of.tomorrow")
				require.NoError(t, s.Emit("of.tomorrow", map[string]int{"order": 7}))
				synctest.Wait()
				assert.Len(t, seen, 1)
				assert.Empty(t, deliveries(t, c, hook), "a row says how it ended")
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				require.Len(t, seen, tt.attempts)
				for i, a := range seen {
					assert.Equal(t, pauses[i], a.after)
					assert.Equal(t, seen[0].id, a.id, "every attempt has the same id")
					assert.Equal(t, "of.tomorrow", a.event)
				}
				rows := deliveries(t, c, hook)
				require.Len(t, rows, 1)
				assert.Equal(t, seen[0].id, rows[0].EventID)
				assert.Equal(t, tt.attempts, rows[0].Attempts)
				assert.Equal(t, tt.status, rows[0].Status)
				assert.Equal(t, tt.response, rows[0].ResponseStatus)
				assert.Equal(t, tt.message, rows[0].ErrorMessage)
				assert.Equal(t, tt.status != "success", rows[0].DeliveredAt.IsZero())
			})
		})
	}
}

func TestWebhookHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := make(chan http.Header, 1)
		s, c := start(t, phalatest.WithWebhookReceiver(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			assert.Equal(t, http.MethodPost, r.Method)
			assert.Equal(t, "/hooks", r.URL.Path)
			got <- r.Header
		})))
		subscribe(t, c, publicURL, "cvm.created")
		require.NoError(t, s.Emit(webhook.CVMCreated, webhook.Lifecycle{CVMName: "web"}))
		h := <-got
		assert.Equal(t, "application/json", h.Get("Content-Type"))
		assert.Equal(t, "PhalaCloud-Webhook/1.0", h.Get("User-Agent"))
		assert.Equal(t, "cvm.created", h.Get("X-Webhook-Event"))
		assert.Regexp(t, `^evt_[0-9a-f]{16}$`, h.Get("X-Webhook-Id"))
		assert.Equal(t, "946684800", h.Get("X-Webhook-Timestamp"), "the clock of testing/synctest")
		assert.Regexp(t, `^sha256=[0-9a-f]{64}$`, h.Get("X-Webhook-Signature"))
	})
}

func TestWebhookReceivers_ThatMisbehave(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handler  http.HandlerFunc
		response int
		message  string
		took     int
	}{
		"does not answer": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, 0, "no complete response within 10s", 10_000},
		"answers too slowly": {func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, 200, "no complete response within 10s", 10_000},
		"redirects": {func(w http.ResponseWriter, r *http.Request) {
			assert.NotEqual(t, "/elsewhere", r.URL.Path, "a redirect was followed")
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, 307, "HTTP 307: redirects are not followed", 0},
		"refuses":    {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", http.StatusNotFound) }, 404, "HTTP 404", 0},
		"hangs up":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "connection reset by the fake cloud", 0},
		"takes nine": {func(http.ResponseWriter, *http.Request) { time.Sleep(9 * time.Second) }, 200, "", 9_000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c := start(t, phalatest.WithWebhookReceiver(tt.handler), phalatest.WithWebhookPauses())
				hook := subscribe(t, c, publicURL, "x")
				require.NoError(t, s.Emit("x", nil))
				time.Sleep(time.Minute)
				synctest.Wait()
				rows := deliveries(t, c, hook)
				require.Len(t, rows, 1)
				assert.Equal(t, 1, rows[0].Attempts)
				assert.Equal(t, tt.response, rows[0].ResponseStatus)
				assert.Equal(t, tt.message, rows[0].ErrorMessage)
				assert.Equal(t, tt.took, *rows[0].DurationMS)
			})
		})
	}
}

// A receiver that takes longer than the cloud waits processes an event once.
func TestSlowFunction_IsCalledOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s, c := start(t, phalatest.WithWebhookReceiver(receiver(t, func(context.Context, webhook.Event) error {
			calls++
			time.Sleep(90 * time.Second)
			return nil
		})))
		hook := subscribe(t, c, publicURL, "x")
		require.NoError(t, s.Emit("x", nil))
		time.Sleep(time.Hour)
		synctest.Wait()
		rows := deliveries(t, c, hook)
		require.Len(t, rows, 1)
		assert.Equal(t, 1, calls)
		assert.Equal(t, 3, rows[0].Attempts, "no answer, being handled, handled before")
		assert.Equal(t, http.StatusOK, rows[0].ResponseStatus)
	})
}

func TestWebhookSecrets_AreMasked(t *testing.T) {
	t.Parallel()
	_, c := start(t)
	ctx := t.Context()
	made, err := c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{URL: publicURL, Events: []string{"cvm.created"}})
	require.NoError(t, err)
	secret := string(made.Secret)
	assert.Regexp(t, `^whsec_[A-Za-z0-9_-]{43}$`, secret)
	masked := "whsec_****..." + secret[len(secret)-4:]
	got, err := c.Webhooks.Get(ctx, string(made.ID))
	require.NoError(t, err)
	assert.Equal(t, masked, string(got.Secret))
	all, err := c.Webhooks.List(ctx)
	require.NoError(t, err)
	require.Len(t, all, 1)
	assert.Equal(t, masked, string(all[0].Secret))
	_, err = webhook.Handler(string(all[0].Secret), func(context.Context, webhook.Event) error { return nil })
	require.ErrorContains(t, err, "masked by the API")
	shown, err := c.Webhooks.RevealSecret(ctx, string(made.ID))
	require.NoError(t, err)
	assert.Equal(t, secret, string(shown.Secret))
	rotated, err := c.Webhooks.RotateSecret(ctx, string(made.ID))
	require.NoError(t, err)
	assert.NotEqual(t, secret, string(rotated.Secret))
	short, err := c.Webhooks.Create(ctx, openapi.CreateWebhookRequest{
		URL: publicURL, Events: []string{"x"}, Secret: openapi.Ptr(openapi.Secret("short")),
	})
	require.NoError(t, err)
	assert.Equal(t, "short", string(short.Secret))
	got, err = c.Webhooks.Get(ctx, string(short.ID))
	require.NoError(t, err)
	assert.Equal(t, "whsec_****...", string(got.Secret))
}

// The old secret is invalid at once, also for later attempts of earlier events.
func TestWebhookRotation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var statuses []int
		old := receiver(t, func(context.Context, webhook.Event) error { return errors.New("not now") })
		s, c := start(t, phalatest.WithWebhookReceiver(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			old.ServeHTTP(rec, r)
			statuses = append(statuses, rec.Code)
			w.WriteHeader(rec.Code)
		})), phalatest.WithWebhookPauses(time.Minute))
		hook := subscribe(t, c, publicURL, "x")
		require.NoError(t, s.Emit("x", nil))
		synctest.Wait()
		_, err := c.Webhooks.RotateSecret(t.Context(), string(hook.ID))
		require.NoError(t, err)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assert.Equal(t, []int{http.StatusInternalServerError, http.StatusUnauthorized}, statuses)
	})
}

func TestWebhookSecretsRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusForbidden, http.StatusPreconditionRequired} {
		_, c := start(t, phalatest.WithWebhookSecretsRefused(status))
		hook := subscribe(t, c, publicURL, "x")
		_, err := c.Webhooks.RevealSecret(t.Context(), string(hook.ID))
		assertStatus(t, status, err)
		_, err = c.Webhooks.RotateSecret(t.Context(), string(hook.ID))
		assertStatus(t, status, err)
	}
	_, err := phalatest.Start(phalatest.WithWebhookSecretsRefused(500))
	require.ErrorContains(t, err, "want 403 or 428")
}

func assertStatus(t testing.TB, want int, err error) {
	t.Helper()
	var api *client.APIError
	if assert.ErrorAs(t, err, &api) {
		assert.Equal(t, want, api.StatusCode)
	}
}

func TestWebhookUpdateAndDelete(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		s, c := start(t, phalatest.WithWebhookReceiver(receiver(t, in.take)))
		ctx := t.Context()
		hook := subscribe(t, c, publicURL, "a")
		id := string(hook.ID)
		emit := func(types ...webhook.Type) {
			for _, typ := range types {
				require.NoError(t, s.Emit(typ, nil))
				synctest.Wait()
			}
		}
		emit("a", "b")
		assert.Equal(t, []string{"a"}, in.types(), "only what was asked for")

		changed, err := c.Webhooks.Update(ctx, id, openapi.UpdateWebhookRequest{Events: []string{"b"}, URL: openapi.Ptr(publicURL + "/2")})
		require.NoError(t, err)
		assert.Equal(t, []string{"b"}, changed.Events)
		assert.Equal(t, publicURL+"/2", changed.URL)
		assert.Equal(t, "mine", changed.Name, "the rest stays")
		emit("a", "b")
		assert.Equal(t, []string{"a", "b"}, in.types())

		changed, err = c.Webhooks.Update(ctx, id, openapi.UpdateWebhookRequest{Enabled: openapi.Ptr(false)})
		require.NoError(t, err)
		assert.False(t, changed.Enabled)
		emit("b")
		assert.Equal(t, []string{"a", "b"}, in.types())
		_, err = c.Webhooks.Test(ctx, id)
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, []string{"a", "b", "webhook.test"}, in.types(), "a test is delivered all the same")

		_, err = c.Webhooks.Update(ctx, id, openapi.UpdateWebhookRequest{Events: []string{}})
		assertStatus(t, http.StatusUnprocessableEntity, err)
		require.NoError(t, c.Webhooks.Delete(ctx, id))
		_, err = c.Webhooks.Get(ctx, id)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorIs(t, c.Webhooks.Delete(ctx, id), client.ErrNotFound)
	})
}

// A delivery is not tried again after its webhook was deleted or disabled.
func TestWebhookGoneDuring_APause(t *testing.T) {
	t.Parallel()
	for name, remove := range map[string]func(context.Context, *client.Client, string) error{
		"deleted": func(ctx context.Context, c *client.Client, id string) error { return c.Webhooks.Delete(ctx, id) },
		"paused": func(ctx context.Context, c *client.Client, id string) error {
			_, err := c.Webhooks.Update(ctx, id, openapi.UpdateWebhookRequest{Enabled: openapi.Ptr(false)})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var seen []attempt
				s, c := start(t, phalatest.WithWebhookReceiver(failing(t, 9, 500, &seen)))
				hook := subscribe(t, c, publicURL, "x")
				require.NoError(t, s.Emit("x", nil))
				synctest.Wait()
				require.NoError(t, remove(t.Context(), c, string(hook.ID)))
				time.Sleep(24 * time.Hour)
				assert.Len(t, seen, 1)
			})
		})
	}
}

func TestWebhookResendAndStats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []attempt
		s, c := start(t, phalatest.WithWebhookReceiver(failing(t, 1, 500, &seen)), phalatest.WithWebhookPauses())
		ctx := t.Context()
		hook := subscribe(t, c, publicURL, "x")
		id := string(hook.ID)
		stats, err := c.Webhooks.GetStats(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, openapi.WebhookStats{}, *stats)

		require.NoError(t, s.Emit("x", map[string]int{"order": 7}))
		synctest.Wait()
		first := deliveries(t, c, hook)[0]
		assert.Equal(t, "failed", first.Status)
		raw, err := c.Webhooks.Resend(ctx, id, first.EventID)
		require.NoError(t, err)
		var resent struct {
			EventID  string `json:"event_id"`
			Original string `json:"original_event_id"`
		}
		require.NoError(t, json.Unmarshal(raw, &resent))
		assert.Equal(t, first.EventID, resent.Original)
		assert.NotEqual(t, first.EventID, resent.EventID)
		time.Sleep(time.Second)
		synctest.Wait()
		rows := deliveries(t, c, hook)
		require.Len(t, rows, 2)
		assert.Equal(t, resent.EventID, rows[0].EventID)
		assert.Equal(t, first.EventID, rows[0].OriginalEventID)
		assert.Equal(t, "success", rows[0].Status)
		assert.Empty(t, rows[1].OriginalEventID)
		assert.Greater(t, rows[0].SnowflakeID, rows[1].SnowflakeID)

		_, err = c.Webhooks.Resend(ctx, id, "evt_0000000000000000")
		require.ErrorIs(t, err, client.ErrNotFound)
		stats, err = c.Webhooks.GetStats(ctx, id)
		require.NoError(t, err)
		assert.Equal(t, 2, stats.Total)
		assert.Equal(t, 1, stats.SuccessCount)
		assert.Equal(t, 1, stats.FailedCount)
		assert.InDelta(t, 0.5, stats.SuccessRate, 0)
		assert.False(t, stats.LastDeliveryAt.IsZero())

		page, err := c.Webhooks.ListDeliveries(ctx, id, &openapi.WebhooksListDeliveriesParams{Limit: openapi.Ptr(1), Offset: openapi.Ptr(1)})
		require.NoError(t, err)
		assert.Equal(t, rows[1:], page)
		page, err = c.Webhooks.ListDeliveries(ctx, id, &openapi.WebhooksListDeliveriesParams{Offset: openapi.Ptr(9)})
		require.NoError(t, err)
		assert.Empty(t, page)
	})
}

func TestWebhooks_ThatAreRefused(t *testing.T) {
	t.Parallel()
	_, c := start(t, phalatest.Lenient())
	hook := subscribe(t, c, publicURL, "x")
	long := strings.Repeat("ä", 101)
	for want, r := range map[string]openapi.CreateWebhookRequest{
		`begins with "http", want https`:       {URL: "http://app.example.com", Events: []string{"x"}},
		`begins with "ftp"`:                    {URL: "ftp://app.example.com", Events: []string{"x"}},
		"has no host":                          {URL: "/hooks", Events: []string{"x"}},
		"does not parse":                       {URL: "https://app.example.com:port", Events: []string{"x"}},
		"host localhost is not public":         {URL: "https://LOCALHOST:8443", Events: []string{"x"}},
		"host a.localhost is not public":       {URL: "https://a.localhost.", Events: []string{"x"}},
		"host printer.local is not public":     {URL: "https://printer.local", Events: []string{"x"}},
		"metadata.google.internal":             {URL: "https://metadata.google.internal", Events: []string{"x"}},
		"address 127.0.0.1 is not public":      {URL: "https://127.0.0.1", Events: []string{"x"}},
		"address 0.0.0.0 is not public":        {URL: "https://0.0.0.0", Events: []string{"x"}},
		"address 10.1.2.3 is not public":       {URL: "https://10.1.2.3", Events: []string{"x"}},
		"address 172.16.0.1 is not public":     {URL: "https://172.16.0.1", Events: []string{"x"}},
		"address 192.168.0.1 is not public":    {URL: "https://192.168.0.1", Events: []string{"x"}},
		"address 100.64.0.1 is not public":     {URL: "https://100.64.0.1", Events: []string{"x"}},
		"address 169.254.169.254":              {URL: "https://169.254.169.254/latest", Events: []string{"x"}},
		"address ::1 is not public":            {URL: "https://[::1]", Events: []string{"x"}},
		"address ::ffff:127.0.0.1":             {URL: "https://[::ffff:127.0.0.1]", Events: []string{"x"}},
		"address fe80::1%25eth0 is not public": {URL: "https://[fe80::1%2525eth0]", Events: []string{"x"}},
		"address fd00:ec2::254":                {URL: "https://[fd00:ec2::254]", Events: []string{"x"}},
		"at least one event":                   {URL: publicURL},
		"an event is empty":                    {URL: publicURL, Events: []string{""}},
		"100":                                  {URL: publicURL, Events: []string{"x"}, Name: &long},
		"empty":                                {URL: publicURL, Events: []string{"x"}, Secret: openapi.Ptr(openapi.Secret(""))},
	} {
		if r.Events == nil {
			r.Events = []string{}
		}
		_, err := c.Webhooks.Create(t.Context(), r)
		assertStatus(t, http.StatusUnprocessableEntity, err)
		assert.ErrorContains(t, err, want)
		if r.Secret == nil && len(r.Events) > 0 {
			_, err = c.Webhooks.Update(t.Context(), string(hook.ID), openapi.UpdateWebhookRequest{URL: &r.URL, Events: r.Events, Name: r.Name})
			assert.ErrorContains(t, err, want)
		}
	}
	for _, url := range []string{"https://8.8.8.8/x", "https://[2001:4860:4860::8888]:8443", "https://local.example.com"} {
		subscribe(t, c, url, "x")
	}
}

// The same over real connections: plain, and with a certificate of its own.
func TestWebhooks_OverTheLoopback(t *testing.T) {
	t.Parallel()
	got := make(chan webhook.Event, 1)
	h := receiver(t, func(_ context.Context, event webhook.Event) error { got <- event; return nil })
	plain, secure := httptest.NewServer(h), httptest.NewUnstartedServer(h)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // a connection that was not needed in the end
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for url, opts := range map[string][]phalatest.Option{
		plain.URL:  {phalatest.WithLocalWebhooks()},
		secure.URL: {phalatest.WithLocalWebhooks(), phalatest.WithWebhookTransport(secure.Client().Transport)},
	} {
		s, c := start(t, opts...)
		subscribe(t, c, url, "cvm.created", "cvm.update.pending_approval")
		_, vm := create(t, c, "web-1")
		event := <-got
		cvm, err := event.Lifecycle()
		require.NoError(t, err)
		assert.Equal(t, vm.VMUUID, cvm.CVMID)

		want := webhook.PendingApproval{CVMName: "web-1", ComposeHash: "0x22", CommitToken: "token", KMS: webhook.KMSContract{ChainID: 1}}
		require.NoError(t, s.Emit(webhook.CVMUpdatePendingApproval, want))
		event = <-got
		p, err := event.PendingApproval()
		require.NoError(t, err)
		assert.Equal(t, want, p)
	}
}

// Close ends a pause of an hour and all goroutines at once.
func TestCloseGivesUpDeliveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var seen []attempt
		s, c := start(t, phalatest.WithWebhookReceiver(failing(t, 9, 500, &seen)))
		subscribe(t, c, publicURL, "x")
		require.NoError(t, s.Emit("x", nil))
		time.Sleep(12 * time.Minute)
		began := time.Now()
		s.Close()
		assert.Zero(t, time.Since(began))
		assert.Len(t, seen, 3)
		require.NoError(t, s.Emit("x", nil), "nobody is there any more")
		synctest.Wait()
		assert.Len(t, seen, 3)
	})
}

func TestWebhookOptions_Invalid(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]phalatest.Option{
		"webhook receiver: nil":                    phalatest.WithWebhookReceiver(nil),
		"webhook transport: nil":                   phalatest.WithWebhookTransport(nil),
		"webhook pause -1s: want at least 0":       phalatest.WithWebhookPauses(-time.Second),
		"status 200 of refused webhook secrets: w": phalatest.WithWebhookSecretsRefused(200),
	} {
		_, err := phalatest.Start(o)
		require.ErrorContains(t, err, want)
	}
	s, _ := start(t)
	require.ErrorContains(t, s.Emit("x", func() {}), "event x")
}

// The event of a prepared update has the token that commits it.
func TestPreparedUpdate_IsAnnounced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		_, c := start(t, phalatest.WithWebhookReceiver(receiver(t, in.take)))
		subscribe(t, c, publicURL, "cvm.update.pending_approval", "cvm.updated")
		_, vm := create(t, c, "web-1")
		time.Sleep(time.Minute)
		_, err := c.CVMs.Update(t.Context(), vm.VMUUID,
			openapi.UpdateCVMRequest{DockerComposeFile: openapi.Ptr("services:\n  a: {image: other}\n")},
			&openapi.CVMsUpdateParams{PrepareOnly: openapi.Ptr(true)})
		var required *client.HashRegistrationRequired
		require.ErrorAs(t, err, &required, "%v", err)
		synctest.Wait()
		require.Equal(t, []string{"cvm.update.pending_approval"}, in.types())
		p, err := in.events[0].PendingApproval()
		require.NoError(t, err)
		assert.Equal(t, "0x"+required.ComposeHash, p.ComposeHash)
		assert.Equal(t, "web-1", p.CVMName)
		assert.WithinDuration(t, time.Now().Add(14*24*time.Hour), p.ExpiresAt, time.Minute)
		_, err = c.CVMs.CommitUpdate(t.Context(), vm.VMUUID, &openapi.CommitUpdateRequest{
			Token: openapi.Ptr(openapi.Secret(p.CommitToken)), ComposeHash: openapi.Ptr(p.OnChainAction.Calldata),
			TransactionHash: openapi.Ptr("already-registered"),
		}, nil)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"cvm.update.pending_approval", "cvm.updated"}, in.types())
	})
}
