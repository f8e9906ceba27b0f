package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/phala-go/phala/openapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKey = "phak_very-secret"

// roundTripper is a transport of one function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func newTest(t testing.TB, transport roundTripper, opts ...Option) *Client {
	t.Helper()
	c, err := New(append([]Option{WithAPIKey(testKey), WithHTTPClient(&http.Client{Transport: transport})}, opts...)...)
	require.NoError(t, err)
	return c
}

const vmJSON = `{"id":1,"name":"web-1","status":"running","teepod_id":1,"app_id":"ab","vcpu":1,"memory":2,"disk_size":3,"created_at":"2026-01-21T00:00:00Z"}`
const cvmJSON = `{"id":"cvm_1","name":"web-1","status":"running","resource":{},"gateway":{}}`

func TestNewRefusesBadOptions(t *testing.T) {
	for want, opt := range map[string]Option{
		"api key: empty":         WithAPIKey(""),
		"api key: not a header":  WithAPIKey("a\nb"),
		"look for a blank":       WithAPIKey("a "),
		"base url: empty":        WithBaseURL(""),
		"want https":             WithBaseURL("ftp://x"),
		"use https":              WithBaseURL("http://example.com"),
		"no host":                WithBaseURL("https:///api/v1"),
		"nothing else":           WithBaseURL("https://x/api/v1?a=b"),
		"not a URL":              WithBaseURL("https://x y"),
		"path must be plain":     WithBaseURL("https://x/a/../b"),
		"http client: nil":       WithHTTPClient(nil),
		"logger: nil":            WithLogger(nil),
		"middleware: nil":        WithMiddleware(nil),
		"user agent":             WithUserAgent("a\nb"),
		"api version":            WithAPIVersion("v1"),
		"timeout 0s":             WithTimeout(0),
		"0 attempts":             WithRetry(RetryPolicy{}),
		"want an order":          WithRetry(RetryPolicy{MaxAttempts: 1, BaseDelay: 2, MaxDelay: 1}),
		"conflict wait":          WithConflictWait(-1),
		"header X-Api-Key":       WithHeader("x-api-key", "a"),
		"header X-Phala-Version": WithHeader("X-Phala-Version", "a"),
		"header \"A B\"":         WithHeader("A B", "a"),
		"header \"X-A\"":         WithHeader("X-A", "a\r\nb"),
		"nil option":             nil,
	} {
		_, err := New(opt)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "a\nb")
	}
	_, err := New(WithBaseURL("https://user:hunter2@x/api/v1"))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "hunter2")
}

func TestNewTakesTheEnvironment(t *testing.T) {
	t.Setenv("PHALA_CLOUD_API_KEY", "phak_env")
	t.Setenv("PHALA_CLOUD_API_PREFIX", "https://env.example/api/v1")
	var got *http.Request
	mock := WithHTTPClient(&http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return reply(200, cvmJSON), nil
	})})
	c, err := New(mock)
	require.NoError(t, err)
	_, err = c.CVMs.Get(t.Context(), "web-1")
	require.NoError(t, err)
	assert.Equal(t, "https://env.example/api/v1/cvms/web-1", got.URL.String())
	assert.Equal(t, "phak_env", got.Header.Get("X-API-Key"))
}

func TestBaseURLForms(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"https://a.example":              "https://a.example/api/v1/cvms/web-1",
		"https://a.example/":             "https://a.example/api/v1/cvms/web-1",
		"https://a.example/api/v1":       "https://a.example/api/v1/cvms/web-1",
		"https://a.example/api/v1/":      "https://a.example/api/v1/cvms/web-1",
		"https://a.example/phala/api/v1": "https://a.example/phala/api/v1/cvms/web-1",
		"http://127.0.0.1:8080":          "http://127.0.0.1:8080/api/v1/cvms/web-1",
		"http://localhost:1/x/":          "http://localhost:1/x/api/v1/cvms/web-1",
		"http://[::1]:1":                 "http://[::1]:1/api/v1/cvms/web-1",
	} {
		var urls []string
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			urls = append(urls, r.URL.String())
			return reply(200, cvmJSON), nil
		}, WithBaseURL(base))
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err, base)
		_, err = c.API.CVMsGet(t.Context(), "web-1")
		require.NoError(t, err, base)
		require.NoError(t, c.Do(t.Context(), "GET", "/cvms/web-1", nil, nil), base)
		assert.Equal(t, []string{want, want, want}, urls)
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	var got http.Header
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got = r.Header.Clone()
		return reply(200, `{"items":[],"total":0,"page":1,"page_size":20,"pages":0}`), nil
	}, WithUserAgent("shop/1"), WithHeader("X-Team", "a"))
	_, err := c.CVMs.List(t.Context(), nil, WithHeader("X-Trace", "t"))
	require.NoError(t, err)
	assert.Equal(t, testKey, got.Get("X-API-Key"))
	assert.Equal(t, DefaultAPIVersion, got.Get("X-Phala-Version"))
	assert.Equal(t, "shop/1 "+userAgent, got.Get("User-Agent"))
	assert.Equal(t, "a", got.Get("X-Team"))
	assert.Equal(t, "t", got.Get("X-Trace"))
	assert.Equal(t, "application/json", got.Get("Accept"))

	_, err = c.CVMs.List(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, got.Get("X-Trace"), "an option of one call does not stay")

	_, err = c.KMS.List(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, "2026-05-22", got.Get("X-Phala-Version"), "pinned by the operation")
	_, err = c.KMS.List(t.Context(), nil, WithAPIVersion("2026-06-23"))
	require.NoError(t, err)
	assert.Equal(t, "2026-06-23", got.Get("X-Phala-Version"), "the call goes before the pin")

	ctx := WithOptions(t.Context(), WithHeader("X-Flow", "f"), WithAPIVersion("latest"))
	_, err = c.API.AppsGetFilterOptions(ctx)
	require.NoError(t, err)
	assert.Equal(t, "f", got.Get("X-Flow"))
	assert.Equal(t, "latest", got.Get("X-Phala-Version"))
}

func TestPublicOperationsGetNoKey(t *testing.T) {
	t.Parallel()
	var got http.Header
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got = r.Header.Clone()
		return reply(200, `["a"]`), nil
	})
	_, err := c.Attestations.ListPPIDs(t.Context())
	require.NoError(t, err)
	assert.Empty(t, got.Get("X-API-Key"))
}

func TestWithoutAKeyOnlyPublicOperationsAreSent(t *testing.T) {
	t.Setenv("PHALA_CLOUD_API_KEY", "")
	sent := 0
	c, err := New(WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		sent++
		return reply(200, `["a"]`), nil
	})}))
	require.NoError(t, err)
	_, err = c.Attestations.ListPPIDs(t.Context())
	require.NoError(t, err)
	_, err = c.CVMs.Get(t.Context(), "web-1")
	require.ErrorIs(t, err, ErrNoAPIKey)
	assert.Equal(t, 1, sent)
}

func TestIdentifiersCannotChangeTheRoute(t *testing.T) {
	t.Parallel()
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		t.Errorf("%s was sent", r.URL)
		return nil, errors.New("sent")
	})
	for _, id := range []string{"", ".", "..", "a/b", "a%2fb", "..%2f..", "a\\b", "a?b", "a#b", "a b", "a\nb", strings.Repeat("a", 300)} {
		_, err := c.CVMs.Get(t.Context(), id)
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
		_, err = c.CVMs.GetState(t.Context(), id, nil)
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
		_, err = c.API.CVMsGet(t.Context(), openapi.PathParam(id))
		require.ErrorIs(t, err, openapi.ErrPathParam, id)
	}
	_, err := c.CVMs.Get(t.Context(), "paginated")
	require.ErrorIs(t, err, ErrRoute)
	require.ErrorContains(t, err, "CVMs.List")
	_, err = c.KMS.GetAppEnvPublicKey(t.Context(), "..", "ab")
	require.ErrorIs(t, err, openapi.ErrPathParam)
}

func TestDoGuardsThePath(t *testing.T) {
	t.Parallel()
	var got []string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Method+" "+r.URL.RequestURI())
		return reply(200, `{"a":1}`), nil
	})
	for _, path := range []string{"", "cvms", "//evil.example/x", "/cvms/../x", "/cvms/./x", "/cvms//x", "/a%2fb", "/a%2Fb", "/a%5cb", "/%2e%2e/x", "/a#b", `/a\b`, "/a%", "https://evil.example/x", "/a?%zz", "/a b", "/cvms/"} {
		require.ErrorIs(t, c.Do(t.Context(), "GET", path, nil, nil), ErrRoute, path)
	}
	require.ErrorIs(t, c.Do(t.Context(), "GE T", "/a", nil, nil), ErrRoute)
	assert.Empty(t, got)

	var out struct{ A int }
	require.NoError(t, c.Do(t.Context(), "post", "/new/thing?x=1&y=%20", map[string]int{"b": 2}, &out))
	assert.Equal(t, 1, out.A)
	var raw []byte
	require.NoError(t, c.Do(t.Context(), "GET", "/new/thing", nil, &raw))
	assert.Equal(t, `{"a":1}`, string(raw))
	var text string
	require.NoError(t, c.Do(t.Context(), "GET", "/new/caf%C3%A9", nil, &text))
	assert.Equal(t, []string{"POST /api/v1/new/thing?x=1&y=%20", "GET /api/v1/new/thing", "GET /api/v1/new/caf%C3%A9"}, got)
}

func TestRedirectsAreNeverFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
			sent := 0
			c := newTest(t, func(r *http.Request) (*http.Response, error) {
				sent++
				require.Equal(t, "cloud-api.phala.com", r.URL.Host)
				return reply(status, "", "Location", "https://evil.example/steal"), nil
			})
			err := c.Do(t.Context(), method, "/cvms/web-1/thing", nil, nil)
			require.ErrorIs(t, err, ErrRedirect)
			assert.Equal(t, 1, sent, "%s %d", method, status)
		}
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			return reply(status, "", "Location", "https://evil.example/steal"), nil
		})
		for _, err := range c.CVMs.Watch(t.Context(), "web-1", WatchOptions{Target: "running"}) {
			require.ErrorIs(t, err, ErrRedirect)
		}
	}
}

func TestTheUsersHTTPClientIsNotChanged(t *testing.T) {
	t.Parallel()
	called := false
	h := &http.Client{
		Timeout:       7 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { called = true; return nil },
		Transport:     roundTripper(func(*http.Request) (*http.Response, error) { return reply(302, "", "Location", "/x"), nil }),
	}
	c, err := New(WithAPIKey(testKey), WithHTTPClient(h))
	require.NoError(t, err)
	_, err = c.CVMs.Get(t.Context(), "web-1")
	require.ErrorIs(t, err, ErrRedirect)
	assert.False(t, called)
	assert.Equal(t, 7*time.Second, h.Timeout)
	assert.NotNil(t, h.CheckRedirect)
	assert.Equal(t, 7*time.Second, c.config.timeout)
}

func TestTheKeyGoesToNoOtherHost(t *testing.T) {
	t.Parallel()
	sent := 0
	for name, change := range map[string]func(*http.Request){
		"host":   func(r *http.Request) { r.URL.Host = "evil.example" },
		"scheme": func(r *http.Request) { r.URL.Scheme = "http" },
		"header": func(r *http.Request) { r.Host = "evil.example" },
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(200, cvmJSON), nil },
			WithMiddleware(func(next RoundTrip) RoundTrip {
				return func(r *http.Request) (*http.Response, error) {
					change(r)
					return next(r)
				}
			}))
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.ErrorIs(t, err, ErrRoute, name)
	}
	assert.Zero(t, sent)
}

func TestMiddlewareOrder(t *testing.T) {
	t.Parallel()
	var order []string
	wrap := func(name string) Option {
		return WithMiddleware(func(next RoundTrip) RoundTrip {
			return func(r *http.Request) (*http.Response, error) {
				order = append(order, name+" in")
				defer func() { order = append(order, name+" out") }()
				return next(r)
			}
		})
	}
	attempts := 0
	c := newTest(t, func(*http.Request) (*http.Response, error) {
		if attempts++; attempts == 1 {
			return reply(503, "", "Retry-After", "0"), nil
		}
		return reply(200, cvmJSON), nil
	}, wrap("a"), wrap("b"))
	_, err := c.CVMs.Get(t.Context(), "web-1")
	require.NoError(t, err)
	assert.Equal(t, []string{"a in", "b in", "b out", "a out"}, order, "once for a call, around its retries")
	assert.Equal(t, 2, attempts)
}

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
		"connection reset":     {func() (*http.Response, error) { return nil, reset }, "safe idempotent"},
		"no connection":        {func() (*http.Response, error) { return nil, &net.OpError{Op: "dial", Err: errors.New("refused")} }, all},
		"no address":           {func() (*http.Response, error) { return nil, &net.DNSError{Err: "no such host"} }, all},
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

func TestRetryGivesUpAfterFourAttempts(t *testing.T) {
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

func TestADeadlineBeforeTheNextAttemptGivesTheAPIErrorAtOnce(t *testing.T) {
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

func TestACancelledWaitIsBothErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(429, "{}", "Retry-After", "20"), nil })
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		_, err := c.CVMs.Get(ctx, "web-1")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, ErrRateLimited)
	})
}

func TestTheBodyIsSentAgain(t *testing.T) {
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

func TestDeleteThatFindsNothingAfterARetryHasWorked(t *testing.T) {
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

func TestTheBucketEndsRetryStorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(503, "{}"), nil })
		for range 200 {
			_, err := c.CVMs.Get(t.Context(), "web-1")
			require.ErrorIs(t, err, ErrServer)
		}
		assert.Equal(t, 200+bucketSize/retryCost, sent, "a retry for each five tokens and no more")
		c.bucket.succeed(0)
		c.bucket.succeed(100)
		assert.LessOrEqual(t, c.bucket.tokens, bucketSize)
	})
}

func TestConflictWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			if sent++; sent <= 10 {
				return reply(409, `{"detail":"busy"}`), nil
			}
			return reply(200, vmJSON), nil
		})
		_, err := c.CVMs.Start(t.Context(), "web-1")
		require.ErrorIs(t, err, ErrBusy)
		assert.Equal(t, 1, sent, "not by itself")
		began := time.Now()
		_, err = c.CVMs.Start(t.Context(), "web-1", WithConflictWait(time.Minute))
		require.NoError(t, err, "it may take more attempts than a failure")
		assert.Less(t, time.Since(began), time.Minute)
		sent = -1000
		began = time.Now()
		_, err = c.CVMs.Start(t.Context(), "web-1", WithConflictWait(30*time.Second))
		require.ErrorIs(t, err, ErrBusy)
		assert.LessOrEqual(t, time.Since(began), 30*time.Second)
		assert.Greater(t, time.Since(began), 15*time.Second)
	})
}

func TestAConflictWithACodeIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) {
			sent++
			return reply(409, `{"error_code":"ERR-03-007","message":"no"}`), nil
		})
		_, err := c.CVMs.Start(t.Context(), "web-1", WithConflictWait(time.Hour))
		require.ErrorIs(t, err, ErrConflict)
		require.NotErrorIs(t, err, ErrBusy)
		assert.Equal(t, 1, sent)
	})
}

func TestTheTimeoutIsOfAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(r *http.Request) (*http.Response, error) {
			if sent++; sent < 3 {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return reply(200, cvmJSON), nil
		}, WithTimeout(time.Second))
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, 3, sent)
		sent = -10
		_, err = c.CVMs.Restart(t.Context(), "web-1", nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "no answer in time (1s)")
		assert.Equal(t, -9, sent, "an unsafe call may have arrived")
	})
}

func TestBodiesAreBounded(t *testing.T) {
	t.Parallel()
	endless := func(status int) *http.Response {
		r := reply(status, "")
		r.Body, r.ContentLength = io.NopCloser(zeros{}), -1
		return r
	}
	sent := 0
	c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return endless(200), nil })
	_, err := c.CVMs.Get(t.Context(), "web-1")
	var large *BodyTooLargeError
	require.ErrorAs(t, err, &large)
	assert.Equal(t, int64(maxBody), large.Limit)
	assert.Equal(t, 1, sent, "it would be as long again")

	c = newTest(t, func(*http.Request) (*http.Response, error) { return endless(400), nil })
	_, err = c.CVMs.Get(t.Context(), "web-1")
	var api *APIError
	require.ErrorAs(t, err, &api)
	assert.Len(t, api.Raw, maxErrorBody)
	assert.Equal(t, "bad request", api.Message)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer *http.Response
		want   string
	}{
		"null":   {reply(200, "null"), "the answer is null"},
		"empty":  {reply(200, " "), "the answer is empty"},
		"html":   {reply(200, "<html>", "Content-Type", "text/html"), "text/html"},
		"stream": {reply(200, "data: {}\n\n", "Content-Type", "text/event-stream; charset=utf-8"), "CVMs.Watch"},
		"list":   {reply(200, "[]"), "cannot be read"},
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return tt.answer, nil })
		_, err := c.CVMs.Get(t.Context(), "web-1", WithoutRetry())
		require.ErrorContains(t, err, tt.want, name)
		require.ErrorContains(t, err, "CVMs.Get", name)
	}
}

func TestTextAnswers(t *testing.T) {
	t.Parallel()
	for body, media := range map[string]string{"services: {}\n": "text/yaml", `"services: {}\n"`: "application/json"} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { return reply(200, body, "Content-Type", media), nil })
		got, err := c.CVMs.GetDockerCompose(t.Context(), "web-1")
		require.NoError(t, err)
		assert.Equal(t, "services: {}\n", got)
	}
}

func TestOptionalBodies(t *testing.T) {
	t.Parallel()
	var body, media string
	c := newTest(t, func(r *http.Request) (*http.Response, error) {
		body, media = "", r.Header.Get("Content-Type")
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			body = string(b)
		}
		return reply(200, vmJSON), nil
	})
	_, err := c.CVMs.Restart(t.Context(), "web-1", nil)
	require.NoError(t, err)
	assert.Empty(t, body+media)
	_, err = c.CVMs.Restart(t.Context(), "web-1", &openapi.RestartRequest{Force: openapi.Ptr(false)})
	require.NoError(t, err)
	assert.Equal(t, `{"force":false}`, body)
	_, err = c.CVMs.Replicate(t.Context(), "web-1", nil, nil)
	require.NoError(t, err)
	assert.Empty(t, body+media)
	_, err = c.CVMs.Replicate(t.Context(), "web-1", &openapi.ReplicateRequest{NodeID: openapi.Ptr(7)}, &openapi.CVMsReplicateParams{PrepareOnly: openapi.Ptr(true)})
	require.NoError(t, err)
	assert.Equal(t, `{"node_id":7}`, body)
	assert.Equal(t, "application/json", media)
}

func TestNothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	const token = "5b0c4a52-commit-token"
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	failing := func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
		return reply(422, `{"detail":[{"loc":["body","encrypted_env"],"msg":"bad","type":"x","input":"c1ph3rt3xt"}],"message":"no"}`), nil
	}
	c := newTest(t, failing, WithLogger(logger), WithRetry(RetryPolicy{MaxAttempts: 2}))
	_, first := c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: token})
	require.Error(t, first)
	_, second := c.CVMs.UpdateEnvs(t.Context(), "web-1", openapi.UpdateEnvsRequest{EncryptedEnv: "c1ph3rt3xt"})
	require.ErrorIs(t, second, ErrValidation)
	var api *APIError
	require.ErrorAs(t, second, &api)
	logger.Info("x", "client", c, "error", second, "api", api)
	shown := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown += fmt.Sprintf(verb+verb+verb+verb, c, first, second, api)
	}
	for _, secret := range []string{testKey, token, "c1ph3rt3xt"} {
		assert.NotContains(t, shown, secret)
	}
	assert.Contains(t, shown, "phala: repeating a call")
	assert.Contains(t, shown, "CVMs.UpdateEnvs")
}

func TestHTTPServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "/api/v1/cvms/web-1", r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, cvmJSON)
	}))
	defer server.Close()
	c, err := New(WithAPIKey(testKey), WithBaseURL(server.URL), WithHTTPClient(server.Client()))
	require.NoError(t, err)
	cvm, err := c.CVMs.Get(t.Context(), "web-1")
	require.NoError(t, err)
	assert.Equal(t, openapi.ID("cvm_1"), cvm.ID)
}

func TestIdentifierForms(t *testing.T) {
	t.Parallel()
	hex40 := strings.Repeat("aB", 20)
	for id, want := range map[string]openapi.PathParam{
		"web-1": "web-1", "cvm_Xk3": "cvm_Xk3", "42": "42",
		"7F3B4C2A-1D5E-4F60-8A9B-0C1D2E3F4A5B": "7F3B4C2A1D5E4F608A9B0C1D2E3F4A5B",
		"7f3b4c2a1d5e4f608a9b0c1d2e3f4a5b":     "7f3b4c2a1d5e4f608a9b0c1d2e3f4a5b",
		"7f3b4c2a-1d5e-1f60-8a9b-0c1d2e3f4a5b": "7f3b4c2a-1d5e-1f60-8a9b-0c1d2e3f4a5b", // version 1
		"7f3b4c2a-1d5e-4f60-ca9b-0c1d2e3f4a5b": "7f3b4c2a-1d5e-4f60-ca9b-0c1d2e3f4a5b", // another variant
		hex40:                                  openapi.PathParam("app_" + hex40),
		"app_" + hex40:                         openapi.PathParam("app_" + hex40),
		"instance_" + hex40:                    openapi.PathParam("instance_" + hex40),
		"0x" + hex40:                           openapi.PathParam("0x" + hex40),
	} {
		assert.Equal(t, want, cvmPath(id), id)
	}
	lower := openapi.PathParam(strings.ToLower(hex40))
	for _, id := range []string{hex40, "app_" + hex40, "0x" + hex40} {
		assert.Equal(t, lower, appPath(id), id)
	}
	assert.Equal(t, openapi.PathParam("web"), appPath("web"))
	assert.Equal(t, openapi.PathParam(strings.Repeat("ab", 32)), hashPath("0x"+strings.Repeat("AB", 32)))
}

func TestPausesStayWithinTheirBounds(t *testing.T) {
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

func FuzzDoPath(f *testing.F) {
	for _, s := range []string{"/cvms/x", "/..", "/%2e%2e/x", "//h/x", "/a?b=c", "/a%2fb"} {
		f.Add(s)
	}
	c, err := New(WithAPIKey(testKey))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		req, err := c.doRequest("GET", path, nil)
		if err != nil {
			if !errors.Is(err, ErrRoute) {
				t.Fatal(err)
			}
			return
		}
		if req.URL.Host != c.base.Host || !strings.HasPrefix(req.URL.EscapedPath(), "/api/v1/") || strings.Contains(req.URL.Path+"/", "/../") {
			t.Fatalf("%q became %s", path, req.URL)
		}
	})
}

func FuzzCVMPath(f *testing.F) {
	for _, s := range []string{"web-1", "..", "paginated", "7f3b4c2a-1d5e-4f60-8a9b-0c1d2e3f4a5b", strings.Repeat("a", 40)} {
		f.Add(s)
	}
	r := newRouter(operations())
	f.Fuzz(func(t *testing.T, id string) {
		path, err := r.fill(opCVMsGetStats, []openapi.PathParam{cvmPath(id)})
		if err != nil {
			return
		}
		if r.match("GET", path) != opCVMsGetStats || strings.Count(path, "/") != 3 {
			t.Fatalf("%q became %s", id, path)
		}
	})
}
