package client

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBodies_AreBounded(t *testing.T) {
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
