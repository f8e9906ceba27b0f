package attest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestSmoke(t *testing.T) {
	a, err := quotetest.New()
	require.NoError(t, err)
	for _, lv := range []int{1, 2} {
		for _, cv := range []int{1, 2, 3} {
			e, err := a.Mint(quotetest.Spec{LogVersion: lv, ConfigVersion: cv})
			require.NoError(t, err)
			r, err := attest.Verify(t.Context(), e, a.Policy())
			t.Log(r)
			require.NoError(t, err)
		}
	}
}
