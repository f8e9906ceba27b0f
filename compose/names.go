package compose

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ValidateName returns an error if the name of a CVM breaks the platform's rule: 5 to 63 letters, digits and hyphens,
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

// ValidateEnvName returns an error if the name of a variable breaks the guest's rule: letters, digits and
// underscores, not beginning with a digit. Of a name that may hold a value, such as "KEY=value", the error shows
// no more than the part that is a name.
func ValidateEnvName(name string) error {
	if name == "" {
		return errors.New("variable without a name")
	}
	end := nameEnd(name, 0)
	if end == len(name) {
		return nil
	}
	if strings.HasPrefix(name[end:], "=") {
		return fmt.Errorf("variable %.80q: the name has a value behind it; use NAME alone", name[:end])
	}
	return fmt.Errorf("variable %s: want letters, digits and underscores, not beginning with a digit", shownName(name))
}

// shownName returns a name that is not valid as far as an error may show it: all of it if a dot or hyphen is
// what is wrong, else the part before the first character that belongs to no name, which may begin a value.
func shownName(name string) string {
	shown := name
	if i := strings.IndexFunc(name, func(r rune) bool { return !strings.ContainsRune(letters+digits+"_-.", r) }); i >= 0 {
		shown = name[:i]
	}
	if len(shown) > 80 {
		shown = shown[:80]
	}
	if shown != name {
		return strconv.Quote(shown) + "…"
	}
	return strconv.Quote(shown)
}

// nameEnd returns where the variable name that begins at i ends, i itself if there is none.
func nameEnd(s string, i int) int {
	start := i
	for i < len(s) && isNameByte(s[i], i == start) {
		i++
	}
	return i
}

func isNameByte(c byte, first bool) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || !first && '0' <= c && c <= '9'
}
