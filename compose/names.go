package compose

import (
	"fmt"
	"strings"
)

// ValidateName holds the name of a CVM against the platform's rule: 5 to 63 letters, digits and hyphens,
// beginning with a letter, ending with a letter or digit, without two hyphens in a row.
func ValidateName(name string) error {
	reason := ""
	switch {
	case len(name) < 5 || len(name) > 63:
		reason = fmt.Sprintf("%d characters, want 5 to 63", len(name))
	case strings.IndexFunc(name, notInName) >= 0:
		reason = "only letters, digits and hyphens are allowed"
	case !strings.Contains(letters, name[:1]):
		reason = "it must begin with a letter"
	case name[len(name)-1] == '-':
		reason = "it must end with a letter or digit"
	case strings.Contains(name, "--"):
		reason = "two hyphens in a row are not allowed"
	default:
		return nil
	}
	return fmt.Errorf("name %.80q: %s", name, reason)
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

func notInName(r rune) bool { return r != '-' && !strings.ContainsRune(letters+digits, r) }

// ValidateEnvName holds the name of a variable against the guest's rule: letters, digits and underscores,
// not beginning with a digit.
func ValidateEnvName(name string) error {
	if name == "" {
		return fmt.Errorf("variable without a name")
	}
	if end := nameEnd(name, 0); end != len(name) {
		return fmt.Errorf("variable %.80q: want letters, digits and underscores, not beginning with a digit", name)
	}
	return nil
}

// nameEnd returns where the variable name that begins at i ends; i itself where there is none.
func nameEnd(s string, i int) int {
	start := i
	for i < len(s) && (s[i] == '_' || strings.IndexByte(letters, s[i]) >= 0 || i > start && '0' <= s[i] && s[i] <= '9') {
		i++
	}
	return i
}
