package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFor_EndsWithTheTimeOrTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began, cause := time.Now(), errors.New("enough")
		require.NoError(t, For(t.Context(), time.Hour))
		assert.Equal(t, time.Hour, time.Since(began))
		require.NoError(t, For(t.Context(), 0))
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(cause) })
		require.ErrorIs(t, For(ctx, time.Hour), cause)
		assert.Equal(t, time.Hour+time.Minute, time.Since(began))
		require.ErrorIs(t, For(ctx, 0), cause)
	})
}
