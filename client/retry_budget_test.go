package client

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRetryBudget_EndsRetryStorms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		c := newTest(t, func(*http.Request) (*http.Response, error) { sent++; return reply(503, "{}"), nil })
		for range 200 {
			_, err := c.CVMs.Get(t.Context(), "web-1")
			require.ErrorIs(t, err, ErrServer)
		}
		assert.Equal(t, 200+budgetSize/retryCost, sent, "a retry for each five tokens and no more")
		c.budget.succeed(0)
		c.budget.succeed(100)
		assert.LessOrEqual(t, c.budget.tokens, budgetSize)
	})
}
