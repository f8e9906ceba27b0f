package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_ShowsTheThreeForms(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, &problems))
	assert.Equal(t, 3, strings.Count(out.String(), " 200 "))
	out.Reset()
	require.NoError(t, run(t.Context(), []string{"-tamper"}, &out, &problems))
	assert.Equal(t, 3, strings.Count(out.String(), " 503 "))
}

func TestRun_WritesThePage(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "page.html")
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), []string{"-out", file}, &out, &problems))
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(page), "</html>")
}

func TestRun_Cloud(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	c, err := cloud.Client()
	require.NoError(t, err)
	doc, err := compose.New(dockerCompose, compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	app, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: doc}, deploy.WithTeamWallet(cloud.TeamWallet()), deploy.SkipVerification())
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "page.html")
	args := []string{"-cloud", "-app", app.ID.String(), "-hash", app.ComposeHash.String(), "-out", file}
	require.NoError(t, run(t.Context(), args, io.Discard, io.Discard))
	page, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Contains(t, string(page), app.ComposeHash.String())
	assert.NotContains(t, string(page), "Verified by the hardware", "Intel did not sign the quotes of the fake cloud")
}

func TestRun_ServesUntilItsContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	out := writerFunc(func(b []byte) (int, error) {
		assert.Contains(t, string(b), "/proof")
		cancel()
		return len(b), nil
	})
	require.NoError(t, run(ctx, []string{"-listen", "127.0.0.1:0"}, out, os.Stderr))
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	app := strings.Repeat("01", 20)
	for want, args := range map[string][]string{
		"only flags":        {"x"},
		"not defined":       {"-unknown"},
		"go together":       {"-cloud"},
		"are for -cloud":    {"-hash", "00"},
		"-app: ":            {"-cloud", "-app", "12"},
		"-hash: ":           {"-cloud", "-app", app, "-hash", "12"},
		"-image: ":          {"-cloud", "-app", app, "-image", "12"},
		"for the embedded ": {"-cloud", "-app", app, "-tamper"},
	} {
		var out, problems strings.Builder
		err := run(t.Context(), args, &out, &problems)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
