package client

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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

func TestConflict_WithACodeIsFinal(t *testing.T) {
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
