package osimage

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/phala-go/phala/internal/hexbytes"
)

// Hash identifies an image: the SHA-256 of its sha256sum.txt, dstack's os_image_hash.
type Hash [sha256.Size]byte

// ParseHash parses 64 hex digits of either case, with or without "0x".
func ParseHash(text string) (Hash, error) {
	var h Hash
	if err := hexbytes.Parse(h[:], "os image hash", text); err != nil {
		return Hash{}, err
	}
	return h, nil
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
