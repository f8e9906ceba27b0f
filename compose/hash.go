package compose

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"

	"github.com/phala-go/phala/internal/hexbytes"
)

// Hash is a compose hash: the SHA-256 of the exact text of an app-compose document.
type Hash [sha256.Size]byte

// Sum returns the hash of the exact bytes of a document, as the guest computes it from its app-compose file: without
// parsing and without a canonical form. Pass the unchanged text, such as the app_compose of an attestation.
func Sum(raw []byte) Hash { return sha256.Sum256(raw) }

// ParseHash parses 64 hex digits of either case, with or without "0x".
func ParseHash(text string) (Hash, error) {
	var h Hash
	if err := hexbytes.Parse(h[:], "compose hash", text); err != nil {
		return Hash{}, err
	}
	return h, nil
}

// String returns 64 lower-case hex digits without a prefix, as the API does.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText returns the text of [Hash.String].
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText parses the text as [ParseHash] does.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err != nil {
		return err
	}
	*h = parsed
	return nil
}

// Equal reports whether the hashes are equal, in constant time.
func (h Hash) Equal(other Hash) bool { return subtle.ConstantTimeCompare(h[:], other[:]) == 1 }
