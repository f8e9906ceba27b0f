package attest_test

import (
	"encoding/hex"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func escape(text string) string { return url.QueryEscape(text) }

func unhex(tb testing.TB, text string) string {
	tb.Helper()
	b, err := hex.DecodeString(text)
	require.NoError(tb, err)
	return string(b)
}
