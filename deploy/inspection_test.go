package deploy_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/compose/inspect"
	"github.com/phala-go/phala/deploy"
)

func TestRun_RefusesWhatCannotWorkInAConfidentialVM(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		doc, err := compose.New("services:\n  web:\n    build: .\n", compose.WithPreLaunchScript("#!/bin/sh\n"))
		require.NoError(t, err)
		sp := deploy.Spec{Name: "web-1", Compose: doc}
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		var wrong *deploy.FindingsError
		require.ErrorAs(t, err, &wrong)
		require.Len(t, wrong.Findings, 1)
		assert.Equal(t, inspect.Build, wrong.Findings[0].Rule)
		assert.Empty(t, s.Requests(), "nothing was sent")

		app, err := deploy.Run(t.Context(), c, sp, append(with.run, deploy.AcceptFindings(inspect.Build))...)
		require.NoError(t, err)
		var reasons []string
		for _, check := range app.Last.Comparisons {
			if check.Name == deploy.ComparedInspection {
				assert.Equal(t, deploy.Noticed, check.Outcome)
				reasons = append(reasons, check.Reason)
			}
		}
		assert.Contains(t, reasons[0], "build", "still reported")

		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{DockerCompose: "services:\n  web:\n    image: a\n    env_file: x\n"}, with.change...)
		require.ErrorAs(t, err, &wrong)
	})
}
