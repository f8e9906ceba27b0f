package client

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

// What is tried again, by class and failure.
func TestRetryTable(t *testing.T) {
	t.Parallel()
	calls := map[retryClass]func(context.Context, *Client) error{
		retrySafe:       func(ctx context.Context, c *Client) error { _, err := c.CVMs.Get(ctx, "web-1"); return err },
		retryIdempotent: func(ctx context.Context, c *Client) error { _, err := c.CVMs.Start(ctx, "web-1"); return err },
		retryUnsafe:     func(ctx context.Context, c *Client) error { _, err := c.CVMs.Restart(ctx, "web-1", nil); return err },
	}
	const all = "safe idempotent unsafe"
	reset := &net.OpError{Op: "read", Err: errors.New("connection reset")}
	for name, tt := range map[string]struct {
		answer func() (*http.Response, error)
		again  string
	}{
		"400":                  {func() (*http.Response, error) { return reply(400, "{}"), nil }, ""},
		"401":                  {func() (*http.Response, error) { return reply(401, "{}"), nil }, ""},
		"404":                  {func() (*http.Response, error) { return reply(404, "{}"), nil }, ""},
		"408":                  {func() (*http.Response, error) { return reply(408, "{}"), nil }, "safe"},
		"409":                  {func() (*http.Response, error) { return reply(409, "{}"), nil }, ""},
		"422":                  {func() (*http.Response, error) { return reply(422, "{}"), nil }, ""},
		"425":                  {func() (*http.Response, error) { return reply(425, "{}"), nil }, "safe"},
		"429":                  {func() (*http.Response, error) { return reply(429, "{}"), nil }, "safe idempotent"},
		"429 with Retry-After": {func() (*http.Response, error) { return reply(429, "{}", "Retry-After", "1"), nil }, all},
		"465":                  {func() (*http.Response, error) { return reply(465, "{}"), nil }, ""},
		"468":                  {func() (*http.Response, error) { return reply(468, "{}"), nil }, ""},
		"500":                  {func() (*http.Response, error) { return reply(500, "{}"), nil }, "safe"},
		"501":                  {func() (*http.Response, error) { return reply(501, "{}"), nil }, ""},
		"502":                  {func() (*http.Response, error) { return reply(502, "<html>"), nil }, "safe idempotent"},
		"503":                  {func() (*http.Response, error) { return reply(503, "{}"), nil }, "safe idempotent"},
		"503 with Retry-After": {func() (*http.Response, error) { return reply(503, "{}", "Retry-After", "1"), nil }, all},
		"504":                  {func() (*http.Response, error) { return reply(504, "{}"), nil }, "safe idempotent"},
		"520":                  {func() (*http.Response, error) { return reply(520, "<html>"), nil }, "safe idempotent"},
		"527":                  {func() (*http.Response, error) { return reply(527, ""), nil }, "safe idempotent"},
		"528":                  {func() (*http.Response, error) { return reply(528, ""), nil }, ""},
		"530":                  {func() (*http.Response, error) { return reply(530, ""), nil }, "safe idempotent"},
		"alert of the server": {func() (*http.Response, error) {
			return nil, &net.OpError{Op: "remote error", Err: errors.New("tls: handshake failure")}
		}, ""},
		"no common version": {func() (*http.Response, error) {
			return nil, errors.New("tls: server selected unsupported protocol version 301")
		}, ""},
		"http behind https": {func() (*http.Response, error) { return nil, http.ErrSchemeMismatch }, ""},
		"a slow handshake":  {func() (*http.Response, error) { return nil, errors.New("net/http: TLS handshake timeout") }, "safe idempotent"},
		"connection reset":  {func() (*http.Response, error) { return nil, reset }, "safe idempotent"},
		"no connection":     {func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: errors.New("refused")} }, all},
		"no address":        {func() (*http.Response, error) { return nil, &net.DNSError{Err: "no such host"} }, all},
		"bad certificate": {func() (*http.Response, error) {
			return nil, &tls.CertificateVerificationError{Err: errors.New("expired")}
		}, ""},
		"torn body": {func() (*http.Response, error) {
			r := reply(200, cvmJSON[:10])
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(cvmJSON[:10]), errReader{io.ErrUnexpectedEOF}))
			return r, nil
		}, "safe idempotent"},
		"redirect": {func() (*http.Response, error) { return reply(307, "", "Location", "/x"), nil }, ""},
	} {
		for class, call := range calls {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newTest(t, func(*http.Request) (*http.Response, error) {
					if sent++; sent > 1 {
						return reply(200, strings.Replace(vmJSON, "}", `,"resource":{},"gateway":{}}`, 1)), nil
					}
					return tt.answer()
				})
				err := call(t.Context(), c)
				className := []string{"unsafe", "idempotent", "safe"}[class]
				if strings.Contains(" "+tt.again+" ", " "+className+" ") {
					require.NoError(t, err, "%s, %s", name, className)
					assert.Equal(t, 2, sent, "%s, %s", name, className)
				} else {
					require.Error(t, err, "%s, %s", name, className)
					assert.Equal(t, 1, sent, "%s, %s", name, className)
				}
			})
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }

func TestRetry_GivesUpAfterFourAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			sent++
			return reply(503, `{"detail":"maintenance"}`), nil
		})
		began := time.Now()
		_, err := c.CVMs.Get(t.Context(), "web-1")
		var api *APIError
		require.ErrorAs(t, err, &api)
		assert.Equal(t, 4, sent)
		assert.Equal(t, 4, api.Attempts)
		assert.ErrorIs(t, err, ErrServer)
		assert.LessOrEqual(t, time.Since(began), 3500*time.Millisecond)
		_, err = c.CVMs.Get(t.Context(), "web-1", WithoutRetry())
		require.Error(t, err)
		assert.Equal(t, 5, sent)
	})
}

func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		header func() string
		want   time.Duration // 0: no second attempt
	}{
		"seconds":   {func() string { return "7" }, 7 * time.Second},
		"date":      {func() string { return time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat) }, 5 * time.Second},
		"past date": {func() string { return time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat) }, time.Nanosecond},
		"ceiling":   {func() string { return "30" }, 30 * time.Second},
		"beyond it": {func() string { return "31" }, 0},
		"enormous":  {func() string { return "9999999999999999999" }, 500 * time.Millisecond},
		"very long": {func() string { return "9223372036854775807" }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newTest(t, func(*http.Request) (*http.Response, error) {
					if sent++; sent == 1 {
						return reply(429, "{}", "Retry-After", tt.header()), nil
					}
					return reply(200, cvmJSON), nil
				})
				began := time.Now()
				_, err := c.CVMs.Get(t.Context(), "web-1")
				if tt.want == 0 {
					require.ErrorIs(t, err, ErrRateLimited)
					assert.Zero(t, time.Since(began), "at once")
					return
				}
				require.NoError(t, err)
				assert.LessOrEqual(t, time.Since(began), tt.want)
				if name == "seconds" || name == "ceiling" || name == "date" {
					assert.Equal(t, tt.want, time.Since(began))
				}
			})
		})
	}
}

func TestRetry_DeadlineBeforeNextAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(429, "{}", "Retry-After", "20"), nil })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := c.CVMs.Get(ctx, "web-1")
		require.ErrorIs(t, err, ErrRateLimited)
		assert.Zero(t, time.Since(began))
	})
}

func TestRetry_CancelledWaitIsBothErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(429, "{}", "Retry-After", "20"), nil })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		_, err := c.CVMs.Get(ctx, "web-1")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, ErrRateLimited)
	})
}

func TestRetry_SendsTheBodyAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			bodies = append(bodies, string(b))
			if len(bodies) < 3 {
				return reply(503, "{}"), nil
			}
			return reply(200, vmJSON), nil
		})
		_, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{AppID: "ab", ComposeHash: "cd"})
		require.NoError(t, err)
		require.Len(t, bodies, 3)
		assert.Equal(t, `{"app_id":"ab","compose_hash":"cd"}`, bodies[0])
		assert.Equal(t, bodies[0], bodies[2])
	})
}

func TestDelete_ThatFindsNothingAfterARetryHasWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent == 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return reply(404, "{}"), nil
		})
		require.NoError(t, c.CVMs.Delete(t.Context(), "web-1"))
		require.ErrorIs(t, c.CVMs.Delete(t.Context(), "web-1"), ErrNotFound, "without a retry it is an error")
	})
}

func TestPauses_StayWithinTheirBounds(t *testing.T) {
	t.Parallel()
	p := DefaultRetryPolicy()
	for attempt, want := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 3: 2 * time.Second, 4: 4 * time.Second, 5: 8 * time.Second, 6: 10 * time.Second, 1000: 10 * time.Second} {
		assert.Equal(t, want, p.bound(attempt))
		low, high := want, time.Duration(0)
		for range 1000 {
			d := jitter(p.bound(attempt))
			require.True(t, d >= 0 && d <= want, "%s", d)
			low, high = min(low, d), max(high, d)
		}
		assert.Less(t, low, want/4, "drawn from the whole range")
		assert.Greater(t, high, want*3/4)
	}
	assert.Zero(t, jitter(0))
}
