// Package kms does the client's side of a dstack KMS: it derives app ids, checks that the key which an
// app's secrets are encrypted for comes from the KMS that one trusts, and encrypts the secrets.
//
// The KMS derives for each app an X25519 key and signs it with its secp256k1 root key. A cloud in between
// could name a key of its own and read the secrets, so the order is: recover the signer of the key
// ([RecoverSigner]), compare it with the root key that is pinned ([CheckSigner]), and only then encrypt
// ([EncryptEnv]).
//
// The package knows no HTTP and no chain.
//
// The package links go-ethereum, which is licensed under the LGPL-3.0; docs/dependencies.md says what that asks of
// whoever ships a binary.
package kms
