package osimage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash identifies an image: the SHA-256 of its sha256sum.txt, dstack's os_image_hash.
type Hash [sha256.Size]byte

// ParseHash parses 64 hex digits of either case, with or without "0x".
func ParseHash(text string) (Hash, error) {
	var h Hash
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(raw) != len(h) {
		return Hash{}, fmt.Errorf("os image hash %.80q: want 64 hexadecimal digits", text)
	}
	return Hash(raw), nil
}

// String returns 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash is zero, which identifies no image.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText returns the text of [Hash.String], and nothing for the zero hash.
func (h Hash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return []byte{}, nil
	}
	return []byte(h.String()), nil
}

// UnmarshalText parses the text as [ParseHash] does; an empty text is the zero hash.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
