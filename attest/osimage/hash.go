package osimage

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/phala-go/phala/internal/hexbytes"
)

// ImageHash identifies an image: the SHA-256 of its sha256sum.txt, dstack's os_image_hash.
type ImageHash [sha256.Size]byte

// ParseImageHash parses 64 hex digits of either case, with or without "0x".
func ParseImageHash(text string) (ImageHash, error) {
	var h ImageHash
	if err := hexbytes.Parse(h[:], "os image hash", text); err != nil {
		return ImageHash{}, err
	}
	return h, nil
}

// String returns 64 lower-case hex digits.
func (h ImageHash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether the hash is zero, which identifies no image.
func (h ImageHash) IsZero() bool { return h == ImageHash{} }

// MarshalText returns the text of [ImageHash.String], and nothing for the zero hash.
func (h ImageHash) MarshalText() ([]byte, error) {
	if h.IsZero() {
		return []byte{}, nil
	}
	return []byte(h.String()), nil
}

// UnmarshalText parses the text as [ParseImageHash] does; an empty text is the zero hash.
func (h *ImageHash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = ImageHash{}
		return nil
	}
	parsed, err := ParseImageHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}
