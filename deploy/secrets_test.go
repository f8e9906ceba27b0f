package deploy_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
)

const usesEverything = `services:
  web:
    image: nginx:${TAG:-latest}
    environment:
      MUST: ${MUST:?required}
      PLAIN: ${PLAIN}
  other:
    image: nginx
    environment:
      - LISTED
      - PASSED
`

func env(names ...string) []compose.EnvVar {
	var vars []compose.EnvVar
	for _, name := range names {
		vars = append(vars, compose.EnvVar{Key: name, Value: "hunter2"})
	}
	return vars
}

func TestRun_SecretsMustFitTheDockerComposeFile(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		compose string
		script  string
		env     []compose.EnvVar
		opts    []deploy.Option
		names   []string // of the error; nil is none
		problem string
	}{
		"all there":       {usesEverything, "#!/bin/sh\n", env("MUST", "PLAIN", "PASSED", "LISTED"), nil, nil, ""},
		"missing":         {usesEverything, "#!/bin/sh\n", env("MUST", "PLAIN"), nil, []string{"LISTED", "PASSED"}, "requires variables"},
		"may be missing":  {usesEverything, "#!/bin/sh\n", env("MUST", "PLAIN"), []deploy.Option{deploy.AllowMissing("LISTED", "PASSED")}, nil, ""},
		"built in":        {"services: {a: {image: b, environment: [\"ID=${DSTACK_APP_ID}\"]}}\n", "#!/bin/sh\n", env("X"), nil, []string{"DSTACK_APP_ID"}, "platform's pre-launch script sets"},
		"set by a script": {"services: {a: {image: b, environment: [\"ID=${DSTACK_APP_ID}\"]}}\n", "export DSTACK_APP_ID=1\n", nil, nil, nil, ""},
		"platform script": {"services: {a: {image: b, environment: [\"ID=${DSTACK_APP_ID}\"]}}\n", "", nil, nil, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, trust := cloud(t)
				var opts []compose.Option
				if tt.script != "" {
					opts = append(opts, compose.WithPreLaunchScript(tt.script))
				}
				doc, err := compose.New(tt.compose, opts...)
				require.NoError(t, err)
				_, hash := s.PreLaunchScript()
				accepted := append(trust.run, deploy.AcceptPreLaunchScripts(hash))
				_, err = deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: doc, Env: tt.env}, append(accepted, tt.opts...)...)
				if tt.names == nil {
					require.NoError(t, err)
					return
				}
				var wrong *deploy.SecretsError
				require.ErrorAs(t, err, &wrong)
				assert.ElementsMatch(t, tt.names, wrong.Names)
				assert.Contains(t, wrong.Problem, tt.problem)
				assert.NotContains(t, err.Error(), "hunter2")
				assert.Empty(t, s.Requests(), "nothing was sent")
			})
		})
	}
}

func TestRun_SecretThatNothingMentionsIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, trust := cloud(t)
		doc, err := compose.New("services: {a: {image: b}}\n", compose.WithPreLaunchScript("#!/bin/sh\necho $INSCRIPT\n"))
		require.NoError(t, err)
		var events []deploy.Event
		app, err := deploy.Run(t.Context(), c, deploy.Spec{Name: "web-1", Compose: doc, Env: env("INSCRIPT", "NOWHERE")},
			append(trust.run, deploy.WithProgress(func(e deploy.Event) { events = append(events, e) }))...)
		require.NoError(t, err)
		check := app.Last.Comparisons[0]
		assert.Equal(t, deploy.ComparedSecrets, check.Name)
		assert.Equal(t, deploy.Noticed, check.Outcome)
		assert.Equal(t, "NOWHERE", check.Local)
		assert.Equal(t, deploy.ComparisonEvent{Comparison: check}, events[0])
	})
}

func TestRun_ValueThatTheGuestAltersIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		sp := spec(t)
		sp.Env[0].Value = "-----BEGIN KEY-----\nhunter2\n"
		_, err := deploy.Run(t.Context(), c, sp, trust.run...)
		require.ErrorContains(t, err, "TOKEN")
		assert.NotContains(t, err.Error(), "hunter2")
		assert.Empty(t, s.Requests())

		app, err := deploy.Run(t.Context(), c, sp, append(trust.run, deploy.AcceptAlteredSecrets("TOKEN"))...)
		require.NoError(t, err)
		got, err := s.Env(app.CVMs[0].ID)
		require.NoError(t, err)
		assert.Equal(t, `-----BEGIN KEY-----\nhunter2\n`, got[0].Value, "what a container would see")
	})
}

func TestRun_OrderOfSecretsDoesNotMatter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, trust := cloud(t)
		sp := spec(t)
		sp.Env[0], sp.Env[1] = sp.Env[1], sp.Env[0]
		one, err := deploy.Provision(t.Context(), c, sp, trust.run...)
		require.NoError(t, err)
		other, err := deploy.Provision(t.Context(), c, spec(t), trust.run...)
		require.NoError(t, err)
		assert.Equal(t, one.ComposeHash, other.ComposeHash)
		assert.Equal(t, []string{"TOKEN", "URL"}, one.EnvKeys)
	})
}

func TestUpdate_SecretsThatWouldDisappear(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust)
		changes := trust.change
		_, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: env("TOKEN")}, changes...)
		var wrong *deploy.SecretsError
		require.ErrorAs(t, err, &wrong)
		assert.Equal(t, []string{"URL"}, wrong.Names)
		assert.Contains(t, err.Error(), "RemoveSecrets")

		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: env("TOKEN"), RemoveSecrets: []string{"NONE"}}, changes...)
		require.ErrorAs(t, err, &wrong)
		_, err = deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: env("TOKEN", "URL"), RemoveSecrets: []string{"URL"}}, changes...)
		require.ErrorAs(t, err, &wrong)

		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{
			DockerCompose: "services: {a: {image: b, environment: [\"T=${TOKEN}\"]}}\n", Env: env("TOKEN"), RemoveSecrets: []string{"URL"},
		}, changes...)
		require.NoError(t, err)
		assert.Equal(t, []string{"TOKEN"}, next.Secrets)
		requireEnv(t, s, next.CVMs[0].ID, env("TOKEN"))
	})
}

func TestUpdate_RotatesOneSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, trust := cloud(t)
		app := running(t, c, trust)
		rotated := secrets()
		rotated[0].Value = "rotated"
		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: rotated}, trust.change...)
		require.NoError(t, err)
		assert.Equal(t, app.ComposeHash, next.ComposeHash)
		requireEnv(t, s, next.CVMs[0].ID, rotated)
		assert.NotContains(t, operations(s), "CVMs.ProvisionComposeUpdate", "the document stays")
	})
}

func TestStatesAndAnchors_HoldNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, c, trust := cloud(t)
		var saved strings.Builder
		save := func(v any) error {
			data, err := json.Marshal(v)
			saved.Write(data)
			return err
		}
		app, err := deploy.Run(t.Context(), c, spec(t), append(trust.run, deploy.WithCheckpoint(func(s *deploy.State) error { return save(s) }))...)
		require.NoError(t, err)
		require.NoError(t, save(app))
		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{Env: secrets()},
			append(trust.change, deploy.WithPending(func(p *deploy.Pending) error { return save(p) }))...)
		require.NoError(t, err)
		require.NoError(t, save(next))
		for _, v := range secrets() {
			assert.NotContains(t, saved.String(), v.Value)
		}
	})
}
