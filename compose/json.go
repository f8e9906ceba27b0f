package compose

import (
	"encoding/json"
	"unicode/utf8"
)

// marshal is json.Marshal for the types of App, without the escapes that encoding/json adds for HTML and
// JavaScript, and without mending text that is not UTF-8: the canonical form refuses that.
func marshal(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		return appendString(nil, v), nil
	case []string:
		out := []byte{'['}
		for i, s := range v {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendString(out, s)
		}
		return append(out, ']'), nil
	}
	return json.Marshal(v)
}

// appendString writes a JSON string with the shortest escapes.
func appendString(out []byte, s string) []byte {
	out = append(out, '"')
	from := 0
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			out = append(out, s[from:i]...)
			out = appendEscaped(out, rune(c))
			from = i + utf8.RuneLen(rune(c))
		}
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}
