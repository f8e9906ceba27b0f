package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_MakesOneCVMWhateverDies(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), nil, &out, &problems))
	assert.GreaterOrEqual(t, strings.Count(out.String(), "the process dies"), 6)
	assert.Contains(t, out.String(), "1 CVM, created by 1 request, updated by 1\n")
}

func TestJob_ShowsWhatExists(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	c, err := cloud.Client()
	require.NoError(t, err)
	var out strings.Builder
	j, err := newJob(c, t.TempDir(), "", &out, deploy.WithTeamWallet(cloud.TeamWallet()),
		deploy.WithKMSRoot(cloud.KMSRoot()), deploy.WithVerification(cloud.AttestationPolicy()))
	require.NoError(t, err)
	j.showWhatExists(&out)
	j.crash, j.died = true, map[string]bool{"deployment provisioned": true, "deployment encrypted": true}
	_, err = j.run(t.Context())
	require.ErrorIs(t, err, errCrash)
	j.showWhatExists(&out)
	j.crash = false
	_, err = j.run(t.Context())
	require.NoError(t, err)
	j.showWhatExists(&out)
	assert.Regexp(t, `(?s)No CVM.*exists and goes on booting.*exists and runs`, out.String())
}

// The program with -cloud is stopped in the deployment and in the update, and started again each time.
func TestRun_Cloud(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	t.Setenv("PHALA_KMS_ROOT", cloud.KMSRoot().String())
	dir := t.TempDir()
	var all strings.Builder
	stops, seen := 0, map[string]bool{}
	for {
		ctx, cancel := context.WithCancel(t.Context())
		stop := deploy.WithProgress(func(event deploy.Event) {
			_, err := os.Stat(filepath.Join(dir, name+".app.json"))
			if step := fmt.Sprintf("%T, updating: %t", event, err == nil); !seen[step] {
				seen[step] = true
				cancel()
			}
		})
		err := run(ctx, []string{"-cloud", "-dir", dir}, &all, io.Discard, deploy.WithVerification(cloud.AttestationPolicy()), stop)
		cancel()
		if err == nil {
			break
		}
		require.ErrorIs(t, err, context.Canceled, all.String())
		stops++
		require.Less(t, stops, 30)
	}
	assert.GreaterOrEqual(t, stops, 4)
	assert.Regexp(t, `^tdx.small costs [\d.]+ USD an hour`, all.String())
	assert.Regexp(t, `(?s)No CVM was created.*going on with the deployment.*exists and runs.*going on with the update.*delete CVM`, all.String())
	calls := 0
	for _, r := range cloud.Requests() {
		if r.Operation == "CVMs.Create" {
			calls++
		}
	}
	assert.Equal(t, 1, calls)
}

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{"only flags": {"x"}, "not defined": {"-unknown"}} {
		var out, problems strings.Builder
		err := run(context.Background(), args, &out, &problems)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
