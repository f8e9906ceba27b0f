package kms

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/phala-go/phala/internal/hexbytes"
)

// PublicKey is the X25519 key that an app's secrets are encrypted for.
type PublicKey [32]byte

// ParsePublicKey parses 64 hex digits of either case, with or without "0x". It returns an error for the points of low
// order, with which everybody could compute the shared secret.
func ParsePublicKey(text string) (PublicKey, error) {
	var key PublicKey
	if err := hexbytes.Parse(key[:], "public key", text); err != nil {
		return PublicKey{}, err
	}
	if err := key.check(); err != nil {
		return PublicKey{}, fmt.Errorf("public key %.80q: %w", text, err)
	}
	return key, nil
}

// check multiplies the key with an arbitrary private key: the product is zero exactly for a point of low order.
func (k PublicKey) check() error {
	public, err := ecdh.X25519().NewPublicKey(k[:])
	if err != nil {
		return err
	}
	scalar := make([]byte, 32)
	scalar[0] = 1
	private, err := ecdh.X25519().NewPrivateKey(scalar)
	if err != nil {
		return err
	}
	if _, err := private.ECDH(public); err != nil {
		return errors.New("a point of low order, which makes no secret")
	}
	return nil
}

// String returns 64 lower-case hex digits.
func (k PublicKey) String() string { return hex.EncodeToString(k[:]) }

// MarshalText returns the text of [PublicKey.String].
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses the text as [ParsePublicKey] does.
func (k *PublicKey) UnmarshalText(text []byte) error {
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}
