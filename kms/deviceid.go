package kms

import (
	"crypto/subtle"
	"encoding/hex"

	"github.com/phala-go/phala/internal/hexbytes"
)

// DeviceID identifies a machine: the SHA-256 of an identifier that its hardware reports. It is not a compose hash,
// although both have 32 bytes and are parameters of an app's contract.
type DeviceID [32]byte

// ParseDeviceID parses 64 hex digits of either case, with or without "0x".
func ParseDeviceID(text string) (DeviceID, error) {
	var id DeviceID
	if err := hexbytes.Parse(id[:], "device id", text); err != nil {
		return DeviceID{}, err
	}
	return id, nil
}

// IsZero reports whether the id is 32 zero bytes, which identify no device.
func (id DeviceID) IsZero() bool { return id == DeviceID{} }

// Equal reports whether the ids are equal, in constant time.
func (id DeviceID) Equal(other DeviceID) bool {
	return subtle.ConstantTimeCompare(id[:], other[:]) == 1
}

// String returns 64 lower-case hex digits without a prefix, as the API does.
func (id DeviceID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText returns the text of [DeviceID.String].
func (id DeviceID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the text as [ParseDeviceID] does.
func (id *DeviceID) UnmarshalText(text []byte) error {
	parsed, err := ParseDeviceID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
