package webhook

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMemory_ForgetsTheOldest(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := NewMemoryStore(time.Hour, 3)
	require.NoError(t, m.Claim(ctx, "open"))
	for i := range 5 {
		id := strconv.Itoa(i)
		require.NoError(t, m.Claim(ctx, id))
		require.NoError(t, m.Finish(ctx, id))
	}
	assert.Len(t, m.ids, 4)
	assert.Len(t, m.handled, 3)
	require.ErrorIs(t, m.Claim(ctx, "4"), ErrHandled)
	require.ErrorIs(t, m.Claim(ctx, "2"), ErrHandled)
	require.NoError(t, m.Claim(ctx, "1"))
	require.ErrorIs(t, m.Claim(ctx, "open"), ErrBeingHandled, "what is being handled is not forgotten")
}

func TestMemoryForgetsWithTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := NewMemoryStore(time.Hour, 100)
		require.NoError(t, m.Claim(t.Context(), "a"))
		require.NoError(t, m.Finish(t.Context(), "a"))
		time.Sleep(time.Hour)
		require.ErrorIs(t, m.Claim(t.Context(), "a"), ErrHandled)
		time.Sleep(time.Nanosecond)
		require.NoError(t, m.Claim(t.Context(), "a"))
		assert.Empty(t, m.handled)
	})
}

func TestMemory_OneClaimPerID(t *testing.T) {
	t.Parallel()
	m := NewMemoryStore(time.Hour, 100)
	var wg sync.WaitGroup
	var claimed atomic.Int32
	for range 32 {
		wg.Go(func() {
			if m.Claim(t.Context(), "a") == nil {
				claimed.Add(1)
			}
		})
	}
	wg.Wait()
	assert.Equal(t, int32(1), claimed.Load())
}
