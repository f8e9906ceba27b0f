package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/attest"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
	"github.com/phala-go/phala/phalatest/quotetest"
)

func TestRun_Demonstration(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.Zero(t, run(t.Context(), nil, func(string) string { return "" }, &out, &problems), out.String())
	decoder := json.NewDecoder(strings.NewReader(out.String()))
	for _, want := range []string{"deployed", "updated", "unchanged"} {
		var a answer
		require.NoError(t, decoder.Decode(&a))
		assert.Equal(t, want, a.Action)
		assert.True(t, a.Verified)
		assert.Empty(t, a.Error)
	}
	assert.NotContains(t, out.String()+problems.String(), "s3cret")
}

// files writes what a job needs, and returns its environment.
func files(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{
		"DEPLOY_NAME": "shop-1", "DEPLOY_COMPOSE": filepath.Join(dir, "docker-compose.yml"),
		"DEPLOY_PRE_LAUNCH": filepath.Join(dir, "script"), "DEPLOY_ANCHOR": filepath.Join(dir, "app.json"),
		"DEPLOY_SECRETS": "TOKEN", "TOKEN": "s3cret",
	}
	require.NoError(t, os.WriteFile(env["DEPLOY_COMPOSE"], []byte("services:\n  web:\n    image: nginx\n    environment: [\"TOKEN=${TOKEN}\"]\n"), 0o600))
	require.NoError(t, os.WriteFile(env["DEPLOY_PRE_LAUNCH"], []byte("#!/bin/sh\n"), 0o600))
	return env
}

func TestRun_Cloud(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	env := files(t)
	getenv := func(name string) string { return env[name] }
	var out, problems strings.Builder
	require.Equal(t, exitMismatch, run(t.Context(), nil, getenv, &out, &problems), "the KMS is not Phala's: %s", out.String())
	assert.Regexp(t, `^tdx.small costs [\d.]+ USD an hour`, problems.String())

	env["DEPLOY_KMS_ROOT"], env["DEPLOY_ANCHOR"] = cloud.KMSRoot().String(), filepath.Join(t.TempDir(), "app.json")
	hardware := deploy.WithVerification(cloud.AttestationPolicy())
	out.Reset()
	require.Zero(t, run(t.Context(), nil, getenv, &out, &problems, hardware), out.String())
	var a answer
	require.NoError(t, json.Unmarshal([]byte(out.String()), &a))
	assert.Equal(t, "deployed", a.Action)
	assert.True(t, a.Verified)

	env["DEPLOY_FORCE"], env["TOKEN"] = "1", "n3w"
	out.Reset()
	require.Zero(t, run(t.Context(), nil, getenv, &out, &problems, hardware), out.String())
	assert.Contains(t, out.String(), `"action": "updated"`)

	env["DEPLOY_FORCE"] = ""
	out.Reset()
	assert.Equal(t, exitUnverified, run(t.Context(), nil, getenv, &out, &problems, hardware), "Intel did not sign the quotes of the fake cloud")
	assert.Contains(t, out.String(), `"action": "unchanged"`)
}

func TestJob_KindsOfErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*phalatest.Server)
		kind   string
		code   int
	}{
		"refused":   {func(s *phalatest.Server) { s.Fault("CVMs.Provision", phalatest.Fault{Status: 402}) }, "api", exitAPI},
		"no boot":   {func(s *phalatest.Server) { s.FailBoot("shop-1", "no such image") }, "boot", exitBoot},
		"unproven":  {func(s *phalatest.Server) { s.BootInstead("shop-1", func(q *quotetest.Spec) { q.AppCompose += " " }) }, "unverified", exitUnverified},
		"tampering": {func(s *phalatest.Server) { s.TamperResponse("CVMs.Provision", otherHash) }, "mismatch", exitMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cloud := phalatest.New(t)
			tt.change(cloud)
			var log, out strings.Builder
			a, err := onEmbedded(t.Context(), cloud, files(t), &log)
			require.Error(t, err)
			assert.Equal(t, tt.code, write(&out, a, err))
			assert.Equal(t, tt.kind, a.Kind)
			assert.Empty(t, a.Action)
			assert.False(t, a.Verified)
			var back answer
			require.NoError(t, json.Unmarshal([]byte(out.String()), &back))
			assert.NotEmpty(t, back.Error)
		})
	}
}

func otherHash(status int, body []byte) (int, []byte) {
	before, rest, found := strings.Cut(string(body), `"compose_hash":"`)
	if !found {
		return status, body
	}
	return status, []byte(before + `"compose_hash":"` + strings.Repeat("0", 64) + rest[64:])
}

// A job that was cut off goes on in the next one, and so does an update.
func TestJob_GoesOn(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	env := files(t)
	cloud.Fault("CVMs.Create", phalatest.Fault{Status: 402})
	var log strings.Builder
	a, err := onEmbedded(t.Context(), cloud, env, &log)
	require.Error(t, err)
	assert.Equal(t, env["DEPLOY_ANCHOR"]+".state", a.Resume)
	a, err = onEmbedded(t.Context(), cloud, env, &log)
	require.NoError(t, err)
	assert.Equal(t, "deployed", a.Action)
	assert.NoFileExists(t, env["DEPLOY_ANCHOR"]+".state")

	forced := maps.Clone(env)
	forced["DEPLOY_FORCE"], forced["TOKEN"] = "1", "n3w"
	cloud.Fault("CVMs.Update", phalatest.Fault{Status: 402})
	cloud.Fault("CVMs.CommitComposeUpdate", phalatest.Fault{Status: 402})
	a, err = onEmbedded(t.Context(), cloud, forced, &log)
	if err != nil { // whichever of the two requests the update needs
		assert.Equal(t, env["DEPLOY_ANCHOR"]+".pending", a.Resume)
		a, err = onEmbedded(t.Context(), cloud, forced, &log)
	}
	require.NoError(t, err)
	assert.Equal(t, "updated", a.Action)
	assert.NoFileExists(t, env["DEPLOY_ANCHOR"]+".pending")
	values, err := cloud.Env("shop-1")
	require.NoError(t, err)
	require.Len(t, values, 1)
	assert.Equal(t, "n3w", values[0].Value)
	assert.NotContains(t, log.String(), "n3w")
}

// An app that somebody changed is found out by a run that changes nothing.
func TestJob_VerifiesWithoutAChange(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	env := files(t)
	var log, out strings.Builder
	_, err := onEmbedded(t.Context(), cloud, env, &log)
	require.NoError(t, err)
	cloud.ForgeQuote("shop-1", quotetest.ChangeQuote(func(q *attest.Quote) { q.TDAttributes[0] = 1 }))
	a, err := onEmbedded(t.Context(), cloud, env, &log)
	assert.Equal(t, exitUnverified, write(&out, a, err))
	assert.False(t, a.Verified)
}

func TestNewJob_RefusesAnEnvironment(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(map[string]string){
		"DEPLOY_NAME":       func(env map[string]string) { env["DEPLOY_NAME"] = "x" },
		"DEPLOY_COMPOSE":    func(env map[string]string) { env["DEPLOY_COMPOSE"] = "/nonexistent" },
		"DEPLOY_PRE_LAUNCH": func(env map[string]string) { env["DEPLOY_PRE_LAUNCH"] = "/nonexistent" },
		"DEPLOY_SECRETS":    func(env map[string]string) { env["TOKEN"] = "" },
		"DEPLOY_TIMEOUT":    func(env map[string]string) { env["DEPLOY_TIMEOUT"] = "soon" },
	} {
		env := files(t)
		change(env)
		_, err := newJob(func(name string) string { return env[name] }, os.Stderr)
		require.ErrorContains(t, err, name)
		if err != nil {
			_, code := kind(err)
			assert.Equal(t, exitInput, code)
		}
	}
}

func TestRun_TakesNoArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"x"}, {"-unknown"}} {
		var out, problems strings.Builder
		assert.Equal(t, exitInput, run(t.Context(), args, os.Getenv, &out, &problems))
		assert.NotEmpty(t, problems.String())
	}
}
