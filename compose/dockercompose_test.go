package compose

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseYAML_MergesAndAliases(t *testing.T) {
	t.Parallel()
	documents, err := parseYAML("x-a: &a\n  K: v\n  L:\nb:\n  <<: *a\n  K: w\nc: *a\n---\nd: !!null ''\n")
	require.NoError(t, err)
	require.Len(t, documents, 2)
	b := documents[0].get("b")
	assert.Equal(t, "w", b.get("K").value)
	assert.True(t, b.get("L").isNull())
	assert.Nil(t, b.get("M"))
	assert.Same(t, documents[0].get("x-a"), documents[0].get("c"))
	assert.True(t, documents[1].get("d").isNull())
}

func TestParseYAML_Refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a: [b":                          "line 1",
		"a: b\nc":                        "line 3",
		"a: *b":                          `unknown anchor 'b'`,
		"a: b\na: c":                     `line 2: the key "a" appears twice`,
		"a: &x\n  b: [*x]":               "an anchor is used within itself",
		"\ta: b":                         "line 1",
		"a: \x01":                        "control characters",
		"a: \xff":                        "not UTF-8",
		strings.Repeat("[", 200):         "docker-compose file",
		strings.Repeat("- ", 200) + "a":  "nested more than 100 levels deep",
		"a: " + strings.Repeat("[", 2e5): "docker-compose file",
	} {
		_, err := parseYAML(text)
		assert.ErrorContains(t, err, want, "%.80q", text)
	}
}
