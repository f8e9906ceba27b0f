package kms

import (
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
