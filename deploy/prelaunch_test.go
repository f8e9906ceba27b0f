package deploy_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest/quotetest"
)

// scriptless is a spec whose app-compose the platform completes.
func scriptless(t *testing.T) deploy.Spec {
	t.Helper()
	doc, err := compose.New(dockerCompose)
	require.NoError(t, err)
	sp := spec(t)
	sp.Compose = doc
	return sp
}

func TestRun_UnknownPreLaunchScriptFailsWithItsHash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		_, hash := s.PreLaunchScript()
		_, err := deploy.Run(t.Context(), c, scriptless(t), with.run...)
		var unverified *deploy.VerificationError
		require.ErrorAs(t, err, &unverified)
		assert.Contains(t, err.Error(), hash.String())
		requireMismatch(t, err, deploy.ComparedDocument)
	})
}

func TestRun_PlatformChangesMoreThanItsScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		_, hash := s.PreLaunchScript()
		s.BootInstead("web-1", func(spec *quotetest.Spec) {
			spec.AppCompose = strings.Replace(spec.AppCompose, "image: nginx", "image: thief", 1)
		})
		_, err := deploy.Run(t.Context(), c, scriptless(t), append(with.run, deploy.AcceptPreLaunchScripts(hash))...)
		require.Error(t, err)
	})
}

func TestPreLaunch_LooksUpWhatTheCloudAnnounces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		status, err := deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		assert.Equal(t, compose.Sum([]byte("#!/bin/sh\n")), status.Hash)
		assert.Nil(t, status.Running, "a script of its own")
		assert.Nil(t, status.Latest, "nobody vouches for the script of a fake cloud")

		newest := compose.PreLaunchScripts()
		known := newest[len(newest)-1]
		s.TamperAnswer("CVMs.GetPreLaunchUpgrade", func(status int, body []byte) (int, []byte) {
			return status, rewritten(body, func(m map[string]any) { m["latest_official_hash"] = known.SHA256 })
		})
		status, err = deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		assert.Equal(t, known.Version, status.Latest.Version)
	})
}
