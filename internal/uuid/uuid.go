// Package uuid compares UUIDs, which the API writes with and without dashes.
package uuid

import "strings"

// Bare returns the form in which UUIDs are compared: lower case, without dashes.
func Bare(id string) string { return strings.ToLower(strings.ReplaceAll(id, "-", "")) }
