package client

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

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
