package phalatest

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
)

// The one KMS of the fake cloud, as a node and as a contract.
const (
	kmsSlug = "phala-test1"
	kmsID   = "kms_test1"
	kmsURL  = "https://kms." + gatewayDomain

	contractID, contractSlug = "kc_phala", "phala"
)

// keys are the secrets of the cloud: the KMS's root key and the team's wallet.
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

// envKey is the key of an app's environment, which follows from the root key and the app id.
func (k *keys) envKey(app kms.AppID) (*ecdh.PrivateKey, error) {
	return ecdh.X25519().NewPrivateKey(crypto.Keccak256(crypto.FromECDSA(k.root), []byte("env"), app[:]))
}

func (k *keys) envPublicKey(app kms.AppID) (kms.PublicKey, error) {
	key, err := k.envKey(app)
	if err != nil {
		return kms.PublicKey{}, err
	}
	return kms.PublicKey(key.PublicKey().Bytes()), nil
}
