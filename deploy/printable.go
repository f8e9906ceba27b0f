package deploy

import (
	"strings"
	"unicode"
)

// printable replaces what would steer a terminal or turn text around.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
