package creations

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func turn(t *testing.T, l *Log) *Turn {
	t.Helper()
	got, err := l.Wait(t.Context(), "app")
	require.NoError(t, err)
	return got
}

func TestWait_OneAtATimeForEachApp(t *testing.T) {
	var l Log // also across bubbles, as a client may be
	for range 2 {
		synctest.Test(t, func(t *testing.T) {
			first := turn(t, &l)
			other, err := l.Wait(t.Context(), "other app")
			require.NoError(t, err)
			other.Done()

			why := errors.New("no more")
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(why)
			_, err = l.Wait(ctx, "app")
			require.ErrorIs(t, err, why)

			began := time.Now()
			go func() {
				time.Sleep(time.Minute)
				first.Done()
			}()
			turn(t, &l).Done()
			assert.Equal(t, time.Minute, time.Since(began))
			turn(t, &l).Done()
		})
	}
}

func TestOwner_FollowsFromTheOrderOfAsking(t *testing.T) {
	t.Parallel()
	var l Log
	log := turn(t, &l)
	defer log.Done()
	log.Asked("a", []string{"0"})
	assert.False(t, log.Open("b").IsZero())
	assert.Zero(t, log.Open("a"))
	assert.Equal(t, Own, log.Owner("a", "1"))
	log.Asked("b", []string{"0", "1"})
	assert.Equal(t, Own, log.Owner("a", "1"))
	assert.Equal(t, Other, log.Owner("a", "2"), "it came after the later one")
	assert.Equal(t, Own, log.Owner("b", "2"))
	assert.Equal(t, Own, log.Owner("x", "0"), "of another process, before a and b")
	assert.Equal(t, Unclear, log.Owner("x", "1"), "or that of a")

	log.Made("b", "AB-2")
	assert.Equal(t, "AB-2", log.CVM("b"))
	assert.Equal(t, Other, log.Owner("a", "ab2"))
	assert.Equal(t, Own, log.Owner("a", "3"))
	log.Made("a", "")
	assert.Zero(t, log.Open("b"))
	assert.Equal(t, Own, log.Owner("x", "1"))
	assert.Empty(t, log.CVM("a"))
	log.Made("c", "3")
	assert.Equal(t, "3", log.CVM("c"))
}
