package jsontext_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/jsontext"
)

func TestAppendString_ShortestEscapes(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                      `""`,
		"a<b>&\u2028\x7f":       "\"a<b>&\u2028\x7f\"",
		"\"\\/\b\f\n\r\t\x01":   `"\"\\/\b\f\n\r\t\u0001"`,
		"eight by\x1feight é\"": "\"eight by\\u001feight é\\\"\"",
	} {
		require.Equal(t, want, string(jsontext.AppendString(nil, in)))
	}
}

// encoding/json without its escapes for HTML writes the same, but for two line separators.
func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\x1f é \U0001F600 12345678")
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		var theirs bytes.Buffer
		encoder := json.NewEncoder(&theirs)
		encoder.SetEscapeHTML(false)
		require.NoError(t, encoder.Encode(text))
		want := bytes.ReplaceAll(bytes.TrimSpace(theirs.Bytes()), []byte(`\u2028`), []byte("\u2028"))
		want = bytes.ReplaceAll(want, []byte(`\u2029`), []byte("\u2029"))
		got := jsontext.AppendString(nil, text)
		if bytes.Contains([]byte(text), []byte(`\`)) { // "\\u2028" in the text itself
			var back string
			require.NoError(t, json.Unmarshal(got, &back))
			require.Equal(t, text, back)
			return
		}
		require.Equal(t, string(want), string(got))
	})
}
