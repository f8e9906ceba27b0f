package main

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestScreen_ShowsWhatATerminalShows(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"a", "b2", "c2"}, screen([]byte("\na\nb1\r\nc1\r\n\x1b[2A\x1b[Jb2\r\nc2\r\n\n")))
	assert.Empty(t, screen(nil))
}

func TestStable_ReplacesWhatDiffers(t *testing.T) {
	t.Parallel()
	one := stable([]byte("http://127.0.0.1:33493 until 2036-11-27 21:54:07Z /tmp/phala-quickstart-4187647521/x 87e9e937-0b54-492d-97bd-ff9c15bb43d5"))
	two := stable([]byte("http://127.0.0.1:4 until 2037-01-02 01:02:03Z /tmp/phala-quickstart-1/x 00000000-0b54-492d-97bd-ff9c15bb43d5"))
	assert.Equal(t, string(one), string(two))
}

func TestDraw_IsWellFormed(t *testing.T) {
	t.Parallel()
	rows := []string{"Title <b> & more", "  ✓ passed    1 < 2", "", strings.Repeat("x", 50), "  plain", "cut", "cut"}
	picture := string(draw(`run "it"`, rows, 20, 5))
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		_, err := decoder.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
	}
	assert.Contains(t, picture, `<tspan fill="#57c98a">✓</tspan>`)
	assert.Contains(t, picture, strings.Repeat("x", 19)+"…<")
	assert.NotContains(t, picture, "cut")
	assert.Contains(t, picture, ">…</text>")
}

func TestCompare_FindsAnOutdatedPicture(t *testing.T) {
	t.Parallel()
	rows := []string{"Title", "  ✓ a <b>", "  → state created", "", "  last"}
	whole := draw("run", rows, 20, 10)
	begin := draw("run", rows, 20, 2)
	require.NoError(t, compare(whole, rows, 20))
	require.NoError(t, compare(begin, rows, 20))
	require.NoError(t, compare(whole, []string{"Title", "  ✓ a <b>", "  last"}, 20), "the states depend on the load")
	more := append(rows[:len(rows):len(rows)], "more")
	require.ErrorContains(t, compare(whole, more, 20), "more")
	require.NoError(t, compare(begin, more, 20))
	require.ErrorContains(t, compare(whole, rows[:2], 20), "last")
	require.ErrorContains(t, compare(begin, []string{"Title", "  ✗ a <b>"}, 20), "✗")
	require.Error(t, compare([]byte("<svg></svg>"), rows, 20))
	require.Error(t, compare([]byte("<svg>"), rows, 20))
}
