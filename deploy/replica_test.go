package deploy_test

import (
	"maps"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/phala-go/phala/client"
	"github.com/phala-go/phala/compose"
	"github.com/phala-go/phala/deploy"
	"github.com/phala-go/phala/phalatest"
)

func TestReplicate_MakesOneMoreCVM(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		app, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		require.Len(t, app.CVMs, 2)
		assert.Equal(t, first.CVMs[0], app.CVMs[0])
		assert.NotEqual(t, first.CVMs[0].ID, last(app).ID)
		assert.Equal(t, app.Last.CVM.VMUUID, last(app).ID)
		assert.EqualValues(t, "running", app.Last.CVM.Status)
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
		assert.True(t, app.Last.Report.Verified)
		requireEnv(t, s, last(app).ID, secrets())
		assert.Len(t, first.CVMs, 1, "the anchor from before stays")
	})
}

func TestAddInstance_MakesOneMoreCVMWithSecretsOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		other := []compose.EnvVar{{Key: "TOKEN", Value: "a"}, {Key: "URL", Value: "b"}}
		app, err := deploy.AddInstance(t.Context(), c, first, deploy.InstanceSpec{Name: "web-2", Env: other}, with.change...)
		require.NoError(t, err)
		requireEnv(t, s, last(app).ID, other)
		requireEnv(t, s, first.CVMs[0].ID, secrets())
		assert.Equal(t, "web-2", last(app).Name)
		assert.Len(t, instances(t, c, first), 2)

		app, err = deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{}, with.change...)
		require.NoError(t, err)
		assert.Len(t, app.CVMs, 3)
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
	})
}

// One more CVM runs a document that the anchor has, and never another one.
func TestReplicate_RunsOnlyADocumentOfTheAnchor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		two, err := deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, with.change...)
		require.NoError(t, err)
		next, err := deploy.Update(t.Context(), c, two, deploy.UpdateSpec{PreLaunchScript: "#!/bin/sh\necho 2\n"}, with.change...)
		require.NoError(t, err)
		app, err := deploy.Replicate(t.Context(), c, next, deploy.ReplicaSpec{CVM: first.CVMs[0].ID, ComposeHash: first.ComposeHash}, with.change...)
		require.NoError(t, err, "the second CVM still runs it")
		assert.Equal(t, first.ComposeHash, last(app).ComposeHash)
		assert.Equal(t, next.ComposeHash, app.ComposeHash, "the document of the app stays the newer one")

		sent := len(s.Requests())
		for _, err := range []error{
			second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{ComposeHash: compose.Hash{1}}, with.change...)),
			second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{ComposeHash: compose.Hash{1}}, with.change...)),
		} {
			require.ErrorIs(t, err, deploy.ErrUnknownDocument)
		}
		assert.NotContains(t, operations(s)[sent:], "CVMs.Replicate")
		assert.NotContains(t, operations(s)[sent:], "Apps.CreateInstance")
	})
}

func TestReplicate_RefusesABadSpec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		app := running(t, c, with)
		unchecked := *app
		unchecked.KMSRoot = [33]byte{}
		none := *app
		none.CVMs = nil
		foreign := []compose.EnvVar{{Key: "OTHER"}}
		for want, err := range map[string]error{
			"it has no app id":                  second(deploy.Replicate(t.Context(), c, &deploy.App{}, deploy.ReplicaSpec{}, with.change...)),
			"app: it has no app id":             second(deploy.AddInstance(t.Context(), c, nil, deploy.InstanceSpec{}, with.change...)),
			"it has no CVM; name one":           second(deploy.Replicate(t.Context(), c, &none, deploy.ReplicaSpec{}, with.change...)),
			"NodeID is -1":                      second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{NodeID: -1}, with.change...)),
			"TeepodID is -1":                    second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{TeepodID: -1}, with.change...)),
			"two ways to name a node":           second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{NodeID: 1, TeepodID: 1}, with.change...)),
			"secrets need a checked key":        second(deploy.Replicate(t.Context(), c, &unchecked, deploy.ReplicaSpec{Env: secrets()})),
			"secrets: OTHER: the allowed_envs":  second(deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{Env: foreign}, with.change...)),
			"secrets: OTHER: the allowed_envs ": second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{Env: foreign}, with.change...)),
			`name "web"`:                        second(deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{Name: "web"}, with.change...)),
		} {
			require.ErrorContains(t, err, want)
		}
		assert.NotContains(t, operations(s), "CVMs.Replicate")
		assert.NotContains(t, operations(s), "Apps.CreateInstance")
	})
}

// A lost answer, a lost request, and a crash after either, all end with exactly one more CVM.
func TestReplicate_MakesOneCVMWhateverIsLost(t *testing.T) {
	for name, fault := range map[string]phalatest.Fault{
		"lost answer":            {LoseAnswer: true},
		"lost request":           {LoseRequest: true},
		"failure after the work": {Status: http.StatusBadGateway, Body: "<html>"},
	} {
		for kind, ask := range creations() {
			t.Run(kind+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, c, with := cloud(t)
					first := running(t, c, with)
					var asked *deploy.Pending // what a process that was killed while it asked has left
					keep := deploy.WithPending(func(p *deploy.Pending) error {
						if p.Asked && asked == nil {
							asked = handOver(t, p)
						}
						return nil
					})
					s.Fault(ask.operation, fault)
					app, err := ask.flow(t, c, first, append(with.change, keep)...)
					if fault.LoseAnswer {
						require.NoError(t, err)
					} else {
						require.Error(t, err, "it is not sent a second time by itself")
					}
					again, err := deploy.Finish(t.Context(), c, asked, with.change...)
					require.NoError(t, err)
					if app != nil {
						assert.Equal(t, app.CVMs, again.CVMs)
					}
					assert.Len(t, instances(t, c, first), 2)
				})
			})
		}
	}
}

// A CVM that somebody else added while a replica was under way is not taken for the replica.
func TestFinish_TakesNoStrangerForTheReplica(t *testing.T) {
	t.Parallel()
	x := newChained(t)
	first := running(t, x.c, x.with)
	p, err := deploy.PrepareReplica(t.Context(), x.c, first, deploy.ReplicaSpec{}, x.with.prepare...)
	require.NoError(t, err)
	stranger, err := deploy.Replicate(t.Context(), x.c, first, deploy.ReplicaSpec{}, x.with.change...)
	require.NoError(t, err)
	done, err := deploy.Finish(t.Context(), x.c, handOver(t, p), x.with.change...)
	require.NoError(t, err)
	assert.NotEqual(t, last(stranger).ID, last(done).ID)
	assert.Len(t, instances(t, x.c, first), 3)
}

// If several CVMs have come since, nobody can tell which one it is. The caller can.
func TestFinish_ReturnsAnErrorIfSeveralCVMsAreNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, c, with := cloud(t)
		first := running(t, c, with)
		var asked *deploy.Pending
		keep := deploy.WithPending(func(p *deploy.Pending) error {
			if p.Asked && asked == nil {
				asked = handOver(t, p)
			}
			return nil
		})
		var app *deploy.App
		for range 2 {
			c, err := s.Client() // as another process would
			require.NoError(t, err)
			app, err = deploy.Replicate(t.Context(), c, first, deploy.ReplicaSpec{}, append(with.change, keep)...)
			require.NoError(t, err)
		}
		_, err := deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		var ambiguous *deploy.AmbiguousError
		require.ErrorAs(t, err, &ambiguous)
		assert.Len(t, ambiguous.CVMs, 2)
		assert.Contains(t, ambiguous.CVMs, last(app).ID)
		assert.Len(t, instances(t, c, first), 3)

		require.ErrorContains(t, asked.Resolve(first.CVMs[0].ID), "it was there before")
		require.NoError(t, asked.Resolve("0b8e3c30-5f0c-4d43-8a08-d7f0e2e4d1aa"), "a wrong one")
		_, err = deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.NoError(t, asked.Resolve(last(app).ID))
		done, err := deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.NoError(t, err)
		assert.Equal(t, app.CVMs, done.CVMs)

		require.NoError(t, asked.Resolve(""), "none of them")
		done, err = deploy.Finish(t.Context(), c, handOver(t, asked), with.change...)
		require.NoError(t, err)
		assert.Len(t, instances(t, c, first), 4)
		require.ErrorContains(t, done.Last.Pending.Resolve(last(app).ID), "nothing to resolve")
	})
}

// creation is a flow that makes one more CVM, and the operation of the API that it asks once.
type creation struct {
	operation, path string
	flow            func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error)
}

func creations() map[string]creation {
	return map[string]creation{
		"replica": {"CVMs.Replicate", "/replicas", func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, opts...)
		}},
		"instance": {"Apps.CreateInstance", "/instances", func(t testing.TB, c *client.Client, app *deploy.App, opts ...deploy.Option) (*deploy.App, error) {
			return deploy.AddInstance(t.Context(), c, app, deploy.InstanceSpec{}, opts...)
		}},
	}
}

func TestReplicate_CloudPassesAnotherCVMOff(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]func(*phalatest.Server, *deploy.App){
		"the answer names the first CVM": func(s *phalatest.Server, app *deploy.App) {
			s.TamperAnswer("CVMs.Replicate", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["vm_uuid"] = app.CVMs[0].ID })
			})
		},
		"the CVM is described as the first one": func(s *phalatest.Server, app *deploy.App) {
			s.TamperAnswer("CVMs.Get", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) { m["vm_uuid"] = app.CVMs[0].ID })
			})
		},
		"the evidence is that of the first one": func(s *phalatest.Server, _ *deploy.App) {
			s.TamperAnswer("Apps.GetAttestations", func(status int, body []byte) (int, []byte) {
				return status, rewritten(body, func(m map[string]any) {
					instances, _ := m["instances"].([]any)
					for i := 1; i < len(instances); i++ {
						first, other := instances[0].(map[string]any), instances[i].(map[string]any)
						copied := maps.Clone(first)
						copied["vm_uuid"] = other["vm_uuid"]
						instances[i] = copied
					}
				})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, c, with := cloud(t)
				app := running(t, c, with)
				require.NotEmpty(t, app.CVMs[0].InstanceID)
				tamper(s, app)
				_, err := deploy.Replicate(t.Context(), c, app, deploy.ReplicaSpec{}, with.change...)
				require.Error(t, err)
			})
		})
	}
}
