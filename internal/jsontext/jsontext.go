// Package jsontext writes JSON strings with the shortest escapes, as the platform and the guests do. encoding/json
// also escapes <, > and & and some line separators, so that its bytes, and a hash of them, differ.
package jsontext

import (
	"math/bits"
	"unicode/utf8"
)

// AppendString appends a JSON string. Text that is not UTF-8 is appended as it is.
func AppendString(out []byte, s string) []byte {
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		i += plainLength(s[i:])
		if i == len(s) {
			break
		}
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			out = append(out, s[from:i]...)
			out = AppendEscaped(out, rune(c))
			from = i + 1
		}
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}

// AppendEscaped appends a character of a string with the shortest form that JSON allows.
func AppendEscaped(out []byte, r rune) []byte {
	switch r {
	case '"':
		return append(out, '\\', '"')
	case '\\':
		return append(out, '\\', '\\')
	case '\b':
		return append(out, '\\', 'b')
	case '\f':
		return append(out, '\\', 'f')
	case '\n':
		return append(out, '\\', 'n')
	case '\r':
		return append(out, '\\', 'r')
	case '\t':
		return append(out, '\\', 't')
	}
	if r < ' ' {
		const digits = "0123456789abcdef"
		return append(out, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
	}
	return utf8.AppendRune(out, r)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// Special marks, in the high bit of each byte of eight, the bytes that a string cannot take as they are
// without a look: controls, quotes, backslashes and everything beyond ASCII. Only the lowest mark is exact.
func Special(v uint64) uint64 {
	quote := v ^ ones*'"'
	slash := v ^ ones*'\\'
	return ((v-ones*0x20)&^v | (quote-ones)&^quote | (slash-ones)&^slash | v) & highs
}

// plainLength returns how many bytes at the beginning need no look, eight at a time as far as that goes.
func plainLength(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if marks := Special(word(s[i:])); marks != 0 {
			return i + bits.TrailingZeros64(marks)/8
		}
	}
	return i
}

// word returns the first eight bytes, as the compiler loads at once.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
