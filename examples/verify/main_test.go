package main

import (
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
	"github.com/phala-go/phala/verify"
)

// program runs the program with flags.
func program(t *testing.T, args ...string) (out, problems string, err error) {
	t.Helper()
	var o, p strings.Builder
	err = run(t.Context(), args, &o, &p)
	return o.String(), p.String(), err
}

// file writes a file of the test.
func file(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func TestRun_EmbeddedCloud(t *testing.T) {
	t.Parallel()
	out, _, err := program(t)
	require.NoError(t, err)
	assert.Contains(t, out, "✓ verified  verify")
	assert.Contains(t, out, "  – report-data          not asked")
	assert.GreaterOrEqual(t, strings.Count(out, "\n  "), 29, "a line for every check")

	out, problems, err := program(t, "-hash", strings.Repeat("0", 64))
	require.Equal(t, exitError(14), err)
	assert.Contains(t, out, "✗ compose-hash         failed")
	assert.Contains(t, out, "expected "+strings.Repeat("0", 64))
	assert.Contains(t, problems, "another compose hash")
}

// What runs is compared with what a repository has.
func TestRun_Repository(t *testing.T) {
	t.Parallel()
	good := `{"docker_compose_file":"services:\n  web:\n    image: nginx\n","pre_launch_script":"#!/bin/sh\n"}`
	out, _, err := program(t, "-document", file(t, "app-compose.json", []byte(good)))
	require.NoError(t, err)
	assert.Contains(t, out, "  ✓ document             passed")
	out, _, err = program(t, "-document", file(t, "app-compose.json", []byte(strings.Replace(good, "nginx", "nginx:2", 1))))
	require.Equal(t, exitError(14), err)
	assert.Contains(t, out, "  ✗ document             failed")
	_, _, err = program(t, "-docker-compose", file(t, "docker-compose.yml", []byte("services:\n  web:\n    image: nginx\n")))
	require.Equal(t, exitError(14), err, "the pre-launch script is none that the platform adds")
	_, _, err = program(t, "-document", "/nonexistent")
	require.ErrorIs(t, err, errUsage)
}

func TestRun_Formats(t *testing.T) {
	t.Parallel()
	out, _, err := program(t, "-format", "json")
	require.NoError(t, err)
	var result struct {
		Instances []struct{ Report attest.Report }
	}
	require.NoError(t, json.Unmarshal([]byte(out), &result))
	require.Len(t, result.Instances, 1)
	assert.True(t, result.Instances[0].Report.Verified)

	out, _, err = program(t, "-format", "junit", "-hash", strings.Repeat("0", 64))
	require.Equal(t, exitError(14), err)
	var suites struct {
		Failures int `xml:"failures,attr"`
	}
	require.NoError(t, xml.Unmarshal([]byte(out), &suites))
	assert.Equal(t, 1, suites.Failures)

	out, _, err = program(t, "-format", "sarif", "-artifact", "deploy/compose.yml", "-hash", strings.Repeat("0", 64))
	require.Equal(t, exitError(14), err)
	assert.True(t, json.Valid([]byte(out)))
	assert.Contains(t, out, `"uri": "deploy/compose.yml"`)
}

// The hardware of the embedded cloud is not Intel's, so that its bundle does not verify elsewhere.
func TestRun_SavedBundle(t *testing.T) {
	t.Parallel()
	saved := filepath.Join(t.TempDir(), "evidence.json")
	_, _, err := program(t, "-save", saved)
	require.NoError(t, err)
	out, _, err := program(t, "-bundle", saved)
	require.Equal(t, exitError(10), err)
	assert.Contains(t, out, "✗ signature")
	assert.Contains(t, out, "✓ compose-hash")
	_, _, err = program(t, "-bundle", file(t, "broken", []byte("{}")))
	require.ErrorIs(t, err, attest.ErrBundle)
}

// A bundle of real hardware verifies offline at the time of then, and not now.
func TestRun_BundleOfRealHardware(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "evidence", "cases", "mpc-2026-08-14-50328c.json"))
	if os.IsNotExist(err) {
		t.Skip("no recorded evidence here")
	}
	require.NoError(t, err)
	var c struct {
		Quote      string
		EventLog   json.RawMessage `json:"event_log"`
		TCBInfo    openapi.TCBInfo `json:"tcb_info"`
		Collateral json.RawMessage
		Issued     time.Time `json:"collateral_issue"`
	}
	require.NoError(t, json.Unmarshal(data, &c))
	evidence := attest.Evidence{Name: "real", AppCompose: c.TCBInfo.AppCompose}
	evidence.Quote, err = hex.DecodeString(c.Quote)
	require.NoError(t, err)
	evidence.EventLog, err = attest.ParseEventLog(c.EventLog)
	require.NoError(t, err)
	collateral, err := attest.ParseCollateral(c.Collateral)
	require.NoError(t, err)
	instance, err := verify.Evidence(t.Context(), evidence, attest.Policy{
		Collateral: attest.OfflineCollateral(collateral), Now: func() time.Time { return c.Issued },
	})
	require.NoError(t, err)
	text, err := json.Marshal(instance.Bundle)
	require.NoError(t, err)
	bundle := file(t, "bundle.json", text)

	out, _, err := program(t, "-bundle", bundle)
	require.NoError(t, err)
	assert.Contains(t, out, "✓ verified  real")
	_, _, err = program(t, "-bundle", bundle, "-hash", compose.Sum([]byte(evidence.AppCompose)).String())
	require.NoError(t, err)
	_, _, err = program(t, "-bundle", bundle, "-hash", strings.Repeat("0", 64))
	require.Equal(t, exitError(14), err, "what is expected is for the reader")
	_, _, err = program(t, "-bundle", bundle, "-now", "2027-01-01T00:00:00Z")
	require.Equal(t, exitError(11), err)
}

func TestRun_Files(t *testing.T) {
	t.Parallel()
	authority, err := quotetest.New()
	require.NoError(t, err)
	_, evidence, err := authority.Certificate(quotetest.Spec{})
	require.NoError(t, err)
	log, err := json.Marshal(attest.LogEntries(evidence.EventLog))
	require.NoError(t, err)
	collateral, err := json.Marshal(authority.CloudCollateral())
	require.NoError(t, err)
	out, _, err := program(t,
		"-quote", file(t, "quote", evidence.Quote), "-log", file(t, "log", log), "-compose", file(t, "compose", []byte(evidence.AppCompose)),
		"-collateral", file(t, "collateral", collateral), "-hash", compose.Sum([]byte(evidence.AppCompose)).String(), "-nonce", "fresh", "-tcb", "UpToDate",
	)
	require.Equal(t, exitError(10), err)
	assert.Contains(t, out, "✗ signature", "the root is not Intel's")
	assert.Contains(t, out, "✗ report-data")
	assert.Contains(t, out, "✓ compose-text")
}

func TestRun_Account(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	_, _, err := program(t, "-cvm", "nobody")
	require.ErrorContains(t, err, "not found")
	require.NotErrorIs(t, err, errUsage)
	_, _, err = program(t, "-app", strings.Repeat("01", 20))
	require.Error(t, err)
	_, _, err = program(t, "-app", "xyz")
	require.ErrorIs(t, err, errUsage)

	c, err := cloud.Client()
	require.NoError(t, err)
	doc, err := compose.New("services:\n  web:\n    image: nginx\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
	require.NoError(t, err)
	app, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: doc}, deploy.WithTeamWallet(cloud.TeamWallet()), deploy.SkipVerification())
	require.NoError(t, err)
	for _, args := range [][]string{{"-cvm", "web-1"}, {"-app", app.ID.String()}} {
		out, _, err := program(t, append(args, "-hash", app.ComposeHash.String())...)
		require.Equal(t, exitError(10), err)
		assert.Contains(t, out, "✗ signature", "the root is not Intel's")
		assert.Contains(t, out, "✓ compose-hash")
	}
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"only flags are known": {"web"},
		"exclude one another":  {"-cvm", "a", "-app", "b"},
		"-docker-compose excl": {"-document", "a", "-docker-compose", "b"},
		"64 hex":               {"-hash", "12"},
		"root CA":              {"-kms-ca", "12"},
		"cannot be accepted":   {"-tcb", "Revoked"},
		"64":                   {"-nonce", strings.Repeat("n", 65)},
		"must be one of text":  {"-format", "pdf"},
		"-now":                 {"-now", "yesterday"},
		"not a check":          {"-waive", "weather"},
		"neither":              {"-grace", "-1h"},
		"image":                {"-image", "12"},
	} {
		_, _, err := program(t, args...)
		require.ErrorContains(t, err, want)
		require.ErrorIs(t, err, errUsage, want)
	}
	_, _, err := program(t, "-unknown")
	require.ErrorContains(t, err, "not defined")
	_, _, err = program(t, "-quote", "/nonexistent")
	require.ErrorContains(t, err, "no such file")
}
