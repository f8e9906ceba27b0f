package openapi

import (
	"encoding/json"
	"fmt"
)

// ID identifies a thing of the API: a CVM, a user, a node.
//
// It exists because the same field is a number under an older API version and a prefixed string
// ("cvm_…", "usr_…") under a newer one, and decoding a response must not depend on which. A number is kept
// as its decimal digits; null and an absent field are "".
type ID string

// UnmarshalJSON accepts a JSON string, an integer or null.
func (id *ID) UnmarshalJSON(data []byte) error {
	text, err := stringOrNumber(data)
	if err != nil {
		return fmt.Errorf("id: %w", err)
	}
	*id = ID(text)
	return nil
}

// stringOrNumber returns the text of a JSON string, the digits of a JSON number, or "" for null.
func stringOrNumber(data []byte) (string, error) {
	switch {
	case len(data) == 0:
		return "", fmt.Errorf("no value")
	case string(data) == "null":
		return "", nil
	case data[0] == '"':
		if plainString(data) {
			return string(data[1 : len(data)-1]), nil
		}
		var s string
		err := json.Unmarshal(data, &s)
		return s, err
	case data[0] == '-' || data[0] >= '0' && data[0] <= '9':
		if data[0] != '0' && allDigits(data) {
			return string(data), nil
		}
		var n json.Number
		err := json.Unmarshal(data, &n)
		return n.String(), err
	}
	return "", fmt.Errorf("want a string or a number, got %.20q", data)
}

// plainString reports whether a JSON string stands for the bytes between its quotes, as nearly all do that this
// package reads: no escape, nothing but printing ASCII.
func plainString(data []byte) bool {
	last := len(data) - 1
	if last < 1 || data[last] != '"' {
		return false
	}
	for _, c := range data[1:last] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}
