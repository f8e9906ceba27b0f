package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/webhook"
)

func deliverTo(h http.Handler, secret, id string) int {
	body := fmt.Sprintf(`{"id":%q,"event":"cvm.created","version":"1","data":{}}`, id)
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header = webhook.Sign(secret, []byte(body), time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestReceiver_RotatesSecretsAndRemembersWhatWasHandled(t *testing.T) {
	t.Parallel()
	var handled []string
	h, err := webhook.Handler("whsec_one", func(_ context.Context, e webhook.Event) error { handled = append(handled, e.ID); return nil })
	require.NoError(t, err)
	assert.Equal(t, 204, deliverTo(h, "whsec_one", "evt_1"))
	assert.Equal(t, 401, deliverTo(h, "whsec_two", "evt_2"))

	require.NoError(t, h.SetSecrets("whsec_two", "whsec_one"))
	assert.Equal(t, 200, deliverTo(h, "whsec_one", "evt_1"), "handled before the rotation")
	assert.Equal(t, 200, deliverTo(h, "whsec_two", "evt_1"))
	assert.Equal(t, 204, deliverTo(h, "whsec_two", "evt_2"))
	assert.Equal(t, 204, deliverTo(h, "whsec_one", "evt_3"), "on its way while the secret was rotated")

	require.NoError(t, h.SetSecrets("whsec_two"))
	assert.Equal(t, 401, deliverTo(h, "whsec_one", "evt_4"))
	require.ErrorContains(t, h.SetSecrets(""), "everybody could sign")
	require.ErrorContains(t, h.SetSecrets("whsec_three", " x"), "white space")
	assert.Equal(t, 204, deliverTo(h, "whsec_two", "evt_4"), "a refused rotation changes nothing")
	assert.Equal(t, 401, deliverTo(h, "whsec_three", "evt_5"))
	assert.Equal(t, []string{"evt_1", "evt_2", "evt_3", "evt_4"}, handled)
}

func TestReceiver_RotatesWhileDeliveriesCome(t *testing.T) {
	t.Parallel()
	var handled atomic.Int64
	h, err := webhook.Handler("whsec_0", func(context.Context, webhook.Event) error { handled.Add(1); return nil })
	require.NoError(t, err)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				assert.Equal(t, 204, deliverTo(h, "whsec_0", fmt.Sprintf("evt_%d_%d", i, j)))
			}
		})
		all.Go(func() {
			for j := range 50 {
				assert.NoError(t, h.SetSecrets("whsec_0", fmt.Sprintf("whsec_%d", j)))
			}
		})
	}
	all.Wait()
	assert.EqualValues(t, 400, handled.Load())
}

func TestReceiver_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	const secret = "whsec_planted"
	h, err := webhook.Handler(secret, func(context.Context, webhook.Event) error { return nil }, webhook.WithSecrets(secret+"2"))
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "receiver", h, "option", webhook.WithSecrets(secret))
	shown := []string{log.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		shown = append(shown, fmt.Sprintf(verb, h), fmt.Sprintf(verb, *h), fmt.Sprintf(verb, struct{ H any }{h}), fmt.Sprintf(verb, webhook.WithSecrets(secret)))
	}
	for _, s := range shown {
		assert.NotContains(t, s, "planted")
		assert.NotContains(t, s, "706c616e746564")
	}
}

func TestMemoryStore_IsBounded(t *testing.T) {
	t.Parallel()
	m := webhook.NewMemoryStore(time.Hour, 10)
	ctx := t.Context()
	for i := range 1000 {
		id := fmt.Sprint("evt_", i)
		require.NoError(t, m.Claim(ctx, id))
		require.NoError(t, m.Finish(ctx, id))
		require.LessOrEqual(t, m.Len(), 10)
	}
	require.ErrorIs(t, m.Claim(ctx, "evt_999"), webhook.ErrHandled)
	for i := range 10 {
		require.NoError(t, m.Claim(ctx, fmt.Sprint("open_", i)))
	}
	err := m.Claim(ctx, "open_10")
	require.ErrorContains(t, err, "too many events")
	require.NotErrorIs(t, err, webhook.ErrHandled, "it must be tried again")
	require.NoError(t, m.Release(ctx, "open_0"))
	require.NoError(t, m.Claim(ctx, "open_10"))
}
