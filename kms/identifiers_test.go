package kms_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
)

func TestDeviceID_Text(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("0A", 32)
	for _, form := range []string{text, strings.ToLower(text), "0x" + text} {
		id, err := kms.ParseDeviceID(form)
		require.NoError(t, err, form)
		assert.Equal(t, strings.ToLower(text), id.String())
		var again kms.DeviceID
		require.NoError(t, again.UnmarshalText([]byte(form)))
		assert.True(t, id.Equal(again))
	}
	for _, form := range []string{"", "0x", "0x01", "0X" + text, " " + text, text[2:], text + "00", "zz" + text[2:], "0x0x" + text[4:]} {
		_, err := kms.ParseDeviceID(form)
		assert.ErrorContains(t, err, "want 64 hexadecimal digits", form)
	}
	assert.True(t, kms.DeviceID{}.IsZero())
}
