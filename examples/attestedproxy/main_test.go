package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_Demonstration(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, &problems))
	assert.Contains(t, out.String(), "200 OK: the app received Bearer 123")
	assert.Contains(t, out.String(), "502 Bad Gateway: attestedproxy:")
	assert.Contains(t, out.String(), "another compose hash")
	assert.Equal(t, 1, strings.Count(out.String(), "Bearer 123"), "the impostor received nothing")
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	measurements := filepath.Join(t.TempDir(), "measurements.json")
	require.NoError(t, os.WriteFile(measurements, []byte(`[{"Name":"x","MRTD":"`+strings.Repeat("ab", 48)+`"}]`), 0o600))
	hash, app := strings.Repeat("ab", 32), strings.Repeat("01", 20)
	for want, args := range map[string][]string{
		"only flags":                     {"x"},
		"not defined":                    {"-unknown"},
		"64 hex":                         {"-to", "https://a", "-app", app, "-hash", "12"},
		"it expects nothing of":          {"-to", "https://a", "-app", app, "-hash", hash},
		"measurements: open":             {"-to", "https://a", "-app", app, "-hash", hash, "-measurements", "/nonexistent"},
		"must be https://":               {"-to", "http://a", "-app", app, "-hash", hash, "-waive", "measurements"},
		"must be a loopback address":     {"-to", "https://a", "-app", app, "-hash", hash, "-waive", "measurements", "-listen", "0.0.0.0:1"},
		"-listen \"localhost\": must be": {"-to", "https://a", "-app", app, "-hash", hash, "-measurements", measurements, "-listen", "localhost"},
	} {
		var out, problems strings.Builder
		require.ErrorContains(t, run(t.Context(), args, &out, &problems), want)
	}
}

func TestServe_EndsWithTheContext(t *testing.T) {
	t.Parallel()
	p, err := newProxy(&url.URL{Scheme: "https", Host: "a"}, answering(nil))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var out, problems strings.Builder
	require.NoError(t, serve(ctx, "127.0.0.1:0", p, writerFunc(func(b []byte) (int, error) {
		defer cancel()
		return out.Write(b)
	}), &problems))
	assert.Contains(t, out.String(), "is the app at https://a")
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// answering stands for a verified connection.
type answering func(*http.Request) *http.Response

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// A web page that a browser of this machine shows cannot use the proxy.
func TestProxy_RefusesWebPages(t *testing.T) {
	t.Parallel()
	p, err := newProxy(&url.URL{Scheme: "https", Host: "app.example"}, answering(func(r *http.Request) *http.Response {
		assert.Equal(t, "https://app.example/", r.URL.String())
		assert.Empty(t, r.Host, "that of the URL")
		assert.Empty(t, r.Header.Get("X-Forwarded-For"))
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("ok")), Request: r}
	}))
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		host    string
		headers map[string]string
		status  int
	}{
		"a program":          {"127.0.0.1:8443", nil, http.StatusOK},
		"a program by name":  {"localhost:8443", nil, http.StatusOK},
		"over IPv6":          {"[::1]:8443", nil, http.StatusOK},
		"without a port":     {"[::1]", nil, http.StatusOK},
		"its own page":       {"localhost:8443", map[string]string{"Origin": "http://localhost:8443"}, http.StatusOK},
		"another name":       {"evil.example:8443", nil, http.StatusForbidden},
		"a name like an IP":  {"127.0.0.1.evil.example", nil, http.StatusForbidden},
		"another origin":     {"localhost:8443", map[string]string{"Origin": "https://evil.example"}, http.StatusForbidden},
		"an opaque origin":   {"localhost:8443", map[string]string{"Origin": "null"}, http.StatusForbidden},
		"an image in a page": {"localhost:8443", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = tt.host
		for k, v := range tt.headers {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		assert.Equal(t, tt.status, w.Code, name)
	}
}

// The client does not know what was verified, so that no redirect may lead it past the proxy.
func TestProxy_KeepsRedirects(t *testing.T) {
	t.Parallel()
	for location, want := range map[string]string{
		"/next?x=1":                    "/next?x=1",
		"https://app.example/next":     "/next",
		"https://APP.example/next":     "/next",
		"http://app.example/next":      "",
		"https://other.example/":       "",
		"//other.example/":             "",
		"https://app.example//other/":  "",
		"https://u:p@app.example/next": "",
		"https://app.example:444/":     "",
		":":                            "",
	} {
		p, err := newProxy(&url.URL{Scheme: "https", Host: "app.example"}, answering(func(r *http.Request) *http.Response {
			return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}, Body: http.NoBody, Request: r}
		}))
		require.NoError(t, err)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Host = "localhost"
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if want == "" {
			assert.Equal(t, http.StatusBadGateway, w.Code, location)
			assert.Empty(t, w.Header().Get("Location"))
			continue
		}
		assert.Equal(t, want, w.Header().Get("Location"), location)
	}
}
