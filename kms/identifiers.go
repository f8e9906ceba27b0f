package kms

import (
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/internal/hexbytes"
)

// AppID is the identity of an app: 20 bytes. With a KMS on a chain it is the address of the app's contract.
type AppID [20]byte

// ParseAppID reads 40 hex digits of either case, bare, with "0x" or with "app_" in front.
func ParseAppID(text string) (AppID, error) {
	var id AppID
	bare, prefixed := strings.CutPrefix(text, "app_")
	if prefixed && strings.HasPrefix(bare, "0x") {
		return AppID{}, fmt.Errorf("app id %.80q: two prefixes", text)
	}
	if err := hexbytes.Parse(id[:], "app id", bare); err != nil {
		return AppID{}, err
	}
	return id, nil
}

// DeriveAppID returns the id of the app that deployer creates with nonce: the address that Ethereum's CREATE assigns
// to a contract. The central KMS derives app ids in the same way, from a wallet of the workspace on the server.
func DeriveAppID(deployer common.Address, nonce uint64) AppID {
	return AppID(crypto.CreateAddress(deployer, nonce))
}

// String returns 40 lower-case hex digits without a prefix, as the API does.
func (id AppID) String() string { return hex.EncodeToString(id[:]) }

// Address returns the address of the app's contract, if its KMS is on a chain.
func (id AppID) Address() common.Address { return common.Address(id) }

// IsZero reports whether the id is zero, which no app has.
func (id AppID) IsZero() bool { return id == AppID{} }

// MarshalText returns the text of [AppID.String].
func (id AppID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses the text as [ParseAppID] does.
func (id *AppID) UnmarshalText(text []byte) error {
	parsed, err := ParseAppID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

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

// ID identifies one KMS: its slug, such as "kms-base-prod5", or its id, such as "kms_Xk3".
type ID string

// ParseID returns the ID of a KMS, or an error if text is not a slug or id. "phala", "base", "ethereum" and "legacy"
// are types of KMS, of which there can be several; they are the usual mistake here.
func ParseID(text string) (ID, error) {
	switch strings.ToLower(text) {
	case "phala", "base", "ethereum", "legacy":
		return "", fmt.Errorf("kms %q: that is a kind of KMS; want the slug or id of one, such as kms-base-prod5", text)
	case "":
		return "", fmt.Errorf("kms: empty; want a slug or id such as kms-base-prod5")
	}
	for i := range len(text) {
		c := text[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return "", fmt.Errorf("kms %.80q: want letters, digits, hyphens and underscores", text)
		}
	}
	if len(text) > 128 || text == "." || text == ".." {
		return "", fmt.Errorf("kms %.80q: not a slug or id", text)
	}
	return ID(text), nil
}
