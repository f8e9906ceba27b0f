package client

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
	_, err = c.KMS.List(t.Context(), nil, WithAPIVersion(DefaultAPIVersion))
	require.NoError(t, err)
	assert.Equal(t, DefaultAPIVersion, got.Get("X-Phala-Version"), "even where it asks for the client's own version")

	ctx := WithOptions(t.Context(), WithHeader("X-Flow", "f"), WithAPIVersion("latest"))
	_, err = c.API.AppsGetFilterOptions(ctx)
	require.NoError(t, err)
	assert.Equal(t, "f", got.Get("X-Flow"))
	assert.Equal(t, "latest", got.Get("X-Phala-Version"))
}

func TestPublicOperations_SendNoKey(t *testing.T) {
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

func TestHeaders_WithoutAKeyOnlyPublicOperationsAreSent(t *testing.T) {
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

func TestKey_GoesToNoOtherHost(t *testing.T) {
	t.Parallel()
	sent := 0
	for name, change := range map[string]func(*http.Request){
		"host":   func(r *http.Request) { r.URL.Host = "evil.example" },
		"scheme": func(r *http.Request) { r.URL.Scheme = "http" },
		"header": func(r *http.Request) { r.Host = "evil.example" },
	} {
		c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(200, cvmJSON), nil },
			WithMiddleware(func(_ string, r *http.Request, next RoundTrip) (*http.Response, error) {
				change(r)
				return next(r)
			}))
		_, err := c.CVMs.Get(t.Context(), "web-1")
		require.ErrorIs(t, err, ErrRoute, name)
	}
	assert.Zero(t, sent)
}

// Evidence of an app that shows it is for everybody; with a key the own apps that do not show it are there, too.
func TestHeaders_OptionalKey(t *testing.T) {
	t.Setenv("PHALA_CLOUD_API_KEY", "")
	var got []string
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.Header.Get("X-API-Key"))
		return reply(200, `{"app_id":"x","instances":[]}`), nil
	})
	for _, opts := range [][]Option{nil, {WithAPIKey(testKey)}} {
		c, err := New(append(opts, WithHTTPClient(&http.Client{Transport: transport}))...)
		require.NoError(t, err)
		_, err = c.Apps.GetAttestations(t.Context(), "588faf8496cde2ad6fcea2c8aac3257a7c5dc26b")
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"", testKey}, got)
}
