package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDo_GuardsThePath(t *testing.T) {
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
