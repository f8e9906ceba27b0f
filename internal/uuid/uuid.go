// Package uuid recognises and compares UUIDs, which the API writes with and without dashes.
package uuid

import "strings"

// Bare returns the form in which UUIDs are compared: lower case, without dashes.
func Bare(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }

// Is reports whether id can only be a UUID: one of any version with its dashes, or one of version 4 without them. Other
// identifiers can have 32 hex digits, too.
func Is(id string) bool {
	_, dashed, ok := digits(id)
	return ok && dashed || IsV4(id)
}

// IsV4 reports whether id is a version 4 UUID of the RFC 9562 variant, with all of its dashes or none.
func IsV4(id string) bool {
	hex, _, ok := digits(id)
	return ok && hex[12] == '4' && strings.IndexByte("89abAB", hex[16]) >= 0
}

// digits returns the 32 hex digits of a UUID, and whether it has its dashes.
func digits(id string) (hex string, dashed, ok bool) {
	if len(id) == 36 && id[8] == '-' && id[13] == '-' && id[18] == '-' && id[23] == '-' {
		id, dashed = id[:8]+id[9:13]+id[14:18]+id[19:23]+id[24:], true
	}
	if len(id) != 32 {
		return "", false, false
	}
	for i := range len(id) {
		if strings.IndexByte("0123456789abcdefABCDEF", id[i]) < 0 {
			return "", false, false
		}
	}
	return id, dashed, true
}
