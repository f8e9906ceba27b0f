package kms_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/kms"
)

func ExampleDeriveAppID() {
	wallet := common.HexToAddress("0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0")
	fmt.Println(kms.DeriveAppID(wallet, 1))
	// Output: 343c43a37d37dff08ae8c4a11544c718abb4fcf8
}

func ExampleCheckSigner() {
	// A KMS and what it says of an app's key.
	root := rootKey()
	app, _ := kms.ParseAppID("app_343c43a37d37dff08ae8c4a11544c718abb4fcf8")
	key, _ := kms.ParsePublicKey("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
	signature, _ := kms.SignPublicKey(root, app, key)

	// The client, which has the root key from elsewhere.
	pinned := kms.RootKeyOf(root)
	signer, err := kms.RecoverSigner(app, key, signature)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kms.CheckSigner(signer, pinned))

	// The same signature does not hold for another app.
	signer, _ = kms.RecoverSigner(kms.AppID{1}, key, signature)
	fmt.Println(kms.CheckSigner(signer, pinned) != nil)
	// Output:
	// <nil>
	// true
}

func ExampleEncryptEnv() {
	guest, _ := ecdh.X25519().NewPrivateKey(make([]byte, 32)) // the app's key, which the guest gets from its KMS
	key := kms.PublicKey(guest.PublicKey().Bytes())

	blob, err := kms.EncryptEnv([]kms.EnvVar{{Key: "TOKEN", Value: "hunter2"}}, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	env, err := kms.DecryptEnv(blob, guest)
	fmt.Println(len(blob), env[0], env[0].Value == "hunter2", err)
	// Output: 206 TOKEN=[redacted] true <nil>
}

func ExampleParseID() {
	_, err := kms.ParseID("base")
	fmt.Println(err)
	// Output: kms "base": that is a kind of KMS; want the slug or id of one, such as kms-base-prod5
}

func rootKey() *ecdsa.PrivateKey {
	key, err := crypto.ToECDSA(new(big.Int).SetInt64(7).FillBytes(make([]byte, 32)))
	if err != nil {
		return nil
	}
	return key
}
