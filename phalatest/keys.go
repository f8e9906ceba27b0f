package phalatest

import (
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// keys are the secrets of the cloud: the root key of the central KMS.
type keys struct {
	root *ecdsa.PrivateKey
}

func newKeys(seed string) (*keys, error) {
	root, err := crypto.ToECDSA(crypto.Keccak256([]byte("kms root"), []byte(seed)))
	if err != nil {
		return nil, fmt.Errorf("phalatest: seed: %w", err)
	}
	return &keys{root: root}, nil
}

// wallet is the address of the wallet of a tenant. Nobody has its key: nothing is ever signed with it.
func (*keys) wallet(seed string, tenant int) common.Address {
	if tenant > 1 {
		seed += fmt.Sprint(" tenant ", tenant)
	}
	return common.BytesToAddress(crypto.Keccak256([]byte("team wallet"), []byte(seed)))
}
