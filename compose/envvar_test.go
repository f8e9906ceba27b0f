package compose_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
)

// The values and what becomes of them were measured with the guest's writer and systemd 252.
func TestGuestValue(t *testing.T) {
	t.Parallel()
	for _, value := range []string{
		"", "plain", "two words", " padded ", "\ttabs\t", `DOM\user`, `^\d+`, `{"a":"b\nc"}`, "$HOME", "a#b", "# no comment", "it's", `say "hi"`, "`date`", "é😀",
		"a;b", ";", "a=b=c", "\x01", "a\vb", "a\fb",
	} {
		got, intact := compose.GuestValue(value)
		assert.Equal(t, value, got)
		assert.True(t, intact, value)
		assert.NoError(t, compose.CheckGuestValue(compose.EnvVar{Key: "A", Value: value}), value)
	}
	for value, want := range map[string]string{
		`a\\b`:               "a\\b",
		`a\"b`:               `a\b"`,
		"-----BEGIN\nx\nEND": `-----BEGIN\nx\nEND`,
		"cut\rhere":          "cut",
	} {
		got, intact := compose.GuestValue(value)
		assert.Equal(t, want, got)
		assert.False(t, intact, value)
	}
	_, intact := compose.GuestValue(`ends in \`)
	assert.False(t, intact)
}

func TestGuestEnv_BackslashSwallowsTheNextVariable(t *testing.T) {
	t.Parallel()
	read := compose.GuestEnv([]compose.EnvVar{{"C", "3"}, {"A", `C:\`}, {"B", "2"}})
	names := map[string]string{}
	for _, v := range read {
		names[v.Key] = v.Value
	}
	assert.NotContains(t, names, "B")
	assert.NotEqual(t, `C:\`, names["A"])
}

func TestCheckGuestValue_NamesTheRuleAndNotTheValue(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	for value, rule := range map[string]string{
		secret + "\n":                         "newline",
		secret + "\r" + secret:                "carriage return",
		secret + `\`:                          "ends in a backslash",
		secret + `\\` + secret:                "backslash before",
		secret + `\"` + secret:                "backslash before",
		secret + "\x00":                       "NUL",
		secret + "\xff":                       "UTF-8",
		secret + strings.Repeat("x", 128<<10): "131079 bytes",
	} {
		err := compose.CheckGuestValue(compose.EnvVar{Key: "TOKEN", Value: value})
		require.ErrorContains(t, err, rule)
		assert.Contains(t, err.Error(), "TOKEN")
		assert.NotContains(t, err.Error(), secret)
	}
	err := compose.CheckGuestValue(compose.EnvVar{Key: "TOKEN=" + secret, Value: "x"})
	require.ErrorContains(t, err, `"TOKEN"`)
	assert.NotContains(t, err.Error(), secret)
	require.Error(t, compose.CheckGuestValue(compose.EnvVar{Key: strings.Repeat("A", 256)}))
}

// A value that the check takes arrives, between other variables.
func FuzzCheckGuestValue(f *testing.F) {
	for _, s := range []string{"", "a", `\`, `\\`, "a\r", "'", `"`, "x y", "#", " ", "=", "\u2028"} {
		f.Add(s, "x")
		f.Add("'", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		env := []compose.EnvVar{{"A", a}, {"B", b}, {"C", "c"}}
		for _, v := range env {
			if compose.CheckGuestValue(v) != nil {
				return
			}
		}
		read := compose.GuestEnv(env)
		if len(read) != 3 || read[0] != env[0] || read[1] != env[1] || read[2] != env[2] {
			t.Fatalf("%q and %q arrive as %#q", a, b, []string{read[0].Value, read[len(read)-1].Value})
		}
	})
}
