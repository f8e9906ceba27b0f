package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestRetryPolicy_ZeroFieldsKeepTheirDefaults(t *testing.T) {
	t.Parallel()
	full := RetryPolicy{MaxAttempts: 4, BaseDelay: 500 * time.Millisecond, MaxDelay: 10 * time.Second, MaxRetryAfter: 30 * time.Second}
	assert.Equal(t, full, DefaultRetryPolicy())
	for name, tt := range map[string]struct{ given, want RetryPolicy }{
		"attempts":             {RetryPolicy{MaxAttempts: 3}, RetryPolicy{3, full.BaseDelay, full.MaxDelay, full.MaxRetryAfter}},
		"a long base delay":    {RetryPolicy{BaseDelay: time.Minute}, RetryPolicy{4, time.Minute, time.Minute, full.MaxRetryAfter}},
		"no pauses":            {RetryPolicy{BaseDelay: NoDelay, MaxDelay: NoDelay}, RetryPolicy{4, 0, 0, full.MaxRetryAfter}},
		"no Retry-After":       {RetryPolicy{MaxRetryAfter: NoDelay}, RetryPolicy{4, full.BaseDelay, full.MaxDelay, 0}},
		"a long Retry-After":   {RetryPolicy{MaxRetryAfter: time.Hour}, RetryPolicy{4, full.BaseDelay, full.MaxDelay, time.Hour}},
		"everything is as set": {RetryPolicy{9, 1, 2, 3}, RetryPolicy{9, 1, 2, 3}},
	} {
		require.NoError(t, tt.given.check(), name)
		assert.Equal(t, tt.want, tt.given.complete(), name)
		c := newTest(t, nil, WithRetry(tt.given))
		assert.Equal(t, tt.want, c.config.retry, name)
	}
}

// A policy that names attempts alone still pauses and still obeys Retry-After.
func TestRetryPolicy_AttemptsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			sent++
			return reply(503, "", "Retry-After", "20"), nil
		}, WithRetry(RetryPolicy{MaxAttempts: 3}))
		began := time.Now()
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.ErrorIs(t, err, ErrServer)
		assert.Equal(t, 3, sent)
		assert.Equal(t, 40*time.Second, time.Since(began))
	})
}

func TestAPIError_NamesRetryAfterAndItsBound(t *testing.T) {
	t.Parallel()
	for after, want := range map[string]string{
		"120": "CVMs.Get: 429: slow down, retry after 2m0s (more than the 30s that are waited)",
		"5":   "CVMs.Get: 429: slow down after 4 attempts, retry after 5s",
		"":    "CVMs.Get: 429: slow down after 4 attempts",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newTest(t, func(*http.Request) (*http.Response, error) {
				return reply(429, `{"detail":"slow down"}`, "Retry-After", after), nil
			})
			_, err := c.CVMs.Get(t.Context(), "web-1")
			require.ErrorIs(t, err, ErrRateLimited)
			assert.Equal(t, want, err.Error())
		})
	}
}

// Whatever goes wrong, the text of the error names the operation, once.
func TestErrors_NameTheOperationOnce(t *testing.T) {
	t.Parallel()
	failures := map[string]func() (*http.Response, error){
		"an answer": func() (*http.Response, error) { return reply(404, `{"detail":"no"}`), nil },
		"no answer": func() (*http.Response, error) { return nil, errors.New("broken") },
		"not JSON":  func() (*http.Response, error) { return reply(200, "<html>"), nil },
		"a stream":  func() (*http.Response, error) { return reply(200, "", "Content-Type", eventStream), nil },
		"a torn body": func() (*http.Response, error) {
			r := reply(200, "")
			r.Body = io.NopCloser(errReader{io.ErrUnexpectedEOF})
			return r, nil
		},
		"a large body": func() (*http.Response, error) { return reply(200, strings.Repeat(" ", maxBody+1)), nil },
	}
	for name, failure := range failures {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return failure() }, WithoutRetry())
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.Error(t, err, name)
		assert.Equal(t, 1, strings.Count(err.Error(), "CVMs.Get"), "%s: %v", name, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err = c.CVMs.WaitFor(ctx, "web-1", "running", WithPolling())
		require.Error(t, err, name)
		assert.LessOrEqual(t, strings.Count(err.Error(), "CVMs.Get"), 1, "%s: %v", name, err)
		for _, err := range c.CVMs.All(t.Context(), nil) {
			require.Error(t, err, name)
			assert.Equal(t, 1, strings.Count(err.Error(), "CVMs.List"), "%s: %v", name, err)
		}
	}
	c := newTest(t, nil)
	for _, id := range []string{"..", "", "a/b"} {
		_, err := c.CVMs.Get(t.Context(), id)
		require.ErrorIs(t, err, openapi.ErrPathParam)
		assert.Equal(t, 1, strings.Count(err.Error(), "CVMs.Get"), err.Error())
	}
}

func TestWaits_RefuseAStatusThatNoCVMHas(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, io.EOF })
	for _, target := range []openapi.CVMStatus{"Running", "runing", "ready", "", "idle"} {
		require.ErrorContains(t, c.CVMs.WaitFor(t.Context(), "web-1", target), "target status")
		require.ErrorContains(t, c.WaitAll(t.Context(), []string{"web-1"}, target), "target status")
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: target}) {
			require.ErrorContains(t, err, "target status")
		}
	}
	for _, s := range openapi.CVMStatuses() {
		require.NoError(t, checkTarget(s))
	}
	require.ErrorContains(t, checkTarget("Running"), `target status "Running": want one of [pending created`)
}

// Text that the cloud chose cannot steer a terminal or grow without bound, wherever it enters an error.
func TestErrors_EscapeTheTextOfTheCloud(t *testing.T) {
	t.Parallel()
	evil := `\u001b[2J\u009b\u202e\u2066\u0007\n\r` + strings.Repeat("x", 5000)
	for name, body := range map[string]string{
		"detail":      `{"detail":"` + evil + `"}`,
		"code":        `{"error_code":"` + evil + `","message":"` + evil + `","request_id":"` + evil + `"}`,
		"fields":      `{"detail":[{"loc":["body","` + evil + `"],"msg":"` + evil + `","type":"` + evil + `"}]}`,
		"details":     `{"message":"m","details":[{"field":"` + evil + `","value":1,"message":"` + evil + `"}],"suggestions":["` + evil + `"],"links":[{"url":"` + evil + `","label":"` + evil + `"}]}`,
		"device flow": `{"error":"` + evil + `"}`,
	} {
		e := decoded(422, body)
		shown := append([]string{e.Error(), e.Message, string(e.Code), e.RequestID}, e.Suggestions...)
		for _, f := range e.Fields {
			shown = append(shown, f.Field, f.Message, f.Type)
		}
		for _, l := range e.Links {
			shown = append(shown, l.URL, l.Label)
		}
		requirePlain(t, name, shown...)
	}
	state := openapi.CVMState{Status: openapi.CVMStatus("\x1b[2J\u202e"), BootError: "\x1b]0;x\a" + strings.Repeat("y", 5000), BootProgress: "\u009b"}
	requirePlain(t, "wait", (&WaitError{CVM: "a", Target: "running", State: &state, Err: ErrFailedState}).Error())
	required := decodeHashRegistration(decoded(465, `{"compose_hash":"`+evil+`","app_id":"`+evil+`","device_id":"`+evil+`"}`))
	requirePlain(t, "465", required.Error(), required.AppID, required.DeviceID)
}

func requirePlain(t *testing.T, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		for _, r := range text {
			require.False(t, r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069, "%s: %q", name, text)
		}
		require.Less(t, len(text), 5000, name)
	}
}

func TestDefaultTransport_KeepsConnections(t *testing.T) {
	opened := make(chan struct{}, 1<<12)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, cvmJSON)
	}))
	server.Config.ConnState = countNew(opened)
	server.StartTLS() // HTTP/1.1, where every call needs a connection of its own
	defer server.Close()
	c, err := New(WithAPIKey(testKey), WithBaseURL(server.URL))
	require.NoError(t, err)
	trust(t, c, server)
	work := make(chan struct{})
	done := make(chan error)
	const workers, calls = 64, 2000
	for range workers {
		go func() {
			for range work {
				_, err := c.CVMs.Get(t.Context(), "web-1")
				done <- err
			}
		}()
	}
	go func() {
		defer close(work)
		for range calls {
			work <- struct{}{}
		}
	}()
	for range calls {
		require.NoError(t, <-done)
	}
	assert.LessOrEqual(t, len(opened), 4*workers, "connections opened")
	c.http.CloseIdleConnections()
}
