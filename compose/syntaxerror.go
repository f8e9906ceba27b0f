package compose

import (
	"fmt"
	"strconv"
)

// SyntaxError is returned if a document has no canonical form.
type SyntaxError struct {
	// Path leads to the value, such as $.docker_config.password or $.features[1].
	Path string
	// Offset is the place in the text, in bytes from 0.
	Offset int
	// Reason is the rule that was broken.
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("app-compose: %s at %s (byte %d)", e.Reason, e.Path, e.Offset)
}

func (e *SyntaxError) within(name string) *SyntaxError {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_') {
			e.Path = "[" + strconv.Quote(name) + "]" + e.Path
			return e
		}
	}
	e.Path = "." + name + e.Path
	return e
}

func (e *SyntaxError) at(index int) *SyntaxError {
	e.Path = "[" + strconv.Itoa(index) + "]" + e.Path
	return e
}
