package client

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestRedirects_AreNeverFollowed(t *testing.T) {
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

func TestTimeout_IsPerAttempt(t *testing.T) {
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
		require.ErrorContains(t, err, "no response in time (1s)")
		assert.Equal(t, -9, sent, "an unsafe call may have arrived")
	})
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
