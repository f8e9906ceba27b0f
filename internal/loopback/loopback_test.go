package loopback

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestIs(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1"} {
		assert.True(t, Is(host), host)
	}
	for _, host := range []string{"", "localhost.example.com", "10.0.0.1", "0.0.0.0", "::", "[::1]", "127.0.0.1:80", "127.1"} {
		assert.False(t, Is(host), host)
	}
}
