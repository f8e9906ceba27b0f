package kms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/internal/interleave"
)

func TestParseAppID(t *testing.T) {
	t.Parallel()
	const bare = "00112233445566778899aabbccddeeff00112233"
	for _, text := range []string{bare, "0x" + bare, "app_" + bare, strings.ToUpper(bare), "0x" + strings.ToUpper(bare)} {
		id, err := ParseAppID(text)
		require.NoError(t, err, text)
		assert.Equal(t, bare, id.String())
		assert.False(t, id.IsZero())
	}
	for _, text := range []string{"", "0x", "app_", bare[1:], bare + "0", "0X" + bare, "app_0x" + bare, "instance_" + bare, " " + bare[1:], bare[:39] + "g", "app_app_" + bare} {
		_, err := ParseAppID(text)
		require.ErrorContains(t, err, "app id", text)
	}
	id, err := ParseAppID(bare)
	require.NoError(t, err)
	data, err := json.Marshal(id)
	require.NoError(t, err)
	var back AppID
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Equal(t, id, back)
}

func TestParseID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"kms-base-prod5", "kms_Xk3", "phala-prod5"} {
		id, err := ParseID(text)
		require.NoError(t, err)
		assert.Equal(t, ID(text), id)
	}
	for _, text := range []string{"base", "BASE", "phala", "Ethereum", "legacy"} {
		_, err := ParseID(text)
		require.ErrorContains(t, err, "kind of KMS", text)
	}
	for _, text := range []string{"", "a/b", "..", "a b", "é", strings.Repeat("a", 129)} {
		_, err := ParseID(text)
		require.Error(t, err, text)
	}
}

func TestParsePublicKeyForms(t *testing.T) {
	t.Parallel()
	const bare = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
	for _, text := range []string{bare, "0x" + bare, strings.ToUpper(bare)} {
		key, err := ParsePublicKey(text)
		require.NoError(t, err)
		assert.Equal(t, bare, key.String())
	}
	for _, text := range []string{"0X" + bare, " " + bare, bare + "\n", bare + " "} {
		_, err := ParsePublicKey(text)
		require.Error(t, err, text)
	}
}

func TestSigner_RefusesHighSAndOtherRecoveryIDs(t *testing.T) {
	t.Parallel()
	root, err := crypto.ToECDSA(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	app, pub := AppID{1}, PublicKey{9}
	sig, err := SignPublicKey(root, app, pub)
	require.NoError(t, err)
	got, err := RecoverSigner(app, pub, sig)
	require.NoError(t, err)
	require.NoError(t, CheckSigner(got, RootKey{}, RootKeyOf(root)))

	// The twin signature recovers to the same key with go-ethereum, and is refused here.
	twin := bytes.Clone(sig)
	s := new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(sig[32:64]))
	s.FillBytes(twin[32:64])
	twin[64] ^= 1
	key, err := crypto.SigToPub(digest(app, nil, pub), twin)
	require.NoError(t, err)
	require.Equal(t, RootKeyOf(root), RootKey(crypto.CompressPubkey(key)))
	_, err = RecoverSigner(app, pub, twin)
	require.ErrorContains(t, err, "upper half")

	for _, v := range []byte{4, 27, 28, 31, 255} {
		other := bytes.Clone(sig)
		other[64] = v
		_, err = RecoverSigner(app, pub, other)
		require.ErrorContains(t, err, "recovery id")
	}
	for _, n := range []int{0, 64, 66} {
		_, err = RecoverSigner(app, pub, append(bytes.Clone(sig), 0)[:n])
		require.ErrorContains(t, err, "want 65")
	}
	for name, change := range map[string]func() (RootKey, error){
		"app": func() (RootKey, error) { return RecoverSigner(AppID{2}, pub, sig) },
		"key": func() (RootKey, error) { return RecoverSigner(app, PublicKey{8}, sig) },
	} {
		other, err := change()
		if err == nil {
			require.Error(t, CheckSigner(other, RootKeyOf(root)), name)
		}
	}
	require.Error(t, CheckSigner(got), "no root is no trust")
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	root, err := crypto.ToECDSA(bytes.Repeat([]byte{7}, 32))
	require.NoError(t, err)
	app, pub := AppID{1}, PublicKey{9}
	const at = int64(1767225600)
	sig, err := crypto.Sign(digest(app, []byte{0, 0, 0, 0, 0x69, 0x55, 0xb9, 0}, pub), root)
	require.NoError(t, err)
	for _, tt := range []struct {
		age    int64
		maxAge time.Duration
		ok     bool
	}{
		{0, 0, true}, {300, 0, true}, {301, 0, false}, {-60, 0, true}, {-61, 0, false},
		{10, 10 * time.Second, true}, {11, 10 * time.Second, false}, {3600, time.Hour, true},
	} {
		got, err := RecoverSignerAt(app, pub, sig, at, time.Unix(at+tt.age, 999), tt.maxAge)
		if !tt.ok {
			require.ErrorIs(t, err, ErrNotFresh, "%+v", tt)
			continue
		}
		require.NoError(t, err, "%+v", tt)
		assert.Equal(t, RootKeyOf(root), got)
	}
	for _, timestamp := range []int64{-1, math.MinInt64, math.MaxInt64} {
		_, err := RecoverSignerAt(app, pub, sig, timestamp, time.Unix(at, 0), 0)
		require.ErrorIs(t, err, ErrNotFresh)
	}
}

func TestCheckEnv_NamesTheVariableOnly(t *testing.T) {
	t.Parallel()
	for want, env := range map[string][]EnvVar{
		`"A-B"`:        {{Key: "A-B", Value: "hunter2"}},
		`"1A"`:         {{Key: "1A", Value: "hunter2"}},
		`""`:           {{Key: "", Value: "hunter2"}},
		"255":          {{Key: strings.Repeat("a", 256), Value: "hunter2"}},
		"A appears":    {{Key: "A", Value: "hunter2"}, {Key: "A", Value: "hunter2"}},
		"131072":       {{Key: "A", Value: strings.Repeat("hunter2", 20000)}},
		"UTF-8":        {{Key: "A", Value: "hunter2\xff"}},
		"NUL":          {{Key: "A", Value: "hunter2\x00"}},
		"at most 1024": make([]EnvVar, 1025),
	} {
		err := CheckEnv(env)
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
		_, err = EncryptEnv(env, PublicKey{9})
		require.Error(t, err, want)
	}
	big := make([]EnvVar, 9)
	for i := range big {
		big[i] = EnvVar{Key: fmt.Sprint("A", i), Value: strings.Repeat("x", 128<<10)}
	}
	require.ErrorContains(t, CheckEnv(big), "at most 1048576")
	_, err := EncryptEnv(big[:3], PublicKey{9})
	require.ErrorContains(t, err, "at most 262144")
	_, err = EncryptEnv([]EnvVar{{Key: "A", Value: "x"}}, PublicKey{})
	require.Error(t, err, "a key of low order")
}

func TestEncryption_IsFreshEachTime(t *testing.T) {
	t.Parallel()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	pub := PublicKey(private.PublicKey().Bytes())
	first, err := EncryptEnv(nil, pub)
	require.NoError(t, err)
	second, err := EncryptEnv(nil, pub)
	require.NoError(t, err)
	assert.NotEqual(t, first[:64], second[:64])
	assert.NotEqual(t, first[64:88], second[64:88])
	env, err := DecryptEnv(first, private)
	require.NoError(t, err)
	assert.Empty(t, env)
}

func TestDecryptEnvRefuses(t *testing.T) {
	t.Parallel()
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	pub := PublicKey(private.PublicKey().Bytes())
	good, err := EncryptEnv([]EnvVar{{Key: "A", Value: "hunter2"}}, pub)
	require.NoError(t, err)
	last := byte('0')
	if good[len(good)-1] == '0' {
		last = '1'
	}
	for want, text := range map[string]string{
		"not hexadecimal": "zz",
		"at least 60":     good[:100],
		"altered":         good[:len(good)-1] + string(rune(last)),
		"at most 262144":  strings.Repeat("00", maxBlobSize+1),
	} {
		_, err := DecryptEnv(text, private)
		require.ErrorContains(t, err, want)
	}
	other, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	_, err = DecryptEnv(good, other)
	require.ErrorContains(t, err, "not encrypted for this key")
	for _, plain := range []string{`{"env":null}`, `{}`, `[]`, `{"env":[{"key":"A"}]}`, `{"env":[{"key":"hunter2-","value":""}]}`, "hunter2"} {
		_, err := DecryptEnv(seal(t, plain, pub), private)
		require.Error(t, err, plain)
	}
}

// seal encrypts any plaintext with the bare primitives.
func seal(t testing.TB, plain string, pub PublicKey) string {
	t.Helper()
	ephemeral, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	remote, err := ecdh.X25519().NewPublicKey(pub[:])
	require.NoError(t, err)
	shared, err := ephemeral.ECDH(remote)
	require.NoError(t, err)
	block, err := aes.NewCipher(shared)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	iv := make([]byte, ivSize)
	return hex.EncodeToString(aead.Seal(append(ephemeral.PublicKey().Bytes(), iv...), iv, []byte(plain), nil))
}

func TestEnvVar_IsNeverFormatted(t *testing.T) {
	t.Parallel()
	v := EnvVar{Key: "TOKEN", Value: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "env", v)
	for _, text := range []string{log.String(), fmt.Sprintf("%v %+v %#v %s %q %x", v, v, v, v, v, v), fmt.Sprint([]EnvVar{v})} {
		assert.NotContains(t, text, "hunter2")
	}
}

func FuzzParseAppID(f *testing.F) {
	for _, s := range []string{"00112233445566778899aabbccddeeff00112233", "0x00112233445566778899AABBCCDDEEFF00112233", "app_", "0x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseAppID(s)
		if err != nil {
			return
		}
		again, err := ParseAppID("app_" + id.String())
		if err != nil || again != id || !strings.HasSuffix(strings.ToLower(s), id.String()) {
			t.Fatalf("%q became %s", s, id)
		}
	})
}

func FuzzParsePublicKey(f *testing.F) {
	f.Add("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
	f.Add("0x" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, s string) {
		key, err := ParsePublicKey(s)
		if err != nil {
			return
		}
		if _, err := EncryptEnv([]EnvVar{{Key: "A", Value: "b"}}, key); err != nil {
			t.Fatalf("accepted %q, but: %v", s, err)
		}
	})
}

func FuzzRecoverSigner(f *testing.F) {
	f.Add(make([]byte, 65), make([]byte, 32))
	root, _ := crypto.ToECDSA(bytes.Repeat([]byte{7}, 32))
	sig, _ := SignPublicKey(root, AppID{1}, PublicKey{9})
	f.Add(sig, append([]byte{9}, make([]byte, 31)...))
	f.Fuzz(func(t *testing.T, sig, key []byte) {
		if len(key) != 32 {
			return
		}
		signer, err := RecoverSigner(AppID{1}, PublicKey(key), sig)
		if err != nil {
			return
		}
		if _, err := ParseRootKey(signer.String()); err != nil {
			t.Fatalf("recovered %s, which is no key: %v", signer, err)
		}
	})
}

func FuzzEncryptEnv(f *testing.F) {
	f.Add("A", "b", "C", "\u2028<>&\"\\\n\x01é😀")
	private, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{3}, 32))
	if err != nil {
		f.Fatal(err)
	}
	pub := PublicKey(private.PublicKey().Bytes())
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		env := []EnvVar{{Key: k1, Value: v1}, {Key: k2, Value: v2}}
		blob, err := EncryptEnv(env, pub)
		if err != nil {
			if CheckEnv(env) == nil && len(v1)+len(v2) < maxBlobSize/8 {
				t.Fatal(err)
			}
			return
		}
		back, err := DecryptEnv(blob, private)
		if err != nil || len(back) != 2 || back[0] != env[0] || back[1] != env[1] {
			t.Fatalf("%q became %q: %v", []string{k1, v1, k2, v2}, blob, err)
		}
	})
}

// BenchmarkEncryptEnv encrypts 50 variables against its floor: the bare primitives over a plaintext that is
// ready.
func BenchmarkEncryptEnv(b *testing.B) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(b, err)
	pub := PublicKey(private.PublicKey().Bytes())
	env := make([]EnvVar, 50)
	for i := range env {
		env[i] = EnvVar{Key: fmt.Sprintf("VARIABLE_%d", i), Value: strings.Repeat("secret value ", 8)}
	}
	plain := string(appendEnv(nil, env))
	interleave.Compare(b, func() error {
		_, err := EncryptEnv(env, pub)
		return err
	}, interleave.Baseline{Name: "primitives", Do: func() error {
		_ = seal(b, plain, pub)
		return nil
	}})
}

func TestPhalaCentralRootKey_IsAPointOfTheCurve(t *testing.T) {
	t.Parallel()
	root, err := ParseRootKey(PhalaCentralRootKey)
	require.NoError(t, err)
	assert.Equal(t, PhalaCentralRootKey, root.String())
}
