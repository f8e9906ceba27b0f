package openapi

import (
	"fmt"
	"strings"
)

// Flag is a boolean that the API writes as a boolean in some responses and as 0 or 1 in others.
type Flag bool

// UnmarshalJSON accepts true, false, 0, 1, the same as text, and null, which is no.
func (f *Flag) UnmarshalJSON(data []byte) error {
	switch strings.ToLower(strings.Trim(string(data), `"`)) {
	case "true", "1", "1.0":
		*f = true
	case "false", "0", "0.0", "null", "":
		*f = false
	default:
		return fmt.Errorf("flag: want true, false, 0 or 1, got %.20q", data)
	}
	return nil
}
