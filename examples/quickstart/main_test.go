package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// program runs the program with flags, and returns the two outputs and the exit code.
func program(ctx context.Context, args []string, opts ...deploy.Option) (out, problems string, code int) {
	var o, p strings.Builder
	code = run(ctx, args, &o, &p, opts...)
	return o.String(), p.String(), code
}

func TestRun_Embedded(t *testing.T) {
	t.Parallel()
	out, problems, code := program(t.Context(), []string{"-dir", t.TempDir()})
	require.Zero(t, code, problems)
	for _, want := range []string{"✓ compose hash     here", "✓ kms root", "✓ compose-hash", "guest decrypted    DATABASE_URL, SESSION_KEY"} {
		assert.Contains(t, out, want)
	}
}

// cloud is a cloud of the test in place of the real one.
func cloud(t *testing.T) *phalatest.Server {
	t.Helper()
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	t.Setenv("PHALA_KMS_ROOT", "")
	return cloud
}

// The program is stopped when the CVM exists, started again, and deletes what it deployed.
func TestRun_Cloud(t *testing.T) {
	cloud := cloud(t)
	dir := t.TempDir()
	hardware := deploy.WithVerification(cloud.AttestationPolicy())
	_, problems, code := program(t.Context(), []string{"-cloud", "-delete", "-dir", dir})
	assert.Equal(t, exitInput, code)
	assert.Contains(t, problems, "nothing to delete")

	ctx, cancel := context.WithCancel(t.Context())
	stop := deploy.WithProgress(func(event deploy.Event) {
		if _, created := event.(deploy.CreatedEvent); created {
			cancel()
		}
	})
	out, problems, code := program(ctx, []string{"-cloud", "-dir", dir}, hardware, stop)
	assert.Equal(t, exitStopped, code)
	assert.Regexp(t, `(?s)price +tdx.small: [\d.]+ USD.*app id .*PHALA_KMS_ROOT is not set.*Deploying`, out)
	assert.Contains(t, problems, "exists and goes on booting")

	t.Setenv("PHALA_KMS_ROOT", cloud.KMSRoot().String())
	out, problems, code = program(t.Context(), []string{"-cloud", "-dir", dir}, hardware)
	require.Zero(t, code, problems)
	assert.Contains(t, out, "going on")
	assert.Contains(t, out, "✓ compose-hash")
	assert.NotContains(t, out, "guest decrypted")
	assert.NoFileExists(t, filepath.Join(dir, "quickstart.state.json"))

	_, problems, code = program(t.Context(), []string{"-cloud", "-dir", dir}, hardware)
	assert.Equal(t, exitInput, code, "a second CVM would cost money, and nothing would delete the first")
	assert.Contains(t, problems, "runs already")

	out, problems, code = program(t.Context(), []string{"-cloud", "-delete", "-dir", dir})
	require.Zero(t, code, problems)
	assert.Contains(t, out, "deleted")
	assert.NoFileExists(t, filepath.Join(dir, "quickstart.app.json"))
	c, err := cloud.Client()
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		_, err := c.CVMs.Get(t.Context(), "quickstart")
		return errors.Is(err, client.ErrNotFound)
	}, 10*time.Second, 5*time.Millisecond)
}

func TestRun_CloudExitCodes(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		code   int
		text   string
	}{
		"refused":    {func(s *phalatest.Server) { s.Fault("CVMs.Provision", phalatest.Fault{Status: 402}) }, exitAPI, "402"},
		"no key":     {func(*phalatest.Server) { t.Setenv("PHALA_CLOUD_API_KEY", "") }, exitInput, "is not set"},
		"other key":  {func(*phalatest.Server) { t.Setenv("PHALA_CLOUD_API_KEY", "phak_other") }, exitAPI, "was refused"},
		"other root": {func(*phalatest.Server) { t.Setenv("PHALA_KMS_ROOT", "02"+strings.Repeat("79", 32)) }, exitInput, "PHALA_KMS_ROOT"},
		"no boot":    {func(s *phalatest.Server) { s.FailBoot("quickstart", "no such\x1b[2J image") }, exitBoot, "It exists"},
		"unproven": {func(s *phalatest.Server) {
			s.ForgeQuote("quickstart", quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 }))
		}, exitUnverified, "It exists and runs"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := cloud(t)
			tt.change(cloud)
			out, problems, code := program(t.Context(), []string{"-cloud", "-dir", t.TempDir()}, deploy.WithVerification(cloud.AttestationPolicy()))
			assert.Equal(t, tt.code, code, problems)
			assert.Contains(t, problems, tt.text)
			assert.NotContains(t, out+problems, "\x1b")
			assert.Equal(t, tt.code == exitUnverified, strings.Contains(out, "NOT proven by the hardware"))
		})
	}
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"takes no argument": {"x"}, "not defined": {"-unknown"}, "-delete needs -cloud": {"-delete"}, "-name": {"-name", "../x"},
	} {
		_, problems, code := program(t.Context(), args)
		assert.Equal(t, exitInput, code)
		assert.Contains(t, problems, want)
	}
	assert.Zero(t, run(t.Context(), []string{"-h"}, io.Discard, io.Discard))
}
