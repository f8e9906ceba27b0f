package osimage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash names an image: the SHA-256 of its sha256sum.txt, dstack's os_image_hash.
type Hash [sha256.Size]byte

// ParseHash reads 64 hexadecimal digits of either case, with or without "0x".
func ParseHash(text string) (Hash, error) {
	var h Hash
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(raw) != len(h) {
		return Hash{}, fmt.Errorf("os image hash %.80q: want 64 hexadecimal digits", text)
	}
	return Hash(raw), nil
}

// String returns 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash names no image.
func (h Hash) IsZero() bool { return h == Hash{} }

// MarshalText is String; nothing for the zero hash.
func (h Hash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return []byte{}, nil
	}
	return []byte(h.String()), nil
}

// UnmarshalText is [ParseHash]; an empty text is the zero hash.
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
