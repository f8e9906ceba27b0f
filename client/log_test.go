package client

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/openapi"
)

func TestLog_NothingSecretIsPrinted(t *testing.T) {
	t.Parallel()
	const token = "5b0c4a52-commit-token"
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	failing := func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
		return reply(422, `{"detail":[{"loc":["body","encrypted_env"],"msg":"bad","type":"x","input":"c1ph3rt3xt"}],"message":"no"}`), nil
	}
	c := newTest(t, failing, WithLogger(logger), WithRetry(RetryPolicy{MaxAttempts: 2}))
	_, first := c.CVMs.GetCommitUpdate(t.Context(), "web-1", &openapi.CVMsGetCommitUpdateParams{Token: token})
	require.Error(t, first)
	_, second := c.CVMs.UpdateEnvs(t.Context(), "web-1", openapi.UpdateEnvsRequest{EncryptedEnv: "c1ph3rt3xt"})
	require.ErrorIs(t, second, ErrValidation)
	var api *APIError
	require.ErrorAs(t, second, &api)
	logger.Info("x", "client", c, "error", second, "api", api)
	shown := log.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		shown += fmt.Sprintf(verb+verb+verb+verb, c, first, second, api)
	}
	for _, secret := range []string{testKey, token, "c1ph3rt3xt"} {
		assert.NotContains(t, shown, secret)
	}
	assert.Contains(t, shown, "phala: repeating a call")
	assert.Contains(t, shown, "CVMs.UpdateEnvs")
}
