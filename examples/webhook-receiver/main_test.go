package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/webhook"
)

const secret = "whsec_test_0123456789abcdef0123456789"

func post(t *testing.T, h http.Handler, secret, id string) int {
	t.Helper()
	body := `{"id":"` + id + `","event":"cvm.stopped","version":"1","data":{"cvm_id":"1","cvm_name":"web","status":"stopped"}}`
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header = webhook.Sign(secret, []byte(body), time.Now())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestRun_Demonstration(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, &problems))
	for _, want := range []string{"cvm.created", "cvm.stopped", "200 OK", "401 Unauthorized"} {
		assert.Contains(t, out.String(), want)
	}
}

func TestReceiver_RemembersAcrossARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "handled")
	handled := 0
	count := func(context.Context, webhook.Event) error { handled++; return nil }
	log := slog.New(slog.DiscardHandler)
	receiver, closing, err := newReceiver([]string{secret}, file, count, log)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, post(t, receiver, secret, "evt_1"))
	assert.Equal(t, http.StatusOK, post(t, receiver, secret, "evt_1"))
	closing()

	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(kept, "1 \"evt_old\"\n17"...), 0o600)) // a day ago, and a line that was cut off
	receiver, closing, err = newReceiver([]string{secret}, file, count, log)
	require.NoError(t, err)
	defer closing()
	assert.Equal(t, http.StatusOK, post(t, receiver, secret, "evt_1"))
	assert.Equal(t, http.StatusNoContent, post(t, receiver, secret, "evt_2"))
	assert.Equal(t, http.StatusNoContent, post(t, receiver, secret, "evt_old"))
	assert.Equal(t, 3, handled)
}

func TestReceiver_HandlesAnEventAgainIfItFailed(t *testing.T) {
	t.Parallel()
	q := &queue{events: make(chan webhook.Event)} // full, and nobody takes from it
	receiver, closing, err := newReceiver([]string{secret}, filepath.Join(t.TempDir(), "handled"), q.add, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer closing()
	assert.Equal(t, http.StatusInternalServerError, post(t, receiver, secret, "evt_1"))
	q.events = make(chan webhook.Event, 1)
	assert.Equal(t, http.StatusNoContent, post(t, receiver, secret, "evt_1"))
}

func TestQueue_FinishesWhatItTook(t *testing.T) {
	t.Parallel()
	done := 0
	q := newQueue(func(context.Context, webhook.Event) { done++ })
	for range 10 {
		require.NoError(t, q.add(t.Context(), webhook.Event{}))
	}
	q.close()
	assert.Equal(t, 10, done)
}

func TestReadSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	s := settings{secrets: file}
	_, err := s.readSecrets()
	require.Error(t, err)
	require.NoError(t, os.WriteFile(file, []byte("new\n\nold\n"), 0o600))
	secrets, err := s.readSecrets()
	require.NoError(t, err)
	assert.Equal(t, []string{"new", "old"}, secrets)
	t.Setenv("PHALA_WEBHOOK_SECRETS", "")
	_, err = (&settings{}).readSecrets()
	require.ErrorContains(t, err, "no secret")
	t.Setenv("PHALA_WEBHOOK_SECRETS", "a,b")
	secrets, err = (&settings{}).readSecrets()
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, secrets)
}

func TestServe_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	require.NoError(t, serve(ctx, "127.0.0.1:0", http.NotFoundHandler(), writerFunc(func(b []byte) (int, error) {
		defer cancel()
		return out.Write(b)
	})))
	assert.Contains(t, out.String(), "listening on")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func TestParse_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"only flags": {"x"}, "not defined": {"-unknown"}, "slash": {"-path", "x"},
	} {
		var problems strings.Builder
		_, err := parse(args, &problems)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
