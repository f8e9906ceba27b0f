package client

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
		"101 attempts":           WithRetry(RetryPolicy{MaxAttempts: 101}),
		"-1 attempts":            WithRetry(RetryPolicy{MaxAttempts: -1}),
		"or NoDelay":             WithRetry(RetryPolicy{MaxRetryAfter: -2}),
		"is more than max delay": WithRetry(RetryPolicy{MaxAttempts: 1, BaseDelay: 2, MaxDelay: 1}),
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

func TestNew_TakesTheEnvironment(t *testing.T) {
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

func TestWithHTTPClient_DoesNotChangeIt(t *testing.T) {
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
