package deploy_test

import (
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/internal/leaktest"
	"github.com/phala-go/phala/phalatest"
)

const planted = "hunter2&planted/secret"

// Nothing that the flows return, report or keep shows a secret, however it is formatted. Package leaktest does the same
// with every exported type.
func TestFlows_ShowNoSecret(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		look := func(value any) { leaktest.RequireHidden(t, reflect.TypeOf(value).String(), value, planted) }
		env := []compose.EnvVar{{Key: "TOKEN", Value: planted}, {Key: "URL", Value: planted}}
		sp := spec(t)
		sp.Env = env
		look(sp)
		look(&sp)
		look(deploy.UpdateSpec{Env: env})
		look(deploy.ReplicaSpec{Env: env})
		look(deploy.InstanceSpec{Env: env})
		look(deploy.RollbackSpec{Env: env})
		progress := deploy.WithProgress(func(e deploy.Event) { look(e) })
		app, err := deploy.Run(t.Context(), c, sp, append(with.run, progress, deploy.WithCheckpoint(func(s *deploy.State) error {
			look(s)
			return nil
		}))...)
		require.NoError(t, err)
		look(app)
		look(app.Last)
		look(app.CVMs[0])
		look(app.OS)
		look(app.Last.Comparisons[0])
		look(progress)
		changes := append(with.change, progress, deploy.WithPending(func(p *deploy.Pending) error {
			look(p)
			look(p.Approval)
			return nil
		}))
		next, err := deploy.Update(t.Context(), c, app, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n", Env: env}, changes...)
		require.NoError(t, err)
		look(next.Revisions[0])
		status, err := deploy.PreLaunch(t.Context(), c, app)
		require.NoError(t, err)
		look(status)

		// Errors: of this side, and of a cloud that sends the secret back.
		sp.Env[0].Value = planted + "\n"
		_, err = deploy.Run(t.Context(), c, sp, with.run...)
		require.Error(t, err)
		look(err)
		s.Fault("CVMs.ProvisionComposeUpdate", phalatest.Fault{Status: http.StatusBadRequest, Body: `{"detail":"x"}`})
		_, err = deploy.Update(t.Context(), c, next, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\n", Env: env[1:], RemoveSecrets: []string{"TOKEN"}}, with.change...)
		require.Error(t, err)
		look(err)
		for _, err := range []error{
			&deploy.MismatchError{What: "a"}, &deploy.BootError{}, &deploy.TimeoutError{}, &deploy.VerificationError{Err: err}, &deploy.SecretsError{}, &deploy.FindingsError{}, &deploy.InputError{Err: err}, &deploy.AmbiguousError{}, &deploy.OnChainError{Err: err},
		} {
			look(err)
		}
	})
}
