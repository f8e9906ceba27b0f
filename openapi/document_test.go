package openapi_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestDocument_IsTheFile(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("openapi.json")
	require.NoError(t, err)
	assert.Equal(t, string(data), openapi.Document())
}
