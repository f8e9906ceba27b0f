package main

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_Demonstration(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, io.Discard))
	assert.Regexp(t, `(?s)400.*202.*running.*204.*404`, out.String())
}

func TestRun_Cloud(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	t.Setenv("PHALA_KMS_ROOT", cloud.KMSRoot().String())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-cloud", "-listen", "127.0.0.1:0", "-dir", t.TempDir()}, writer, io.Discard, deploy.WithVerification(cloud.AttestationPolicy()))
		_ = writer.Close()
		done <- err
	}()
	text, address := "", ""
	buffer := make([]byte, 1<<12)
	for address == "" {
		n, err := reader.Read(buffer)
		require.NoError(t, err)
		text += string(buffer[:n])
		address = regexp.MustCompile(`http://127\S+`).FindString(text)
	}
	go func() { _, _ = io.Copy(io.Discard, reader) }()
	assert.Regexp(t, `"tdx.small": [\d.]+ USD an hour`, text, "the prices come first")

	answer, err := http.PostForm(address+"/sandboxes/alice-1", url.Values{"token": {"hunter2"}})
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusAccepted, answer.StatusCode)
	require.Eventually(t, func() bool {
		answer, err := http.Get(address + "/sandboxes/alice-1")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		return strings.Contains(string(body), `"running"`)
	}, time.Minute, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-done)
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{"only flags": {"x"}, "not defined": {"-unknown"}, "go together": {"-cloud"}} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
