package main

import (
	"context"
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

func TestRun_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{"only flags": {"x"}, "not defined": {"-unknown"}} {
		var out, problems strings.Builder
		err := run(context.Background(), args, &out, &problems)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
