package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vbauerster/mpb/v8"

	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/openapi"
	"github.com/phala-go/phala/phalatest"
)

func TestRun_EndsWhenTheFleetRuns(t *testing.T) {
	t.Parallel()
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), []string{"-count", "3"}, &out, &problems))
	for _, name := range []string{"shop-1", "shop-2", "shop-3"} {
		assert.Regexp(t, name+` +running\n`, out.String())
	}
}

func TestRun_Cloud(t *testing.T) {
	cloud := phalatest.New(t)
	t.Setenv("PHALA_CLOUD_API_KEY", cloud.APIKey)
	t.Setenv("PHALA_CLOUD_API_PREFIX", cloud.URL())
	c, err := cloud.Client()
	require.NoError(t, err)
	require.NoError(t, boot(t.Context(), c, 2, deploy.WithTeamWallet(cloud.TeamWallet())))
	before := len(cloud.Requests())
	var out, problems strings.Builder
	require.NoError(t, run(t.Context(), []string{"-cloud", "-settled", "-interval", "5ms"}, &out, &problems))
	assert.Regexp(t, `shop-1 +running\n`, out.String())
	assert.Regexp(t, `shop-2 +running\n`, out.String())
	for _, r := range cloud.Requests()[before:] {
		assert.Contains(t, []string{"CVMs.List", "CVMs.GetStatuses"}, r.Operation, "it only reads")
	}
}

func TestWatch_ReportsWhatFailed(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	cloud.FailBoot("shop-2", "no such image")
	c, err := cloud.Client()
	require.NoError(t, err)
	require.NoError(t, boot(t.Context(), c, 2, deploy.WithTeamWallet(cloud.TeamWallet())))
	var out strings.Builder
	err = watch(t.Context(), c, time.Millisecond, true, &lines{out: &out, last: map[string]string{}})
	require.EqualError(t, err, "failed: shop-2")
	assert.Regexp(t, `shop-1 +running\n`, out.String())
}

func TestWatch_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	cloud := phalatest.New(t)
	c, err := cloud.Client()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	shown := displayFunc(func([]row) { cancel() })
	require.ErrorIs(t, watch(ctx, c, time.Hour, false, shown), context.Canceled)
}

type displayFunc func([]row)

func (f displayFunc) show(rows []row) { f(rows) }
func (displayFunc) close()            {}

func TestTable_DrawsABarForEach(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	shown := newTable(&out, mpb.WithAutoRefresh())
	shown.show([]row{
		{id: "1", name: "web", status: openapi.CVMRunning},
		{id: "2", name: "evil\x1b[2J", status: openapi.CVMStarting, step: "pulling"},
		{id: "3", name: "gone", status: openapi.CVMRunning},
	})
	shown.show([]row{
		{id: "1", name: "web", status: openapi.CVMRunning},
		{id: "2", name: "evil\x1b[2J", status: openapi.CVMStarting, step: "pulling"},
	})
	shown.close()
	last := out.String()
	assert.Contains(t, last, "web")
	assert.Contains(t, last, "starting, pulling")
	assert.Contains(t, last, "████│")
	assert.NotContains(t, last, "\x1b[2J", "a name steers no terminal")
}

func TestRow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		row     row
		stage   int64
		settled bool
		text    string
	}{
		{row{status: openapi.CVMPending}, 0, false, "pending"},
		{row{status: openapi.CVMCreating}, 1, false, "creating"},
		{row{status: openapi.CVMStarting, step: "pulling"}, 2, false, "starting, pulling"},
		{row{status: openapi.CVMRunning, busy: true}, 3, false, "running, busy"},
		{row{status: openapi.CVMRunning, step: "done"}, stages, true, "running"},
		{row{status: openapi.CVMError}, 0, true, "error"},
		{row{status: openapi.CVMStopped, busy: true}, 0, false, "stopped"},
	} {
		assert.Equal(t, tt.stage, tt.row.stage(), tt.text)
		assert.Equal(t, tt.settled, tt.row.settled(), tt.text)
		assert.Equal(t, tt.text, tt.row.text())
	}
}

func TestParse_WrongFlags(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"only flags": {"x"}, "not defined": {"-unknown"}, "1 to 100": {"-count", "0"}, "negative": {"-interval", "-1s"},
	} {
		var problems strings.Builder
		_, err := parse(args, &problems)
		require.ErrorIs(t, err, errUsage)
		require.ErrorContains(t, err, want)
	}
}
