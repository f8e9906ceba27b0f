package kms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/phala-go/phala/internal/jsontext"
)

// The layout of an encrypted environment: the ephemeral X25519 key, the iv, the AES-256-GCM ciphertext with its tag.
// The AES key is the unchanged X25519 secret; there is no additional authenticated data.
const (
	keySize  = 32
	ivSize   = 12
	tagSize  = 16
	overhead = keySize + ivSize + tagSize
)

// EncryptEnv encrypts variables for the env key of an app, whose signer must have been checked: see [CheckSigner]. It
// returns lower-case hex digits. It returns an error if the variables break the limits of [CheckEnv], or the result
// is longer than the 256 KiB that the guest accepts.
func EncryptEnv(env []EnvVar, pub PublicKey) (string, error) {
	return encryptEnv(env, pub, rand.Reader)
}

// encryptEnv reads the ephemeral key and the iv from random, in this order.
func encryptEnv(env []EnvVar, pub PublicKey, random io.Reader) (string, error) {
	if err := CheckEnv(env); err != nil {
		return "", err
	}
	blob := make([]byte, keySize+ivSize, overhead+envSize(env))
	blob = appendEnv(blob, env)
	if size := len(blob) + tagSize; size > maxBlobSize {
		return "", fmt.Errorf("an encrypted environment of %d bytes, the guest accepts at most %d", size, maxBlobSize)
	}
	var secret [keySize]byte
	if _, err := io.ReadFull(random, secret[:]); err != nil {
		return "", err
	}
	ephemeral, err := ecdh.X25519().NewPrivateKey(secret[:])
	if err != nil {
		return "", err
	}
	copy(blob, ephemeral.PublicKey().Bytes())
	iv := blob[keySize : keySize+ivSize]
	if _, err := io.ReadFull(random, iv); err != nil {
		return "", err
	}
	remote, err := ecdh.X25519().NewPublicKey(pub[:])
	if err != nil {
		return "", err
	}
	aead, err := newAEAD(ephemeral, remote)
	if err != nil {
		return "", err
	}
	// The ciphertext overwrites the plaintext.
	return hex.EncodeToString(aead.Seal(blob[:keySize+ivSize], iv, blob[keySize+ivSize:], nil)), nil
}

func newAEAD(private *ecdh.PrivateKey, public *ecdh.PublicKey) (cipher.AEAD, error) {
	shared, err := private.ECDH(public)
	if err != nil {
		return nil, fmt.Errorf("env key: %w", err)
	}
	block, err := aes.NewCipher(shared)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// DecryptEnv reverses [EncryptEnv], as the guest does: it decrypts with the private key and checks the variables
// against the guest's limits. It is for tests and for implementations of a KMS or a guest.
func DecryptEnv(encrypted string, private *ecdh.PrivateKey) ([]EnvVar, error) {
	bare := strings.TrimPrefix(encrypted, "0x")
	if len(bare) > 2*maxBlobSize {
		return nil, fmt.Errorf("encrypted environment: %d bytes, at most %d are allowed", len(bare)/2, maxBlobSize)
	}
	blob, err := hex.DecodeString(bare)
	if err != nil {
		return nil, errors.New("encrypted environment: not hexadecimal")
	}
	if len(blob) < overhead {
		return nil, fmt.Errorf("encrypted environment: %d bytes, want at least %d", len(blob), overhead)
	}
	public, err := ecdh.X25519().NewPublicKey(blob[:keySize])
	if err != nil {
		return nil, err
	}
	aead, err := newAEAD(private, public)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, blob[keySize:keySize+ivSize], blob[keySize+ivSize:], nil)
	if err != nil {
		return nil, errors.New("encrypted environment: it was not encrypted for this key, or was altered")
	}
	var doc struct {
		Env *[]struct {
			Key   *string `json:"key"`
			Value *string `json:"value"`
		} `json:"env"`
	}
	// The text of the error could repeat a secret, so it is dropped.
	if json.Unmarshal(plain, &doc) != nil || doc.Env == nil {
		return nil, errors.New("encrypted environment: the plaintext is not a list of variables")
	}
	env := make([]EnvVar, len(*doc.Env))
	for i, v := range *doc.Env {
		if v.Key == nil || v.Value == nil {
			return nil, errors.New("encrypted environment: a variable without key or value")
		}
		env[i] = EnvVar{Key: *v.Key, Value: *v.Value}
	}
	return env, CheckEnv(env)
}

// envSize estimates the size of the plaintext, so that the buffer need not grow.
func envSize(env []EnvVar) int {
	size := len(`{"env":[]}`)
	for _, v := range env {
		size += len(`{"key":"","value":""},`) + len(v.Key) + len(v.Value) + len(v.Value)/16
	}
	return size
}

// appendEnv writes the plaintext {"env":[{"key":…,"value":…},…]}: compact, with the bytes of the other implementations.
func appendEnv(out []byte, env []EnvVar) []byte {
	out = append(out, `{"env":[`...)
	for i, v := range env {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, `{"key":`...)
		out = jsontext.AppendString(out, v.Key)
		out = append(out, `,"value":`...)
		out = jsontext.AppendString(out, v.Value)
		out = append(out, '}')
	}
	return append(out, `]}`...)
}
