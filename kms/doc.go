// Package kms checks the encryption key of an app against its KMS's root key, encrypts secrets, and derives app ids.
//
// The KMS derives an X25519 key for each app and signs it with its secp256k1 root key. A cloud in between could
// return a key of its own and read the secrets, so the order is: recover the signer of the key ([RecoverSigner]),
// compare it with the pinned root key ([CheckSigner]), and only then encrypt ([EncryptEnv]).
//
// The package uses no HTTP and no chain.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md explains the consequences
// for whoever distributes a binary.
package kms
