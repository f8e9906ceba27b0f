package kms

import (
	"fmt"
	"strings"
)

// ID identifies one KMS: its slug, such as "kms-base-prod5", or its id, such as "kms_Xk3".
type ID string

// ParseID returns the ID of a KMS, or an error if text is not a slug or id. "phala", "base", "ethereum" and "legacy"
// are types of KMS, of which there can be several; they are the usual mistake here.
func ParseID(text string) (ID, error) {
	switch strings.ToLower(text) {
	case "phala", "base", "ethereum", "legacy":
		return "", fmt.Errorf("kms %q: that is a kind of KMS; want the slug or id of one, such as kms-base-prod5", text)
	case "":
		return "", fmt.Errorf("kms: empty; want a slug or id such as kms-base-prod5")
	}
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", fmt.Errorf("kms %.80q: want letters, digits, hyphens and underscores", text)
		}
	}
	if len(text) > 128 || text == "." || text == ".." {
		return "", fmt.Errorf("kms %.80q: not a slug or id", text)
	}
	return ID(text), nil
}
