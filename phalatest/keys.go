package phalatest

import (
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
)

// keys are the secrets of the cloud: the central KMS's root key and the team's wallet.
type keys struct {
	root   *ecdsa.PrivateKey
	wallet common.Address
}

func newKeys(seed string) (*keys, error) {
	root, err := crypto.ToECDSA(crypto.Keccak256([]byte("kms root"), []byte(seed)))
	if err != nil {
		return nil, fmt.Errorf("phalatest: seed: %w", err)
	}
	wallet, err := crypto.ToECDSA(crypto.Keccak256([]byte("team wallet"), []byte(seed)))
	if err != nil {
		return nil, fmt.Errorf("phalatest: seed: %w", err)
	}
	return &keys{root: root, wallet: crypto.PubkeyToAddress(wallet.PublicKey)}, nil
}
