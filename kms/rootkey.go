package kms

import (
	"crypto/ecdsa"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/crypto"

	"github.com/phala-go/phala/internal/hexbytes"
)

// RootKey is the root key of a KMS, which signs the env keys of apps: a compressed secp256k1 public key.
type RootKey [33]byte

// ParseRootKey parses 66 hex digits of either case, with or without "0x", that are a point of the curve.
func ParseRootKey(text string) (RootKey, error) {
	var s RootKey
	if err := hexbytes.Parse(s[:], "root key", text); err != nil {
		return RootKey{}, err
	}
	if _, err := crypto.DecompressPubkey(s[:]); err != nil {
		return RootKey{}, fmt.Errorf("root key %.80q: not a point of secp256k1", text)
	}
	return s, nil
}

// RootKeyOf returns the public key of a private key.
func RootKeyOf(key *ecdsa.PrivateKey) RootKey {
	return RootKey(crypto.CompressPubkey(&key.PublicKey))
}

// String returns "0x" and 66 lower-case hex digits.
func (k RootKey) String() string { return "0x" + hex.EncodeToString(k[:]) }

// MarshalText returns the text of [RootKey.String].
func (k RootKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText parses the text as [ParseRootKey] does.
func (k *RootKey) UnmarshalText(text []byte) error {
	parsed, err := ParseRootKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// SignerError is returned if a key was not signed by a pinned root.
type SignerError struct {
	// Got is the signer of the key.
	Got RootKey
	// Want are the pinned roots.
	Want []RootKey
}

func (e *SignerError) Error() string {
	if len(e.Want) == 0 {
		return fmt.Sprintf("signed by %s, and no root key is pinned", e.Got)
	}
	want := make([]string, len(e.Want))
	for i, w := range e.Want {
		want[i] = w.String()
	}
	return fmt.Sprintf("signed by %s, want %s", e.Got, strings.Join(want, " or "))
}

// CheckSigner compares got with the pinned roots. It returns a [*SignerError] if got is none of them, or no root is
// given. A signature alone proves nothing: every one of the right length recovers to some key.
func CheckSigner(got RootKey, roots ...RootKey) error {
	match := 0
	for _, root := range roots {
		match |= subtle.ConstantTimeCompare(got[:], root[:])
	}
	if match == 1 {
		return nil
	}
	return &SignerError{Got: got, Want: roots}
}

// ParseSignature parses 130 hex digits of either case, with or without "0x".
func ParseSignature(text string) ([]byte, error) {
	bare := strings.TrimPrefix(text, "0x")
	if len(bare) != 2*crypto.SignatureLength {
		return nil, fmt.Errorf("signature: %d characters, want 130 hexadecimal digits", len(bare))
	}
	sig, err := hex.DecodeString(bare)
	if err != nil {
		return nil, errors.New("signature: want 130 hexadecimal digits")
	}
	return sig, nil
}

// purpose is the prefix of the message that a KMS signs, so that the signature is valid for nothing else.
const purpose = "dstack-env-encrypt-pubkey:"

func digest(app AppID, timestamp []byte, pub PublicKey) []byte {
	return crypto.Keccak256([]byte(purpose), app[:], timestamp, pub[:])
}

// RecoverSigner returns the key that has signed pub as the env key of app: Keccak-256 over
// "dstack-env-encrypt-pubkey:", the app id and the key.
//
// The signature has 65 bytes: r, s, and a recovery id of 0 to 3, as the KMS writes it. Implementations disagree about
// ids of 27 and more and about the upper half of s; both are errors. An altered signature does not always cause an
// error, because it recovers to another key: compare the result with [CheckSigner].
func RecoverSigner(app AppID, pub PublicKey, sig []byte) (RootKey, error) {
	return recoverSigner(digest(app, nil, pub), sig)
}

// The limits of a timestamped signature, as in the KMS's own clients.
const (
	// DefaultMaxAge limits the age of a signature.
	DefaultMaxAge = 300 * time.Second
	// MaxClockSkew limits how far the time of a signature is in the future.
	MaxClockSkew = 60 * time.Second
)

// ErrNotFresh is returned if a timestamped signature is too old, or from the future.
var ErrNotFresh = errors.New("the signature is not fresh")

// RecoverSignerAt returns the signer of the newer format, like [RecoverSigner]. In this format the KMS also signs the
// time, in Unix seconds. It returns [ErrNotFresh] if the time is more than maxAge (0 means [DefaultMaxAge]) before
// now or more than [MaxClockSkew] after it; both limits are inclusive.
func RecoverSignerAt(app AppID, pub PublicKey, sig []byte, timestamp int64, now time.Time, maxAge time.Duration) (RootKey, error) {
	if maxAge == 0 {
		maxAge = DefaultMaxAge
	}
	if timestamp < 0 {
		return RootKey{}, fmt.Errorf("%w: time %d", ErrNotFresh, timestamp)
	}
	// Whole seconds, and no subtraction that could overflow.
	at := now.Unix()
	if timestamp < at-int64(maxAge/time.Second) || timestamp > at+int64(MaxClockSkew/time.Second) {
		return RootKey{}, fmt.Errorf("%w: signed at %d, now it is %d", ErrNotFresh, timestamp, at)
	}
	return recoverSigner(digest(app, binary.BigEndian.AppendUint64(nil, uint64(timestamp)), pub), sig)
}

func recoverSigner(digest, sig []byte) (RootKey, error) {
	if len(sig) != crypto.SignatureLength {
		return RootKey{}, fmt.Errorf("signature: %d bytes, want %d", len(sig), crypto.SignatureLength)
	}
	if sig[64] > 3 {
		return RootKey{}, fmt.Errorf("signature: recovery id %d, want 0 to 3", sig[64])
	}
	if upperHalf(sig[32:64]) {
		return RootKey{}, errors.New("signature: s is in the upper half of the group order")
	}
	key, err := crypto.SigToPub(digest, sig)
	if err != nil {
		return RootKey{}, fmt.Errorf("signature: %w", err)
	}
	return RootKey(crypto.CompressPubkey(key)), nil
}

// upperHalf reports whether s is above half of the group order; each signature has a twin there (EIP-2, BIP 62).
func upperHalf(s []byte) bool {
	half := new(big.Int).Rsh(crypto.S256().Params().N, 1)
	return new(big.Int).SetBytes(s).Cmp(half) > 0
}

// SignPublicKey signs pub as the env key of app, as a KMS does with its root key. It is for tests of the
// verification.
func SignPublicKey(root *ecdsa.PrivateKey, app AppID, pub PublicKey) ([]byte, error) {
	return crypto.Sign(digest(app, nil, pub), root)
}

// PhalaCentralRootKey is the root key of Phala's central KMS, which signs the env keys of apps that are not governed
// on a chain: a compressed secp256k1 key for [ParseRootKey], [CheckSigner] and the KMS root of a deployment. The root
// CA of the same KMS is attest.PhalaCentralRootCA.
//
// Source: Phala-Network/trust-center, packages/verifier/src/verifiers/phalaCloudKmsVerifier.ts, commit f081105 of
// 2026-06-10.
//
// Warning: only the vendor of the cloud published the key. Pinning it excludes an impostor between the caller and the
// vendor, and a KMS that is exchanged later. It does not exclude a vendor that published the wrong key. Compare it
// with a key that was pinned before, or with the evidence of the KMS node (attest.KMSReportData).
const PhalaCentralRootKey = "0x0334c76e0c3f52ec64cbf9bbf5c910c272330166fd656c0a86bb330963e46910e1"
