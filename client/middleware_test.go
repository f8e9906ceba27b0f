package client

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMiddlewareOrder(t *testing.T) {
	t.Parallel()
	var order []string
	wrap := func(name string) Option {
		return WithMiddleware(func(_ string, r *http.Request, next RoundTrip) (*http.Response, error) {
			order = append(order, name+" in")
			defer func() { order = append(order, name+" out") }()
			return next(r)
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
