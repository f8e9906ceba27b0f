// Package kms implements the client's side of a dstack KMS: it derives app ids, checks that the env key of an app
// comes from a trusted KMS, and encrypts the app's secrets for that key.
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
