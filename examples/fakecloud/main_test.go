package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
)

// start runs the command and gives the environment that it prints.
func start(t *testing.T, log io.Writer, args ...string) (env map[string]string, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, args, writer, log)
		_ = writer.CloseWithError(io.EOF)
		done <- err
	}()
	env = map[string]string{}
	lines := bufio.NewScanner(reader)
	for env["PHALA_CLOUD_API_PREFIX"] == "" && lines.Scan() {
		name, value, found := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "=")
		require.True(t, found, lines.Text())
		env[name] = value
	}
	end = func() error {
		cancel()
		return <-done
	}
	t.Cleanup(func() { cancel() })
	return env, end
}

func TestFakeCloud_ServesThePrintedExample(t *testing.T) {
	t.Parallel()
	log := &lockedBuilder{}
	env, end := start(t, log, "-addr", "127.0.0.1:0", "-key", "phak_mine", "-tick", "1ms")
	require.Equal(t, "phak_mine", env["PHALA_CLOUD_API_KEY"])

	c, err := client.New(client.WithAPIKey(env["PHALA_CLOUD_API_KEY"]), client.WithBaseURL(env["PHALA_CLOUD_API_PREFIX"]))
	require.NoError(t, err)
	cvms, err := c.CVMs.List(t.Context(), nil)
	require.NoError(t, err)
	assert.Zero(t, cvms.Total)

	other, err := client.New(client.WithAPIKey("phak_other"), client.WithBaseURL(env["PHALA_CLOUD_API_PREFIX"]))
	require.NoError(t, err)
	_, err = other.CVMs.List(t.Context(), nil)
	require.ErrorIs(t, err, client.ErrUnauthorized)

	require.NoError(t, end(), "ctrl-C is no failure")
	_, err = c.CVMs.List(t.Context(), nil)
	require.Error(t, err, "the port is closed")
	assert.Contains(t, log.String(), "operation=CVMs.List status=200")
	assert.Contains(t, log.String(), "operation=CVMs.List status=401")
	assert.NotContains(t, log.String(), "phak_", "keys are not logged")
}

func TestServesTLS(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "certificate.pem")
	env, end := start(t, io.Discard, "-addr", "127.0.0.1:0", "-tls", file)
	assert.Equal(t, file, env["SSL_CERT_FILE"])
	assert.Equal(t, file, env["NODE_EXTRA_CA_CERTS"])
	trusted := x509.NewCertPool()
	pem, err := os.ReadFile(file)
	require.NoError(t, err)
	require.True(t, trusted.AppendCertsFromPEM(pem))
	for name, pool := range map[string]*x509.CertPool{"trusted": trusted, "not trusted": x509.NewCertPool()} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		c, err := client.New(
			client.WithAPIKey(env["PHALA_CLOUD_API_KEY"]), client.WithBaseURL(env["PHALA_CLOUD_API_PREFIX"]),
			client.WithHTTPClient(&http.Client{Transport: transport}))
		require.NoError(t, err)
		_, err = c.CVMs.List(t.Context(), nil)
		if name == "trusted" {
			require.NoError(t, err)
		} else {
			require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
		}
		transport.CloseIdleConnections()
	}
	require.NoError(t, end())
}

func TestFakeCloud_EndsWhileAStreamIsOpen(t *testing.T) {
	t.Parallel()
	env, end := start(t, io.Discard, "-addr", "127.0.0.1:0", "-tick", "1h")
	c, err := client.New(client.WithAPIKey(env["PHALA_CLOUD_API_KEY"]), client.WithBaseURL(env["PHALA_CLOUD_API_PREFIX"]))
	require.NoError(t, err)
	var ids struct {
		AppID string `json:"app_id"`
		Hash  string `json:"compose_hash"`
	}
	require.NoError(t, c.Do(t.Context(), "POST", "/cvms/provision", map[string]any{
		"name": "streamed", "compose_file": map[string]any{"name": "", "docker_compose_file": "services: {}"},
	}, &ids))
	require.NoError(t, c.Do(t.Context(), "POST", "/cvms", map[string]any{"app_id": ids.AppID, "compose_hash": ids.Hash}, nil))

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, err := range c.CVMs.Watch(ctx, "streamed", client.WatchOptions{Target: "running"}) {
		if err != nil {
			break // the watch gives up with its context
		}
		require.NoError(t, end(), "the open stream must not keep it from ending")
		cancel()
	}
}

func TestFakeCloud_RefusesWhatItCannotServe(t *testing.T) {
	t.Parallel()
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { taken.Close() })
	for name, args := range map[string][]string{
		"no key":        {"-key", ""},
		"no tick":       {"-tick", "0s"},
		"a word":        {"serve"},
		"unknown flag":  {"-port", "1"},
		"a wrong addr":  {"-addr", "127.0.0.1:notaport"},
		"no place":      {"-addr", "127.0.0.1:0", "-tls", filepath.Join(t.TempDir(), "no", "file")},
		"a taken addr":  {"-addr", taken.Addr().String()},
		"the help flag": {"-h"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), args, io.Discard, io.Discard)
			require.Error(t, err)
			assert.Equal(t, name == "the help flag", err == flag.ErrHelp)
		})
	}
}

func TestFakeCloud_PrintsAnAddressToConnectTo(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"0.0.0.0:8787":   "127.0.0.1:8787",
		"[::]:8787":      "127.0.0.1:8787",
		"127.0.0.1:8787": "127.0.0.1:8787",
		"[::1]:80":       "[::1]:80",
	} {
		addr, err := net.ResolveTCPAddr("tcp", given)
		require.NoError(t, err)
		assert.Equal(t, want, reachable(addr), given)
	}
}

// lockedBuilder is a strings.Builder for several goroutines.
type lockedBuilder struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuilder) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
