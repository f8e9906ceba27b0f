package hexbytes

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse_TakesExactlyTheLength(t *testing.T) {
	t.Parallel()
	var into [2]byte
	for _, text := range []string{"0aFf", "0x0aff", "0x0AFF"} {
		require.NoError(t, Parse(into[:], "key", text), text)
		assert.Equal(t, [2]byte{10, 255}, into)
	}
	for text, want := range map[string]string{
		"":       `key "": 0 characters, want 4 hexadecimal digits`,
		"0aff0":  `key "0aff0": 5 characters, want 4 hexadecimal digits`,
		"0x0xff": `key "0x0xff": want 4 hexadecimal digits`,
		"0afg":   `key "0afg": want 4 hexadecimal digits`,
		"0X0aff": `key "0X0aff": 6 characters, want 4 hexadecimal digits`,
	} {
		into = [2]byte{1, 2}
		require.EqualError(t, Parse(into[:], "key", text), want)
		if len(text) != 4 && text != "0x0xff" {
			continue
		}
		assert.Zero(t, into, text)
	}
}
