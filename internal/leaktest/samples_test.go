package leaktest_test

import (
	"context"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/accounts/keystore"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/internal/leaktest"
	"github.com/phala-go/phala/kms"
	"github.com/phala-go/phala/kms/onchain"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/webhook"
)

// key is a secret that a header can carry.
const key = "phak_Planted/Secret+7"

// What is made by functions and methods is made here, with the secret.
func TestClient_ShowsNoKey(t *testing.T) {
	t.Parallel()
	c, err := client.New(client.WithAPIKey(key), client.WithHeader("X-Team", key))
	require.NoError(t, err)
	samples := []any{
		c, *c, c.API, *c.API, &c.Services, c.Services, client.WithAPIKey(key), client.WithHeader("X-Team", key), client.WithQuery("token", key),
		client.WithOptions(t.Context(), client.WithHeader("X-Team", key)),
	}
	services := reflect.ValueOf(c.Services)
	for i := range services.NumField() {
		samples = append(samples, services.Field(i).Interface(), services.Field(i).Elem().Interface())
	}
	for _, sample := range samples {
		leaktest.RequireHidden(t, reflect.TypeOf(sample).String(), sample, key)
	}
	_, err = client.New(client.WithAPIKey(key + "\n"))
	require.Error(t, err)
	leaktest.RequireHidden(t, "an error", err, key)
}

// The errors and answers of calls that carried a secret do not repeat it, whatever the server makes of it.
func TestErrors_ShowNoSecret(t *testing.T) {
	t.Parallel()
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", key)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	c, err := client.New(client.WithBaseURL(server.URL), client.WithAPIKey(key), client.WithoutRetry())
	require.NoError(t, err)
	secret := openapi.Secret(key)
	for name, answer := range map[string]struct {
		status int
		body   string
	}{
		"a 422":             {422, `{"detail":[{"loc":["body","encrypted_env"],"msg":"bad","type":"t","input":{"encrypted_env":"` + key + `"}}]}`},
		"a value":           {400, `{"error_code":"E","message":"m","details":[{"field":"f","value":"` + key + `","message":"m"}]}`},
		"a text":            {500, key},
		"a 465":             {465, `{"detail":{"message":"m","error_code":"c","details":[{"field":"commit_token","value":"` + key + `","message":"x"},{"field":"commit_url","value":"https://x/?t=` + key + `","message":"x"}]}}`},
		"another answer":    {200, `["` + key + `"]`},
		"a torn answer":     {200, `{"id":"` + key},
		"an odd answer":     {200, `{"id":{"x":"` + key + `"}}`},
		"a redirection":     {302, key},
		"no event of sorts": {200, "data: " + key + "\n\n"},
	} {
		status, body = answer.status, answer.body
		var filled client.Answer
		_, err := c.CVMs.Create(t.Context(), openapi.CreateCVMRequest{EncryptedEnv: &secret}, client.WithAnswer(&filled))
		if name != "an odd answer" {
			require.Error(t, err, name)
		}
		for err := err; err != nil; err = errors.Unwrap(err) {
			leaktest.RequireHidden(t, name, err, key)
		}
		for _, holder := range []any{
			client.WaitError{CVM: "a", Err: err}, &client.WaitAllError{Failed: []*client.WaitError{{CVM: "a", Err: err}}}, client.DecodeError{Err: err}, filled, &filled,
		} {
			leaktest.RequireHidden(t, name, holder, key)
		}
		var required *client.HashRegistrationRequired
		if errors.As(err, &required) {
			assert.Equal(t, secret, required.CommitToken)
			leaktest.RequireHidden(t, name, required, key)
		}
		_, err = c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: secret})
		leaktest.RequireHidden(t, name, err, key)
	}
	server.Close()
	_, err = c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: secret})
	require.Error(t, err)
	leaktest.RequireHidden(t, "no server", err, key)
}

func TestCompose_ShowsNoValue(t *testing.T) {
	t.Parallel()
	for _, value := range []any{
		compose.EnvVar{Key: "TOKEN=" + planted, Value: planted}, compose.EnvFromMap(map[string]string{"TOKEN": planted}),
		map[string]compose.EnvVar{"x": {Key: "TOKEN", Value: planted}}, compose.WithAllowedEnvs("TOKEN"),
	} {
		leaktest.RequireHidden(t, reflect.TypeOf(value).String(), value, planted)
	}
	for _, text := range []string{"A=\"" + planted, planted, "=" + planted, "A='" + planted} {
		_, err := compose.ReadEnv(strings.NewReader(text))
		require.Error(t, err, text)
		leaktest.RequireHidden(t, text, err, planted)
	}
	_, err := kms.EncryptEnv([]compose.EnvVar{{Key: "A=" + planted, Value: planted}}, kms.PublicKey{})
	require.Error(t, err)
	leaktest.RequireHidden(t, "a name", err, planted)
}

func TestWebhook_ShowsNoSecret(t *testing.T) {
	t.Parallel()
	receiver, err := webhook.Handler(key, func(context.Context, webhook.Event) error { return nil }, webhook.WithSecrets(key))
	require.NoError(t, err)
	body := []byte(`{"id":"evt_1","event":"cvm.update.pending_approval","data":{"commit_token":"` + key + `","commit_url":"https://x/?token=` + key + `"}}`)
	h := webhook.Sign(key, body, time.Now())
	event, err := webhook.Verify(key, h, body)
	require.NoError(t, err)
	approval, err := event.PendingApproval()
	require.NoError(t, err)
	require.Equal(t, webhook.Secret(key), approval.CommitToken)
	for _, value := range []any{receiver, webhook.WithSecrets(key), event, &event, approval, &approval, h} {
		leaktest.RequireHidden(t, reflect.TypeOf(value).String(), value, key)
	}
	_, err = webhook.Handler(" "+key, nil)
	require.Error(t, err)
	leaktest.RequireHidden(t, "an error", err, key)
	for _, data := range []string{`{"commit_token":7,"x":"` + key + `"}`, `["` + key + `"]`, `"` + key + `"`} {
		event.Data = webhook.Hidden(data)
		_, err = event.PendingApproval()
		leaktest.RequireHidden(t, data, err, key)
	}
}

func TestOnchain_ShowsNoKey(t *testing.T) {
	t.Parallel()
	private, err := crypto.GenerateKey()
	require.NoError(t, err)
	raw := string(crypto.FromECDSA(private))
	secrets := []string{raw, hexutil.Encode([]byte(raw))[2:], private.D.String(), key, planted}
	signer, err := onchain.PrivateKeySigner(private)
	require.NoError(t, err)
	nonces := onchain.SharedNonces(signer)
	stored, err := keystore.EncryptKey(&keystore.Key{Address: crypto.PubkeyToAddress(private.PublicKey), PrivateKey: private}, planted, 2, 1)
	require.NoError(t, err)
	fromFile, err := onchain.KeystoreSigner(stored, planted)
	require.NoError(t, err)
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	conn, err := onchain.Dial(t.Context(), server.URL+"/v3/"+key)
	require.NoError(t, err)
	defer conn.Close()
	_, failure := onchain.Open(t.Context(), conn, onchain.Contract{ChainID: 1})
	require.Error(t, failure)
	for _, value := range []any{signer, nonces, fromFile, onchain.WithSigner(signer), conn, failure, new(big.Int)} {
		leaktest.RequireHidden(t, reflect.TypeOf(value).String(), value, secrets...)
	}
	_, err = onchain.KeystoreSigner([]byte(`{"crypto":"`+planted+`"}`), planted)
	require.Error(t, err)
	leaktest.RequireHidden(t, "a keystore", err, planted)
	for _, address := range []string{"http://user:" + key + "@example.invalid/", "ftp://x/" + key, "https://x y/" + key, "https://example.invalid:x/" + key} {
		_, err = onchain.Dial(t.Context(), address)
		require.Error(t, err, address)
		leaktest.RequireHidden(t, address, err, key)
	}
}

func TestFakeCloud_ShowsNoKey(t *testing.T) {
	t.Parallel()
	s := phalatest.New(t, phalatest.WithAPIKey(key), phalatest.WithManualTicks())
	other := s.NewWorkspace("other")
	c, err := s.Client()
	require.NoError(t, err)
	hook, err := c.Webhooks.Create(t.Context(), openapi.CreateWebhookRequest{URL: "https://example.com/hook", Events: []string{"cvm.created"}, Secret: openapi.Ptr(openapi.Secret(planted))})
	require.NoError(t, err)
	require.Equal(t, openapi.Secret(planted), hook.Secret)
	for _, value := range []any{s, other, *other, c, hook, *hook, s.Requests(), phalatest.WithAPIKey(key)} {
		leaktest.RequireHidden(t, reflect.TypeOf(value).String(), value, key, planted, other.APIKey)
	}
}
