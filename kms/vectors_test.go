package kms

import (
	"bytes"
	"crypto/ecdh"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readVectors reads our own vectors and, where a directory of more is known, those as well.
func readVectors[T any](t *testing.T, name string) []T {
	t.Helper()
	dir := os.Getenv("PHALA_VECTORS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "vectors")
	}
	var all []T
	for _, file := range []string{filepath.Join("testdata", name), filepath.Join(dir, name)} {
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) && file[0] == '.' {
			continue
		}
		require.NoError(t, err)
		var v T
		require.NoError(t, json.Unmarshal(data, &v))
		all = append(all, v)
	}
	return all
}

func TestCreateAddressVectors(t *testing.T) {
	t.Parallel()
	type file struct {
		Vectors []struct {
			Deployer string
			Nonce    json.Number
			AppID    string `json:"app_id"`
			Address  string `json:"checksummed_address"`
		}
	}
	for _, f := range readVectors[file](t, "create_address.json") {
		require.NotEmpty(t, f.Vectors)
		for _, v := range f.Vectors {
			var nonce uint64
			require.NoError(t, json.Unmarshal([]byte(v.Nonce), &nonce))
			got := DeriveAppID(common.HexToAddress(v.Deployer), nonce)
			assert.Equal(t, v.AppID, got.String())
			assert.Equal(t, v.Address, got.Address().Hex())
		}
	}
}

func TestEnvEncryptVectors(t *testing.T) {
	t.Parallel()
	type file struct {
		Vectors []struct {
			ID         string
			Private    string `json:"recipient_private_key"`
			Public     string `json:"recipient_public_key"`
			Ephemeral  string `json:"ephemeral_private_key"`
			IV         string
			Envs       []EnvVar
			Plaintext  string `json:"plaintext_utf8"`
			Ciphertext string `json:"encrypted_hex"`
		}
		MustReject []struct{ Case, Hex string } `json:"must_reject_public_key"`
	}
	for _, f := range readVectors[file](t, "env_encrypt.json") {
		require.NotEmpty(t, f.Vectors)
		for _, v := range f.Vectors {
			pub, err := ParsePublicKey(v.Public)
			require.NoError(t, err, v.ID)
			if v.Plaintext != "" {
				assert.Equal(t, v.Plaintext, string(appendEnv(nil, v.Envs)), v.ID)
			}
			if v.Ephemeral != "" {
				got, err := encryptEnv(v.Envs, pub, bytes.NewReader(unhex(t, v.Ephemeral+v.IV)))
				require.NoError(t, err, v.ID)
				assert.Equal(t, v.Ciphertext, got, v.ID)
			}
			private, err := ecdh.X25519().NewPrivateKey(unhex(t, v.Private))
			require.NoError(t, err, v.ID)
			env, err := DecryptEnv(v.Ciphertext, private)
			require.NoError(t, err, v.ID)
			require.Len(t, env, len(v.Envs))
			for i := range env {
				assert.Equal(t, v.Envs[i].Key, env[i].Key, v.ID)
				assert.Equal(t, v.Envs[i].Value, env[i].Value, v.ID)
			}
		}
		require.NotEmpty(t, f.MustReject)
		for _, v := range f.MustReject {
			_, err := ParsePublicKey(v.Hex)
			require.ErrorContains(t, err, "public key", v.Case)
		}
	}
}

func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	type file struct {
		Vectors []struct {
			ID, Variant, Signature string
			PublicKey              string `json:"public_key"`
			AppID                  string `json:"app_id"`
			Timestamp              *int64
			Signer                 *string
			Message                string `json:"message_hex"`
			Digest                 string `json:"keccak256"`
		}
	}
	// Rows that some implementation accepts and we do not: a key of 40 bytes, and an app id with "0X".
	stricter := map[string]bool{"own_legacy_crossproto_v1sig_as_legacy": true, "own_v1_0X_appid": true}
	for _, f := range readVectors[file](t, "env_pubkey_signature.json") {
		require.NotEmpty(t, f.Vectors)
		for _, v := range f.Vectors {
			got, err := recoverText(v.AppID, v.PublicKey, v.Signature, v.Timestamp)
			switch {
			case v.Signer == nil || stricter[v.ID] || *v.Signer == "?":
				assert.Error(t, err, v.ID)
			case *v.Signer == "other-signer":
				require.NoError(t, err, v.ID)
				root, err := ParseRootKey("0x031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f")
				require.NoError(t, err)
				var wrong *SignerError
				require.ErrorAs(t, CheckSigner(got, root), &wrong, v.ID)
			default:
				require.NoError(t, err, v.ID)
				assert.Equal(t, *v.Signer, got.String(), v.ID)
				root, err := ParseRootKey(*v.Signer)
				require.NoError(t, err)
				assert.NoError(t, CheckSigner(got, root), v.ID)
			}
			if v.Digest != "" {
				assert.Equal(t, v.Digest, hex.EncodeToString(crypto.Keccak256(unhex(t, v.Message))), v.ID)
			}
		}
	}
}

// recoverText goes the whole way from texts, as a caller does.
func recoverText(appText, keyText, sigText string, timestamp *int64) (RootKey, error) {
	app, err := ParseAppID(appText)
	if err != nil {
		return RootKey{}, err
	}
	pub, err := ParsePublicKey(keyText)
	if err != nil {
		return RootKey{}, err
	}
	sig, err := ParseSignature(sigText)
	if err != nil {
		return RootKey{}, err
	}
	if timestamp == nil {
		return RecoverSigner(app, pub, sig)
	}
	return RecoverSignerAt(app, pub, sig, *timestamp, time.Unix(*timestamp, 0), 0)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}
