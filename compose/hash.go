package compose

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash is a compose hash: the SHA-256 of the exact text of an app-compose document.
type Hash [sha256.Size]byte

// Sum hashes the exact bytes of a document. It is what the guest does with its app-compose file: no parsing,
// no canonical form. Give it the text as it came, such as the app_compose of an attestation.
func Sum(raw []byte) Hash { return sha256.Sum256(raw) }

// ParseHash reads 64 hexadecimal digits of either case, with or without "0x".
func ParseHash(text string) (Hash, error) {
	var h Hash
	bare := strings.TrimPrefix(text, "0x")
	if len(bare) != 2*len(h) {
		return Hash{}, fmt.Errorf("compose hash %.80q: %d characters, want 64 hexadecimal digits", text, len(bare))
	}
	if _, err := hex.Decode(h[:], []byte(bare)); err != nil {
		return Hash{}, fmt.Errorf("compose hash %.80q: want 64 hexadecimal digits", text)
	}
	return h, nil
}

// String returns 64 lower-case hexadecimal digits without a prefix, as the API does.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is [ParseHash].
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// Equal compares in constant time.
func (h Hash) Equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }
