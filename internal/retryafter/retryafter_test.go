package retryafter

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParse(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"0":                             0,
		"7":                             7 * time.Second,
		"99999999999999":                math.MaxInt64 / time.Second * time.Second,
		"Fri, 01 May 2026 12:00:30 GMT": 30 * time.Second,
		"Fri, 01 May 2026 11:00:00 GMT": 0,
	} {
		got, ok := Parse(http.Header{"Retry-After": {text}}, now)
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "-1", "1.5", "soon", "99999999999999999999"} {
		got, ok := Parse(http.Header{"Retry-After": {text}}, now)
		assert.False(t, ok, text)
		assert.Zero(t, got, text)
	}
}
