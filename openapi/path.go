package openapi

import (
	"errors"
	"fmt"
	"strings"
)

// ErrPathParam is matched by every error of a [PathParam] whose value is refused.
var ErrPathParam = errors.New("invalid path parameter")

// maxPathParam bounds a path parameter, in bytes. The longest identifier of the API, a checksum, has 64.
const maxPathParam = 256

// PathParam is one segment of a request path: an identifier, a name, a checksum.
//
// It exists because a generated client writes whatever string it is given into the path, and a URL
// parser then resolves "..", so that reading the CVM ".." would call another operation. A PathParam
// refuses such a value before a request is built.
type PathParam string

// MarshalText returns the segment as it is. An error, which matches [ErrPathParam], is returned if the value is empty,
// "." or "..", longer than 256 bytes, or holds a byte that could end or re-encode a segment
// (slash, backslash, percent, "?", "#", ";", white space, a control character).
func (p PathParam) MarshalText() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	return []byte(p), nil
}

// Check returns the error that [PathParam.MarshalText] would fail with, or nil.
func (p PathParam) Check() error {
	switch {
	case p == "":
		return fmt.Errorf("%w: the value is empty", ErrPathParam)
	case p == "." || p == "..":
		return fmt.Errorf("%w: %q would change the route", ErrPathParam, string(p))
	case len(p) > maxPathParam:
		return fmt.Errorf("%w: %d bytes is more than the %d allowed", ErrPathParam, len(p), maxPathParam)
	}
	if i := strings.IndexFunc(string(p), endsSegment); i >= 0 {
		return fmt.Errorf("%w: %q has a character at byte %d that is not allowed in a path segment", ErrPathParam, string(p), i)
	}
	return nil
}

func endsSegment(r rune) bool {
	return r <= ' ' || r == 0x7f || r == '\uFFFD' || strings.ContainsRune(`/\%?#;`, r)
}
