package kms_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
)

func TestPhalaCentralRootKey_IsAPointOfTheCurve(t *testing.T) {
	t.Parallel()
	root, err := kms.ParseSigner(kms.PhalaCentralRootKey)
	require.NoError(t, err)
	assert.Equal(t, kms.PhalaCentralRootKey, root.String())
}
