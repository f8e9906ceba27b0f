package compose

import "math/bits"

// appendString writes a JSON string with the shortest escapes.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); i++ {
		i += plainLength(s[i:])
		if i == len(s) {
			break
		}
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			out = append(out, s[from:i]...)
			out = appendEscaped(out, rune(c))
			from = i + 1
		}
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}

// plainLength returns how many bytes at the beginning need no look, eight at a time as far as that goes.
func plainLength(s string) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		if marks := special(word(s[i:])); marks != 0 {
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
