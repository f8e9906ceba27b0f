package cloudtext

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

func TestClean_EscapesWhatDoesNotPrint(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":            "plain text",
		" a\r\nb\tc ":           "a  b c",
		"é 😀 日本":                "é 😀 日本",
		"\x1b[2Jgone":           `\x1b[2Jgone`,
		"a\u009bB":              `a\u009bB`,
		"evil\u202etxt.exe":     `evil\u202etxt.exe`,
		"\u2066x\u2069\u200f":   `\u2066x\u2069\u200f`,
		"a\u2028b\u2029c\ufeff": `a\u2028b\u2029c\ufeff`,
		"a\xffb":                `a\xffb`,
		"\x00":                  `\x00`,
		"\u0085x":               "x",
	} {
		assert.Equal(t, want, Clean(in), "%q", in)
	}
}

func TestClean_IsBounded(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "é", "日", "😀", "\x1b", "\xff"} {
		got := Clean(strings.Repeat(unit, 1<<20/len(unit)))
		assert.LessOrEqual(t, len(got), 6*Limit+len("…"), unit)
		assert.True(t, strings.HasSuffix(got, "…"))
		assert.True(t, utf8.ValidString(got))
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x1b\u202e\n")
	f.Fuzz(func(t *testing.T, in string) {
		got := Clean(in)
		for _, r := range got {
			if !strconv.IsPrint(r) {
				t.Fatalf("%q became %q", in, got)
			}
		}
		if Clean(got) != got && len(got) <= Limit {
			t.Fatalf("%q became %q and then %q", in, got, Clean(got))
		}
	})
}
