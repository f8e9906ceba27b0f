// Package cloudtext reads text that the cloud or a guest wrote: it makes it fit for an error, an event or a log, and
// parses times.
package cloudtext

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limit bounds a text, in bytes, before it is escaped.
const Limit = 1 << 10

// Clean returns the text as [Escape] does, with white space trimmed and at most [Limit] bytes of it.
func Clean(text string) string {
	text = strings.TrimSpace(text)
	cut := len(text) > Limit
	if cut {
		end := Limit
		for end > Limit-utf8.UTFMax && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	text = Escape(text)
	if cut {
		text += "…"
	}
	return text
}

// Escape returns the text on one line. A character that does not print is escaped as in a Go string: C0 and C1
// controls, such as the ones that move a terminal's cursor, and marks that change the direction of text. A line end or
// a tab becomes a blank.
func Escape(text string) string {
	if plain(text) {
		return text
	}
	return escape(text)
}

func plain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func escape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			b.WriteString(`\x`)
			b.WriteString(strconv.FormatUint(uint64(text[i])|0x100, 16)[1:])
		case r == '\n' || r == '\r' || r == '\t':
			b.WriteByte(' ')
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}
