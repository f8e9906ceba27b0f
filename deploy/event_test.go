package deploy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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

// steering is text that moves a terminal's cursor, turns text around and is far too long.
var steering = "\x1b[2J\u009b1A\u202egnp\u2066\u0007" + strings.Repeat("A", 100_000)

// Text of the cloud or of a guest is escaped and bounded in errors, events and checks: it is planted in every text of the
// answers of one operation after the other, in place of what is there and behind it.
func TestFlows_ShowNoTextThatSteersATerminal(t *testing.T) {
	if underRace {
		t.Skip("nothing in it runs at once")
	}
	for _, operation := range []string{
		"CVMs.Provision", "KMS.GetAppEnvPublicKey", "OSImages.List", "CVMs.Create", "CVMs.Get", "CVMs.GetState", "CVMs.Replicate",
		"Apps.CreateInstance", "Apps.ListCVMs", "Apps.GetAttestations", "CVMs.ProvisionComposeUpdate", "CVMs.CommitComposeUpdate", "CVMs.GetComposeFile",
	} {
		for how, planted := range map[string]func(string) string{
			"instead": func(string) string { return steering },
			"behind":  func(text string) string { return text + steering },
		} {
			t.Run(operation+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { plantIn(t, operation, planted) })
			})
		}
	}
}

func plantIn(t *testing.T, operation string, planted func(string) string) {
	s, c, with := cloud(t)
	first := running(t, c, with)
	s.TamperResponse(operation, func(status int, body []byte) (int, []byte) {
		var value any
		if json.Unmarshal(body, &value) != nil {
			return status, body
		}
		changed, err := json.Marshal(plantedIn(value, planted))
		assert.NoError(t, err)
		return status, changed
	})
	look := deploy.WithProgress(func(e deploy.Event) {
		requirePlain(t, e.String())
		if check, ok := e.(deploy.ComparisonEvent); ok {
			requirePlain(t, check.Local+check.Remote+check.Reason)
		}
		if state, ok := e.(deploy.StatusEvent); ok {
			requirePlain(t, string(state.Status)+state.BootProgress)
		}
	})
	short := deploy.WithBootTimeout(time.Minute)
	second := spec(t)
	second.Name = "web-2"
	_, runErr := deploy.Run(t.Context(), c, second, append(with.run, look, short)...)
	changes := append(with.change, look, short)
	_, updateErr := deploy.Update(t.Context(), c, first, script("2"), changes...)
	_, replicaErr := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, changes...)
	app, instanceErr := deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{}, changes...)
	for _, err := range []error{runErr, updateErr, replicaErr, instanceErr} {
		if err != nil {
			requirePlain(t, err.Error())
			requireTyped(t, err)
		}
	}
	if instanceErr == nil {
		requirePlain(t, fmt.Sprint(app.Last.Comparisons, app.Last.URLs, app.CVMs, app.OS))
	}
}

// plantedIn changes every text of a JSON value.
func plantedIn(value any, planted func(string) string) any {
	switch v := value.(type) {
	case string:
		return planted(v)
	case []any:
		for i := range v {
			v[i] = plantedIn(v[i], planted)
		}
	case map[string]any:
		for name := range v {
			v[name] = plantedIn(v[name], planted)
		}
	}
	return value
}

// requirePlain fails for text that does not print, or has much more than 1 KB for each of a few texts in it.
func requirePlain(t testing.TB, text string) {
	t.Helper()
	assert.Less(t, len(text), 20_000)
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			t.Errorf("%U is in %.300q", r, text)
			return
		}
	}
}
