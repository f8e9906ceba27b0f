package onchain

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/kms"
)

func TestCalls_RefuseInvalidValues(t *testing.T) {
	t.Parallel()
	var app kms.AppID
	var zero [32]byte
	one := [32]byte{1}
	owner := common.Address{1}
	c := &Chain{contract: Contract{1, owner}}
	for name, err := range map[string]error{
		"compose hash": errors.Join(second(AddComposeHashCall(app, zero)), second(RemoveComposeHashCall(app, zero))),
		"device id":    errors.Join(second(AddDeviceCall(app, zero)), second(RemoveDeviceCall(app, zero))),
		"new owner":    second(TransferOwnershipCall(owner, common.Address{})),
		"owner of an":  second(c.DeployAppCall(kms.AppContract{ComposeHash: one, Device: one})),
		"hash is zero": second(c.DeployAppCall(kms.AppContract{Owner: owner, Device: one})),
		"any device":   second(c.DeployAppCall(kms.AppContract{Owner: owner, ComposeHash: one})),
	} {
		require.ErrorContains(t, err, name)
	}
}

func second[T any](_ T, err error) error { return err }

func TestFees(t *testing.T) {
	t.Parallel()
	for _, wei := range []int64{0, 1, 7, 8, 100, 1_000_000_007} {
		more := eighthMore(big.NewInt(wei)).Int64()
		assert.Greater(t, more*10, wei*11, "more than a tenth more")
		assert.LessOrEqual(t, more, wei+wei/8+2)
	}
	for text, wei := range map[string]int64{"0": 0, "0.000000000000000001": 1, "1": 1e18, "1.5": 15e17} {
		assert.Equal(t, text, ether(big.NewInt(wei)))
	}
}

func TestOptionsRefuse(t *testing.T) {
	t.Parallel()
	for _, option := range []Option{
		WithSigner(nil), WithConfirmations(0), WithMaxFee(nil), WithMaxFee(new(big.Int)), WithWait(0), WithPollInterval(-1), WithReplaceAfter(0),
		WithBlockTag("pending"), WithMaxHeadAge(-1),
	} {
		_, err := Open(t.Context(), deaf{}, Contract{1, common.Address{1}}, option)
		require.ErrorContains(t, err, "onchain: ")
	}
	_, err := Open(t.Context(), nil, Contract{1, common.Address{1}})
	require.Error(t, err)
}

// deaf is an endpoint that must not be asked.
type deaf struct{ RPC }

func TestSignersKeepTheirSecret(t *testing.T) {
	t.Parallel()
	key, err := crypto.HexToECDSA(strings.Repeat("17", 32))
	require.NoError(t, err)
	address := crypto.PubkeyToAddress(key.PublicKey)
	file, err := keystore.EncryptKey(&keystore.Key{Address: address, PrivateKey: key}, "hunter2", keystore.LightScryptN, keystore.LightScryptP)
	require.NoError(t, err)

	fromKey, err := PrivateKeySigner(key)
	require.NoError(t, err)
	fromFile, err := KeystoreSigner(file, "hunter2")
	require.NoError(t, err)
	fromOpts, err := TransactOptsSigner(bind.NewKeyedTransactor(key, big.NewInt(1)))
	require.NoError(t, err)
	tx := types.NewTx(&types.DynamicFeeTx{ChainID: big.NewInt(1), To: &address, GasFeeCap: big.NewInt(1), GasTipCap: big.NewInt(1)})
	want, err := fromKey.SignTx(t.Context(), tx, big.NewInt(1))
	require.NoError(t, err)
	for _, signer := range []Signer{fromKey, fromFile, fromOpts} {
		assert.Equal(t, address, signer.Address())
		got, err := signer.SignTx(t.Context(), tx, big.NewInt(1))
		require.NoError(t, err)
		assert.Equal(t, want.Hash(), got.Hash())
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			text := fmt.Sprintf(verb, signer)
			assert.NotContains(t, text, "1717")
			assert.NotContains(t, text, key.D.String())
		}
	}

	_, err = KeystoreSigner(file, "wrong passphrase")
	require.ErrorContains(t, err, "passphrase does not open")
	assert.NotContains(t, err.Error(), "wrong passphrase")
	_, err = KeystoreSigner([]byte(`{"hunter2"`), "hunter2")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "hunter2")
	_, err = PrivateKeySigner(nil)
	require.Error(t, err)
	_, err = TransactOptsSigner(&bind.TransactOpts{})
	require.Error(t, err)
}

func TestDial(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"http://example.com", "ws://example.com", "ftp://x", "", "://"} {
		_, err := Dial(t.Context(), address)
		require.Error(t, err, address)
	}
	var stolen bool
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen = true }))
	defer thief.Close()
	for name, handler := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
		},
		"no end": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":"`))
			for range 40 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		},
		"not json": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
	} {
		server := httptest.NewServer(handler)
		client, err := Dial(t.Context(), server.URL+"/secret-key")
		require.NoError(t, err)
		_, err = Open(t.Context(), client, Contract{1, common.Address{1}}, WithPollInterval(time.Millisecond))
		require.Error(t, err, name)
		server.Close()
		_, err = Open(t.Context(), client, Contract{1, common.Address{1}}, WithPollInterval(time.Millisecond))
		require.Error(t, err, "a closed server")
		assert.NotContains(t, err.Error(), "secret-key")
		client.Close()
	}
	assert.False(t, stolen)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	client, err := Dial(t.Context(), "http://127.0.0.1:1/secret-key")
	require.NoError(t, err)
	defer client.Close()
	_, err = Open(ctx, client, Contract{1, common.Address{1}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]refused{
		"already known": alreadyKnown, "ALREADY_EXISTS: already known": alreadyKnown, "Known transaction": alreadyKnown,
		"nonce too low: next nonce 5, tx nonce 3": nonceTooLow, "OldNonce": nonceTooLow,
		"replacement transaction underpriced": nonceTaken, "Replacement transaction underpriced": nonceTaken,
		"insufficient funds for gas * price + value": rejected, "intrinsic gas too low": rejected, "txpool is full": tooEarly,
		"Nonce too high. Expected nonce to be 5 but got 7. Note that transactions can't be queued when automining.": tooEarly,
		"in-flight transaction limit reached for delegated accounts":                                                tooEarly,
		"gapped-nonce tx from delegated accounts":                                                                   tooEarly,
		"transaction underpriced: tip needed 1, tip permitted 0":                                                    rejected,
	} {
		assert.Equal(t, want, refusal(nodeError{-32000, text}), text)
	}
	assert.Equal(t, noAnswer, refusal(nodeError{-32005, "limit exceeded"}))
	assert.Equal(t, noAnswer, refusal(nodeError{-32000, "header not found"}))
	assert.Equal(t, noAnswer, refusal(context.Canceled))
	assert.Equal(t, accepted, refusal(nil))
}

type nodeError struct {
	code int
	text string
}

func (e nodeError) Error() string  { return e.text }
func (e nodeError) ErrorCode() int { return e.code }
