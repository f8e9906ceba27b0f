package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestTheEmbeddedCloud(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, &problems))
	assert.Contains(t, out.String(), "✓ verified  verify")
	assert.Equal(t, 30, strings.Count(out.String(), "\n  "), "a line for every check")
	assert.Contains(t, out.String(), "  – report-data      not asked")

	out.Reset()
	err := run(t.Context(), []string{"-hash", strings.Repeat("0", 64)}, &out, &problems)
	require.ErrorIs(t, err, errUnverified)
	assert.Contains(t, out.String(), "✗ compose-hash     failed")
	assert.Contains(t, out.String(), "expected "+strings.Repeat("0", 64))
	assert.Contains(t, problems.String(), "another compose hash")

	out.Reset()
	require.NoError(t, run(t.Context(), []string{"-json"}, &out, &problems))
	var reports []attest.Report
	require.NoError(t, json.Unmarshal([]byte(out.String()), &reports))
	require.Len(t, reports, 1)
	assert.True(t, reports[0].Verified)
}

func TestFiles(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New()
	require.NoError(t, err)
	evidence, err := authority.Evidence(quotetest.Spec{})
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		return path
	}
	log, err := json.Marshal(attest.LogEntries(evidence.EventLog))
	require.NoError(t, err)
	collateral, err := json.Marshal(authority.CloudCollateral())
	require.NoError(t, err)
	var out, problems strings.Builder
	err = run(t.Context(), []string{
		"-quote", file("quote", evidence.Quote), "-log", file("log", log), "-compose", file("compose", []byte(evidence.AppCompose)),
		"-collateral", file("collateral", collateral), "-hash", compose.Sum([]byte(evidence.AppCompose)).String(), "-nonce", "fresh", "-tcb", "UpToDate",
	}, &out, &problems)
	require.ErrorIs(t, err, errUnverified)
	assert.Contains(t, out.String(), "✗ signature", "the root is not Intel's")
	assert.Contains(t, out.String(), "✗ report-data")
	assert.Contains(t, out.String(), "✓ compose-text")
}

func TestACVMOfAnAccount(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	var out, problems strings.Builder
	require.ErrorContains(t, run(t.Context(), []string{"-cvm", "nobody"}, &out, &problems), "not found")
	require.ErrorContains(t, run(t.Context(), []string{"-app", "xyz"}, &out, &problems), "xyz")
}

func TestWrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"want flags only":     {"web"},
		"exclude one another": {"-cvm", "a", "-app", "b"},
		"64 hex":              {"-hash", "12"},
		"root CA":             {"-kms-ca", "12"},
		"no such file":        {"-quote", "/nonexistent"},
		"cannot be accepted":  {"-tcb", "Revoked"},
		"64":                  {"-nonce", strings.Repeat("n", 65)},
		"not defined":         {"-unknown"},
	} {
		var out, problems strings.Builder
		require.ErrorContains(t, run(t.Context(), args, &out, &problems), want)
	}
}
