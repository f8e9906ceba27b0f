package kms

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/phala-go/phala/compose"
)

// EnvVar is the type of package compose, which reads variables from env files.
type EnvVar = compose.EnvVar

// The limits of the guest, which aborts its boot over a variable that breaks one (dstack-util).
const (
	maxVars      = 1024
	maxNameSize  = 255
	maxValueSize = 128 << 10
	maxEnvSize   = 1 << 20
	maxBlobSize  = 256 << 10
)

// CheckEnv checks variables against the limits of the guest: at most 1,024 of them and 1 MiB in total; names of
// letters, digits and underscores, not beginning with a digit, at most 255 bytes, without duplicates; values of UTF-8
// text, at most 128 KiB. Errors contain the name of the variable, never its value.
func CheckEnv(env []EnvVar) error {
	if len(env) > maxVars {
		return fmt.Errorf("%d variables, the guest accepts at most %d", len(env), maxVars)
	}
	seen := make(map[string]bool, len(env))
	total := 0
	for i, v := range env {
		switch {
		case !validName(v.Key):
			return fmt.Errorf("variable %d, %.80q: want letters, digits and underscores, not beginning with a digit", i+1, v.Key)
		case len(v.Key) > maxNameSize:
			return fmt.Errorf("variable %d, %.80q: a name of %d bytes, the guest accepts at most %d", i+1, v.Key, len(v.Key), maxNameSize)
		case seen[v.Key]:
			return fmt.Errorf("variable %s appears twice", v.Key)
		case len(v.Value) > maxValueSize:
			return fmt.Errorf("variable %s: a value of %d bytes, the guest accepts at most %d", v.Key, len(v.Value), maxValueSize)
		case !utf8.ValidString(v.Value):
			return fmt.Errorf("variable %s: the value is not UTF-8 text", v.Key)
		case strings.IndexByte(v.Value, 0) >= 0:
			return fmt.Errorf("variable %s: the value contains a NUL byte, which no environment can", v.Key)
		}
		seen[v.Key] = true
		total += len(v.Key) + len(v.Value)
	}
	if total > maxEnvSize {
		return fmt.Errorf("%d bytes of variables, the guest accepts at most %d", total, maxEnvSize)
	}
	return nil
}

func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c != '_' && !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' && i > 0) {
			return false
		}
	}
	return name != ""
}
